//! What a recording is: plain data, found by `inspect` and read by every other step.

use serde::{Deserialize, Serialize};

/// A ratio of two whole numbers, such as a frame rate (frames per second).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rational {
    /// Numerator.
    pub num: u32,
    /// Denominator, never 0.
    pub den: u32,
}

impl Rational {
    /// `num / den`.
    pub const fn new(num: u32, den: u32) -> Self {
        Self { num, den }
    }

    /// The value as a float.
    pub fn as_f64(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }
}

/// High dynamic range transfer of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hdr {
    /// Standard dynamic range.
    #[default]
    None,
    /// SMPTE ST 2084.
    Pq,
    /// ARIB STD-B67.
    Hlg,
}

/// Something a viewer or operator may want to know; the recording is used all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Stable code.
    pub code: String,
    /// One plain sentence.
    pub message: String,
}

/// What a file holds, of that which we use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaInfo {
    /// Container: `mp4`, `matroska`, `mpegts`, `avi`, `ogg`, `flv`, `mpegps`, `wav`, `mp3`, `flac`, `gif`, …
    pub container: String,
    /// Size of the file, in bytes.
    pub size_bytes: u64,
    /// From the first presented sample to the end of the last one, in ms.
    pub duration_ms: u64,
    /// What the demuxer calls the time of the earliest presented sample, in ns: take it away from a running time to
    /// be on the common timeline.
    #[serde(default)]
    pub origin_ns: i64,
    /// The picture, where there is one.
    pub video: Option<VideoTrack>,
    /// The sound, where there is some.
    pub audio: Option<AudioTrack>,
    /// What is odd about the file.
    pub warnings: Vec<Warning>,
}

/// The chosen video track. Times are on the common presentation timeline: 0 is the earliest presented sample of
/// any chosen track, edit lists are applied, an end is the last time stamp plus its duration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoTrack {
    /// Codec: `h264`, `hevc`, `vp9`, …
    pub codec: String,
    /// Which of the file's video tracks, counted from 0.
    pub stream_index: u32,
    /// Width upright and with square pixels, even.
    pub width: u32,
    /// Height upright and with square pixels, even.
    pub height: u32,
    /// Nominal frames per second of the source.
    pub frame_rate: Rational,
    /// Whether frames are unevenly spaced.
    pub variable_rate: bool,
    /// Clockwise turn that makes the picture upright: 0, 90, 180 or 270.
    pub rotation_degrees: u16,
    /// Whether it is also mirrored.
    pub mirrored: bool,
    /// Whether frames are made of two fields.
    pub interlaced: bool,
    /// Transfer characteristic.
    pub hdr: Hdr,
    /// First presented frame, in ms.
    pub start_ms: u64,
    /// End of the last frame, in ms.
    pub end_ms: u64,
}

/// The chosen audio track; times as in [`VideoTrack`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioTrack {
    /// Codec: `aac`, `pcm`, `opus`, …
    pub codec: String,
    /// Which of the file's audio tracks, counted from 0.
    pub stream_index: u32,
    /// Channels.
    pub channels: u32,
    /// Samples per second.
    pub sample_rate_hz: u32,
    /// Language tag, where the file says one.
    pub language: Option<String>,
    /// First presented sample, in ms.
    pub start_ms: u64,
    /// End of the last sample, in ms.
    pub end_ms: u64,
}

/// Limits a file is held to before and while it is decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Most pixels in one picture.
    pub max_pixels: u64,
    /// Longest recording, in ms.
    pub max_duration_ms: u64,
    /// Most tracks in one file.
    pub max_tracks: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_pixels: 8192 * 4352, max_duration_ms: 6 * 3_600_000, max_tracks: 32 }
    }
}
