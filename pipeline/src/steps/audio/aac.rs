//! An AAC-LC encoder: frames in, raw packets out.

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};

use crate::error::{Error, Result};
use crate::gst::{element, element_with};

/// Frames in one packet.
pub const PACKET_FRAMES: u64 = 1024;

/// Time without output after which the encoder counts as hung.
const ENCODER_TIMEOUT: gst::ClockTime = gst::ClockTime::from_seconds(20);

/// An encoder with a GStreamer pipeline of its own.
pub struct AacEncoder {
    pipeline: gst::Pipeline,
    source: AppSrc,
    sink: AppSink,
    channels: usize,
    frames: u64,
}

/// A packet with the decoder's configuration, which is the same in all.
pub struct AacPacket {
    /// Raw AAC, without ADTS header.
    pub data: Vec<u8>,
    /// The `AudioSpecificConfig`.
    pub config: Vec<u8>,
}

impl AacEncoder {
    /// Starts an encoder of interleaved samples at 48 kHz.
    pub fn start(channels: u32, bitrate_bps: u32) -> Result<Self> {
        crate::gst::init()?;
        let caps = gst::Caps::builder("audio/x-raw")
            .field("format", "F32LE")
            .field("layout", "interleaved")
            .field("rate", 48_000)
            .field("channels", channels as i32)
            .build();
        let source = AppSrc::builder().caps(&caps).format(gst::Format::Time).block(true).build();
        // The input is at most two seconds ahead of the encoder.
        source.set_max_bytes(2 * 48_000 * 4 * u64::from(channels));
        let sink = AppSink::builder().sync(false).build();
        let encoder = element_with("avenc_aac", &[("bitrate", &bitrate_bps.to_string())])?;
        let convert = element("audioconvert")?;
        let pipeline = gst::Pipeline::new();
        let elements = [source.upcast_ref(), &convert, &encoder, sink.upcast_ref()];
        pipeline.add_many(elements).map_err(|e| encoder_failed().with_source(e))?;
        gst::Element::link_many(elements).map_err(|e| encoder_failed().with_source(e))?;
        pipeline.set_state(gst::State::Playing).map_err(|e| encoder_failed().with_source(e))?;
        Ok(Self { pipeline, source, sink, channels: channels as usize, frames: 0 })
    }

    /// Encodes interleaved samples, and passes on the packets that are complete.
    pub fn push(&mut self, samples: &[f32], packet: impl FnMut(AacPacket) -> Result<()>) -> Result<()> {
        let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        let frames = (samples.len() / self.channels) as u64;
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        let start = timestamp(self.frames);
        self.frames += frames;
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(start);
            buffer.set_duration(timestamp(self.frames) - start);
        }
        self.source.push_buffer(buffer).map_err(|e| self.pipeline_error().with_source(e))?;
        self.drain(gst::ClockTime::ZERO, packet)
    }

    /// Ends the signal, and passes on the remaining packets.
    pub fn finish(&mut self, packet: impl FnMut(AacPacket) -> Result<()>) -> Result<()> {
        self.source.end_of_stream().map_err(|e| self.pipeline_error().with_source(e))?;
        self.drain(ENCODER_TIMEOUT, packet)?;
        if self.sink.is_eos() { Ok(()) } else { Err(self.pipeline_error()) }
    }

    fn drain(&self, timeout: gst::ClockTime, mut packet: impl FnMut(AacPacket) -> Result<()>) -> Result<()> {
        while let Some(sample) = self.sink.try_pull_sample(timeout) {
            let config = sample
                .caps()
                .and_then(|caps| caps.structure(0)?.get::<gst::Buffer>("codec_data").ok())
                .ok_or_else(encoder_failed)?;
            let (Ok(config), Some(Ok(data))) =
                (config.map_readable(), sample.buffer().map(|b| b.map_readable()))
            else {
                return Err(encoder_failed());
            };
            packet(AacPacket { data: data.to_vec(), config: config.to_vec() })?;
        }
        Ok(())
    }

    /// Returns the error that the pipeline reports.
    fn pipeline_error(&self) -> Error {
        let error = self.pipeline.bus().and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
        match error.as_ref().map(|m| m.view()) {
            Some(gst::MessageView::Error(message)) => encoder_failed().with_source(message.error()),
            _ => encoder_failed(),
        }
    }
}

impl Drop for AacEncoder {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn timestamp(frames: u64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds((u128::from(frames) * 1_000_000_000 / 48_000) as u64)
}

fn encoder_failed() -> Error {
    Error::internal("the audio encoder failed")
}
