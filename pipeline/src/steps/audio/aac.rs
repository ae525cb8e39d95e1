//! One AAC-LC encoder: frames in, raw packets out.

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};

use crate::error::{Error, Result};
use crate::gst::{element, element_with};

/// Frames in one packet.
pub const PACKET_FRAMES: u64 = 1024;

/// How long the encoder may be silent before it counts as hung.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(20);

/// An encoder with its own little pipeline.
pub struct AacEncoder {
    pipeline: gst::Pipeline,
    source: AppSrc,
    sink: AppSink,
    channels: usize,
    frames: u64,
}

/// A packet, and the decoder's configuration, which every one carries.
pub struct Packet {
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
        // Two seconds ahead of the encoder at most.
        source.set_max_bytes(2 * 48_000 * 4 * u64::from(channels));
        let sink = AppSink::builder().sync(false).build();
        let encoder = element_with("avenc_aac", &[("bitrate", &bitrate_bps.to_string())])?;
        let convert = element("audioconvert")?;
        let pipeline = gst::Pipeline::new();
        let elements = [source.upcast_ref(), &convert, &encoder, sink.upcast_ref()];
        pipeline.add_many(elements).map_err(|e| broken().with_source(e))?;
        gst::Element::link_many(elements).map_err(|e| broken().with_source(e))?;
        pipeline.set_state(gst::State::Playing).map_err(|e| broken().with_source(e))?;
        Ok(Self { pipeline, source, sink, channels: channels as usize, frames: 0 })
    }

    /// Takes interleaved samples and hands out the packets that are done.
    pub fn push(&mut self, samples: &[f32], packet: impl FnMut(Packet) -> Result<()>) -> Result<()> {
        let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        let frames = (samples.len() / self.channels) as u64;
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        let start = time_of(self.frames);
        self.frames += frames;
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(start);
            buffer.set_duration(time_of(self.frames) - start);
        }
        self.source.push_buffer(buffer).map_err(|e| self.cause().with_source(e))?;
        self.drain(gst::ClockTime::ZERO, packet)
    }

    /// Ends the signal and hands out the remaining packets.
    pub fn finish(&mut self, packet: impl FnMut(Packet) -> Result<()>) -> Result<()> {
        self.source.end_of_stream().map_err(|e| self.cause().with_source(e))?;
        self.drain(PATIENCE, packet)?;
        if self.sink.is_eos() { Ok(()) } else { Err(self.cause()) }
    }

    fn drain(&self, patience: gst::ClockTime, mut packet: impl FnMut(Packet) -> Result<()>) -> Result<()> {
        while let Some(sample) = self.sink.try_pull_sample(patience) {
            let config = sample
                .caps()
                .and_then(|caps| caps.structure(0)?.get::<gst::Buffer>("codec_data").ok())
                .ok_or_else(broken)?;
            let (Ok(config), Some(Ok(data))) =
                (config.map_readable(), sample.buffer().map(|b| b.map_readable()))
            else {
                return Err(broken());
            };
            packet(Packet { data: data.to_vec(), config: config.to_vec() })?;
        }
        Ok(())
    }

    /// What went wrong, as the pipeline says.
    fn cause(&self) -> Error {
        let error = self.pipeline.bus().and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
        match error.as_ref().map(|m| m.view()) {
            Some(gst::MessageView::Error(message)) => broken().with_source(message.error()),
            _ => broken(),
        }
    }
}

impl Drop for AacEncoder {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn time_of(frames: u64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds((u128::from(frames) * 1_000_000_000 / 48_000) as u64)
}

fn broken() -> Error {
    Error::internal("the sound encoder failed")
}
