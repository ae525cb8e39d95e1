//! The rendition for the weakest line: one still a segment, each a keyframe of H.264, so that a player changes down to it
//! as to any other rendition.

use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;
use image::RgbImage;

use super::encode::scaled;
use crate::context::StepContext;
use crate::error::{Error, Result};
use crate::fmp4::{Media, Sample, Track, fragment, init_segment};
use crate::gst::{RunningPipeline, capsfilter, element_with};
use crate::hls::{MediaPlaylist, PlaylistSegment, TARGET_DURATION_S, media_playlist, peak_and_mean_bps};
use crate::ladder::KEYFRAME_INTERVAL_MS;
use crate::media::{Rational, VideoTrack};
use crate::report::VideoRenditionReport;

/// Length of a segment, in ms: as in every other rendition.
pub const SEGMENT_MS: u64 = 2 * KEYFRAME_INTERVAL_MS;
/// The box a landscape picture is fitted into, in pixels: below the weak line's, so that players place it there.
const BOX_PIXELS: (u32, u32) = (320, 180);
/// Most of the picture in a second, in kbit/s; with its boxes and the small sound it stays below 64.
const MAX_KBPS: u32 = 26;
/// What x264 calls good enough: slides stay sharp, and where they need less they take less.
const QUALITY: u32 = 24;
const TIMESCALE: u32 = 90_000;
/// Longest wait for one small picture.
const MAX_FRAME_WAIT: Duration = Duration::from_secs(30);

/// The rendition being made.
pub struct StillsRendition {
    size: (u32, u32),
    stage: RunningPipeline,
    source: gst_app::AppSrc,
    sink: gst_app::AppSink,
    track: Option<Track>,
    current: Option<gst::Buffer>,
    /// Segments given to the encoder.
    next: u64,
    /// Bytes and ticks of the segments written.
    written: Vec<(u64, u64)>,
    end_ms: u64,
}

impl StillsRendition {
    /// A rendition of a picture that is shown until `end_ms`.
    pub fn new(video: &VideoTrack, end_ms: u64, ctx: &StepContext) -> Result<Self> {
        crate::gst::init()?;
        let size = size(video.width, video.height);
        let rate = gst::Fraction::new(1000, SEGMENT_MS as i32);
        let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, size.0, size.1)
            .fps(rate)
            .par(gst::Fraction::new(1, 1))
            .colorimetry(&"bt709".parse().map_err(|_| Error::internal("BT.709 is not known"))?)
            .build()
            .map_err(|e| Error::internal("a rendition's size is not possible").with_source(e))?;
        let caps = info.to_caps().map_err(|e| Error::internal("a rendition has no caps").with_source(e))?;
        let source = gst_app::AppSrc::builder().caps(&caps).format(gst::Format::Time).build();
        let encoder = element_with(
            "x264enc",
            &[
                ("speed-preset", "slow"),
                ("tune", "zerolatency"),
                ("pass", "qual"),
                ("quantizer", &QUALITY.to_string()),
                ("bitrate", &MAX_KBPS.to_string()),
                ("vbv-buf-capacity", &SEGMENT_MS.to_string()),
                ("key-int-max", "1"),
                ("threads", "1"),
                ("aud", "false"),
            ],
        )?;
        let filter = capsfilter(
            &gst::Caps::builder("video/x-h264")
                .field("stream-format", "avc")
                .field("alignment", "au")
                .field("profile", "main")
                .build(),
        )?;
        let sink = gst_app::AppSink::builder().sync(false).build();
        let pipeline = gst::Pipeline::new();
        let all = [source.clone().upcast(), encoder, filter, sink.clone().upcast()];
        let fault =
            |e: gst::glib::BoolError| Error::internal("the encoder could not be linked").with_source(e);
        pipeline.add_many(&all).map_err(fault)?;
        gst::Element::link_many(&all).map_err(fault)?;
        let stage = RunningPipeline::new(pipeline);
        stage.start(gst::State::Playing)?;
        ctx.check_cancelled()?;
        Ok(Self {
            size,
            stage,
            source,
            sink,
            track: None,
            current: None,
            next: 0,
            written: Vec::new(),
            end_ms: end_ms.max(1),
        })
    }

    /// A frame at `time_ms`. A segment shows the first frame of its time, or where there is none the one before.
    pub fn add_frame(&mut self, time_ms: u64, frame: &RgbImage, ctx: &StepContext) -> Result<()> {
        let index = time_ms / SEGMENT_MS;
        let wanted = self.next + u64::from(self.current.is_some());
        if index < wanted && self.current.is_some() {
            return Ok(());
        }
        let buffer = self.buffer(frame)?;
        if self.current.is_none() {
            self.current = Some(buffer.clone());
        }
        self.encode_until(index, ctx)?;
        self.current = Some(buffer);
        Ok(())
    }

    /// Writes the last segments and the playlist.
    pub fn finish(mut self, ctx: &StepContext) -> Result<Option<VideoRenditionReport>> {
        if self.current.is_none() {
            return Ok(None);
        }
        self.encode_until(self.end_ms.div_ceil(SEGMENT_MS), ctx)?;
        let track = self.track.take().ok_or_else(|| Error::internal("the encoder gave no configuration"))?;
        let listed: Vec<_> = (1..)
            .zip(&self.written)
            .map(|(number, &(duration_ticks, _))| PlaylistSegment {
                uri: format!("{number:05}.m4s"),
                duration_ticks,
                byte_range: None,
            })
            .collect();
        let text = media_playlist(&MediaPlaylist {
            timescale: TIMESCALE,
            target_duration_s: TARGET_DURATION_S,
            init_uri: Some("init.mp4"),
            iframes_only: false,
            segments: &listed,
        });
        let playlist = path("index.m3u8");
        ctx.write_output(&playlist, text.as_bytes())?;
        let (bandwidth_bps, average_bandwidth_bps) =
            peak_and_mean_bps(TIMESCALE, self.written.iter().copied());
        Ok(Some(VideoRenditionReport {
            name: NAME.into(),
            width: self.size.0,
            height: self.size.1,
            frame_rate: Rational::new(1000, SEGMENT_MS as u32),
            codecs: track.codecs(),
            bandwidth_bps,
            average_bandwidth_bps,
            playlist,
            segments: listed.len() as u32,
            duration_ms: self.end_ms,
        }))
    }

    /// Where a segment ends: the last one with the picture. What is left of it after another, if that is too short for a
    /// still on a line this weak, goes with that one.
    fn ends_at(&self, index: u64) -> u64 {
        let end_ms = (index + 1) * SEGMENT_MS;
        if self.end_ms < end_ms + SEGMENT_MS / 2 { self.end_ms } else { end_ms }
    }

    /// Writes the held frame for all segments before `place`.
    fn encode_until(&mut self, index: u64, ctx: &StepContext) -> Result<()> {
        while self.next < index && (self.next == 0 || self.ends_at(self.next - 1) < self.end_ms) {
            ctx.check_cancelled()?;
            let Some(mut buffer) = self.current.clone() else { return Ok(()) };
            let at_ms = self.next * SEGMENT_MS;
            let buffer_ref = buffer.make_mut();
            buffer_ref.set_pts(gst::ClockTime::from_mseconds(at_ms));
            buffer_ref.set_duration(gst::ClockTime::from_mseconds(SEGMENT_MS));
            let stopped = |stage: &RunningPipeline| {
                stage.error().unwrap_or_else(|| Error::internal("an encoder stopped"))
            };
            self.source.push_buffer(buffer).map_err(|_| stopped(&self.stage))?;
            let wait = gst::ClockTime::from_mseconds(MAX_FRAME_WAIT.as_millis() as u64);
            let sample = self.sink.try_pull_sample(wait).ok_or_else(|| stopped(&self.stage))?;
            self.segment(&sample, at_ms, ctx)?;
            self.next += 1;
        }
        Ok(())
    }

    fn segment(&mut self, sample: &gst::Sample, at_ms: u64, ctx: &StepContext) -> Result<()> {
        let odd = || Error::internal("the encoder gave something odd");
        if self.track.is_none() {
            let config =
                sample.caps().and_then(|caps| caps.structure(0)?.get::<gst::Buffer>("codec_data").ok());
            let config = config.ok_or_else(odd)?;
            let config = config.map_readable().map_err(|_| odd())?.to_vec();
            let (width, height) = (self.size.0 as u16, self.size.1 as u16);
            let media = Media::Avc { config, width, height };
            let track = Track { timescale: TIMESCALE, language: None, media };
            ctx.write_output(&path("init.mp4"), &init_segment(&track))?;
            self.track = Some(track);
        }
        let data = sample.buffer().ok_or_else(odd)?.map_readable().map_err(|_| odd())?;
        let ticks = |ms: u64| ms * u64::from(TIMESCALE) / 1000;
        let lasts = ticks(self.ends_at(self.next)) - ticks(at_ms);
        let number = self.written.len() as u32 + 1;
        let still = Sample { data: &data, duration: lasts as u32, composition_offset: 0, sync: true };
        let bytes = fragment(number, ticks(at_ms), &[still]);
        ctx.write_output(&path(&format!("{number:05}.m4s")), &bytes)?;
        self.written.push((lasts, bytes.len() as u64));
        Ok(())
    }

    fn buffer(&self, frame: &RgbImage) -> Result<gst::Buffer> {
        let small = scaled(frame, self.size.0, self.size.1)?;
        let mut buffer = gst::Buffer::from_mut_slice(i420(&small));
        let (luma, half) = ((self.size.0 * self.size.1) as usize, self.size.0 as i32 / 2);
        // The planes are tight; without this they are taken for rows of whole words.
        gst_video::VideoMeta::add_full(
            buffer.make_mut(),
            gst_video::VideoFrameFlags::empty(),
            gst_video::VideoFormat::I420,
            self.size.0,
            self.size.1,
            &[0, luma, luma + luma / 4],
            &[self.size.0 as i32, half, half],
        )
        .map_err(|e| Error::internal("a picture could not be handed on").with_source(e))?;
        Ok(buffer)
    }
}

/// The rendition's name, and its folder's.
const NAME: &str = "stills";

fn path(file: &str) -> String {
    format!("video/{NAME}/{file}")
}

/// The picture fitted into the box, even, and below three quarters of itself: smaller than any other rendition.
fn size(width: u32, height: u32) -> (u32, u32) {
    let (across, down) = if width >= height { BOX_PIXELS } else { (BOX_PIXELS.1, BOX_PIXELS.0) };
    let (wide, high) = (f64::from(width.max(2)), f64::from(height.max(2)));
    let scale = (f64::from(across) / wide).min(f64::from(down) / high).min(0.75);
    let even = |side: f64| ((side * scale / 2.0).round() as u32 * 2).max(16);
    (even(wide), even(high))
}

/// BT.709 of limited range, its planes tight and one after the other.
fn i420(frame: &RgbImage) -> Vec<u8> {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let rgb = frame.as_raw();
    let at = |x: usize, y: usize| {
        let index = (y * width + x) * 3;
        [0, 1, 2].map(|part| f32::from(rgb.get(index + part).copied().unwrap_or(0)) / 255.0)
    };
    let luma = |[r, g, b]: [f32; 3]| 0.2126 * r + 0.7152 * g + 0.0722 * b;
    let byte = |value: f32| value.round().clamp(0.0, 255.0) as u8;
    let mut planes = Vec::with_capacity(width * height * 3 / 2);
    for y in 0..height {
        planes.extend((0..width).map(|x| byte(16.0 + 219.0 * luma(at(x, y)))));
    }
    for (channel, scale) in [(2, 1.8556), (0, 1.5748)] {
        for y in (0..height).step_by(2) {
            for x in (0..width).step_by(2) {
                let four = [at(x, y), at(x + 1, y), at(x, y + 1), at(x + 1, y + 1)];
                let difference: f32 = four.iter().map(|&rgb| (rgb[channel] - luma(rgb)) / scale).sum();
                planes.push(byte(128.0 + 224.0 * difference / 4.0));
            }
        }
    }
    planes
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn stills_are_smaller_than_the_weak_line() {
        assert_eq!(size(1920, 1080), (320, 180));
        assert_eq!(size(1080, 1920), (180, 320));
        assert_eq!(size(640, 480), (240, 180));
        assert_eq!(size(176, 144), (132, 108));
    }

    #[test]
    fn colours_are_those_of_bt_709() {
        let of = |colour| {
            let planes = i420(&RgbImage::from_pixel(2, 2, Rgb(colour)));
            (planes[0], planes[4], planes[5])
        };
        assert_eq!(of([255, 255, 255]), (235, 128, 128));
        assert_eq!(of([0, 0, 0]), (16, 128, 128));
        assert_eq!(of([255, 0, 0]), (63, 102, 240));
        assert_eq!(of([0, 0, 255]), (32, 240, 118));
    }
}
