//! The rendition for the weakest line: one still image a segment, each a keyframe of H.264, so that
//! a player can switch down to it as to any other rendition.

use std::time::Duration;

use gstreamer as gst;
use gstreamer_app as gst_app;
use image::RgbImage;

use super::encode::scaled;
use crate::context::StepContext;
use crate::error::{Error, Result};
use crate::fmp4::{FragmentSample, Track, TrackMedia, fragment, init_segment};
use crate::gst::{RunningPipeline, X264Pipeline, i420_buffer};
use crate::hls::{MediaPlaylist, PlaylistSegment, TARGET_DURATION_S, media_playlist, peak_and_mean_bps};
use crate::ladder::KEYFRAME_INTERVAL_MS;
use crate::media::{Rational, VideoTrack};
use crate::report::VideoRenditionReport;

/// Name of the rendition, and of its folder.
const NAME: &str = "stills";
/// Length of a segment, in ms: as in every other rendition.
pub const SEGMENT_MS: u64 = 2 * KEYFRAME_INTERVAL_MS;
/// The box that landscape video is fitted into, in pixels. It is smaller than the weak line's, so
/// that players rank the rendition below that.
const BOX_PIXELS: (u32, u32) = (320, 180);
/// Most bits of video in a second, in kbit/s. With its boxes and the smallest audio rendition it
/// stays below 64.
const MAX_KBPS: u32 = 26;
/// x264's rate factor. It keeps slides sharp, and spends less where they need less.
const QUALITY: u32 = 24;
const TIMESCALE: u32 = 90_000;
/// One frame a segment.
const FRAME_RATE: Rational = Rational::new(1000, SEGMENT_MS as u32);
/// Longest wait for one encoded image.
const MAX_FRAME_WAIT: Duration = Duration::from_secs(30);

/// The rendition being made.
pub struct StillsRendition {
    size: (u32, u32),
    pipeline: RunningPipeline,
    source: gst_app::AppSrc,
    sink: gst_app::AppSink,
    track: Option<Track>,
    current: Option<gst::Buffer>,
    /// Number of segments given to the encoder.
    next: u64,
    /// Ticks and bytes of the segments written.
    written: Vec<(u64, u64)>,
    end_ms: u64,
}

impl StillsRendition {
    /// A rendition of a video that lasts until `end_ms`.
    pub fn new(video: &VideoTrack, end_ms: u64, ctx: &StepContext) -> Result<Self> {
        crate::gst::init()?;
        let size = size(video.width, video.height);
        let properties = [
            ("speed-preset", "slow"),
            ("tune", "zerolatency"),
            ("pass", "qual"),
            ("quantizer", &QUALITY.to_string()),
            ("bitrate", &MAX_KBPS.to_string()),
            ("vbv-buf-capacity", &SEGMENT_MS.to_string()),
            ("key-int-max", "1"),
            ("threads", "1"),
            ("aud", "false"),
        ];
        let X264Pipeline { source, sink, pipeline, .. } =
            X264Pipeline::new(size, FRAME_RATE, "main", &properties)?;
        pipeline.start(gst::State::Playing)?;
        ctx.check_cancelled()?;
        let (track, current, written) = (None, None, Vec::new());
        Ok(Self { size, pipeline, source, sink, track, current, next: 0, written, end_ms: end_ms.max(1) })
    }

    /// Adds a frame at `time_ms`. A segment presents the first frame of its time, or without one
    /// the frame before.
    pub fn add_frame(&mut self, time_ms: u64, frame: &RgbImage, ctx: &StepContext) -> Result<()> {
        let index = time_ms / SEGMENT_MS;
        let due = self.next + u64::from(self.current.is_some());
        if index < due && self.current.is_some() {
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
            frame_rate: FRAME_RATE,
            codecs: track.codecs(),
            bandwidth_bps,
            average_bandwidth_bps,
            playlist,
            segments: listed.len() as u32,
            duration_ms: self.end_ms,
        }))
    }

    /// Returns the end of a segment. The last one ends with the video. If less than half a segment
    /// would be left after it, it includes that: the line is too weak for another still so soon.
    fn ends_at(&self, index: u64) -> u64 {
        let end_ms = (index + 1) * SEGMENT_MS;
        if self.end_ms < end_ms + SEGMENT_MS / 2 { self.end_ms } else { end_ms }
    }

    /// Writes the current frame for all segments before `index`.
    fn encode_until(&mut self, index: u64, ctx: &StepContext) -> Result<()> {
        while self.next < index && (self.next == 0 || self.ends_at(self.next - 1) < self.end_ms) {
            ctx.check_cancelled()?;
            let Some(mut buffer) = self.current.clone() else { return Ok(()) };
            let at_ms = self.next * SEGMENT_MS;
            let buffer_ref = buffer.make_mut();
            buffer_ref.set_pts(gst::ClockTime::from_mseconds(at_ms));
            buffer_ref.set_duration(gst::ClockTime::from_mseconds(SEGMENT_MS));
            let stopped = |pipeline: &RunningPipeline| {
                pipeline.error().unwrap_or_else(|| Error::internal("an encoder stopped"))
            };
            self.source.push_buffer(buffer).map_err(|_| stopped(&self.pipeline))?;
            let wait = gst::ClockTime::from_mseconds(MAX_FRAME_WAIT.as_millis() as u64);
            let sample = self.sink.try_pull_sample(wait).ok_or_else(|| stopped(&self.pipeline))?;
            self.write_segment(&sample, at_ms, ctx)?;
            self.next += 1;
        }
        Ok(())
    }

    fn write_segment(&mut self, sample: &gst::Sample, at_ms: u64, ctx: &StepContext) -> Result<()> {
        let unexpected = || Error::internal("the encoder gave something odd");
        if self.track.is_none() {
            let config =
                sample.caps().and_then(|caps| caps.structure(0)?.get::<gst::Buffer>("codec_data").ok());
            let config = config.ok_or_else(unexpected)?;
            let config = config.map_readable().map_err(|_| unexpected())?.to_vec();
            let (width, height) = (self.size.0 as u16, self.size.1 as u16);
            let media = TrackMedia::Avc { config, width, height };
            let track = Track { timescale: TIMESCALE, language: None, media };
            ctx.write_output(&path("init.mp4"), &init_segment(&track))?;
            self.track = Some(track);
        }
        let data = sample.buffer().ok_or_else(unexpected)?.map_readable().map_err(|_| unexpected())?;
        let ticks = |ms: u64| ms * u64::from(TIMESCALE) / 1000;
        let duration = ticks(self.ends_at(self.next)) - ticks(at_ms);
        let number = self.written.len() as u32 + 1;
        let still =
            FragmentSample { data: &data, duration: duration as u32, composition_offset: 0, sync: true };
        let bytes = fragment(number, ticks(at_ms), &[still]);
        ctx.write_output(&path(&format!("{number:05}.m4s")), &bytes)?;
        self.written.push((duration, bytes.len() as u64));
        Ok(())
    }

    fn buffer(&self, frame: &RgbImage) -> Result<gst::Buffer> {
        let (width, height) = self.size;
        i420_buffer(i420(&scaled(frame, width, height)?), (width as usize, height as usize))
    }
}

fn path(file: &str) -> String {
    format!("video/{NAME}/{file}")
}

/// The video's size fitted into the box: even, and at most three quarters of the original, so that
/// it is smaller than any other rendition.
fn size(width: u32, height: u32) -> (u32, u32) {
    let (across, down) = if width >= height { BOX_PIXELS } else { (BOX_PIXELS.1, BOX_PIXELS.0) };
    let (wide, high) = (f64::from(width.max(2)), f64::from(height.max(2)));
    let scale = (f64::from(across) / wide).min(f64::from(down) / high).min(0.75);
    let even = |side: f64| ((side * scale / 2.0).round() as u32 * 2).max(16);
    (even(wide), even(high))
}

/// Converts to I420 in BT.709 of limited range, with tight planes that follow one another.
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
        let converted = |colour| {
            let planes = i420(&RgbImage::from_pixel(2, 2, Rgb(colour)));
            (planes[0], planes[4], planes[5])
        };
        assert_eq!(converted([255, 255, 255]), (235, 128, 128));
        assert_eq!(converted([0, 0, 0]), (16, 128, 128));
        assert_eq!(converted([255, 0, 0]), (63, 102, 240));
        assert_eq!(converted([0, 0, 255]), (32, 240, 118));
    }
}
