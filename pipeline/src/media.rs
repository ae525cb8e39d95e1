//! The description of a recording: plain data, made by `inspect` and read by every other step.

use serde::{Deserialize, Serialize};

use crate::source::{ByteRange, Source};

/// A ratio of two integers, such as a frame rate (frames per second).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rational {
    /// Numerator.
    pub num: u32,
    /// Denominator, never 0.
    pub den: u32,
}

impl Rational {
    /// Creates `num / den`.
    pub const fn new(num: u32, den: u32) -> Self {
        Self { num, den }
    }

    /// Returns the value as a float.
    pub fn as_f64(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }
}

/// Transfer characteristic of video, if it is of high dynamic range.
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

/// Something that a viewer or operator may want to know. The recording is used nevertheless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Stable code.
    pub code: String,
    /// One plain sentence.
    pub message: String,
}

/// Code of the warning that the recording was inside a photo.
pub const INSIDE_PHOTO: &str = "inside_photo";
/// Code of the warning that audio channels cancelled each other for some time, which was repaired.
pub const CHANNELS_OPPOSED: &str = "channels_opposed";
/// Code of the warning that one audio channel was silent for some time; now both carry the other
/// one.
pub const ONE_SIDED: &str = "one_sided";
/// Code of the warning that a file has several recordings, which play one after the other.
pub const APPENDED: &str = "appended";
/// Code of the warning that frames of a bare stream were timed with an assumed rate.
pub const ASSUMED_RATE: &str = "assumed_rate";

/// Whether a warning of this code means that something is missing from the output.
pub fn is_loss_code(code: &str) -> bool {
    ![INSIDE_PHOTO, CHANNELS_OPPOSED, ONE_SIDED, APPENDED, ASSUMED_RATE].contains(&code)
}

impl Warning {
    /// Creates a warning.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into() }
    }

    /// Whether it means that something is missing from the output.
    pub fn is_loss(&self) -> bool {
        is_loss_code(&self.code)
    }

    /// A track is shorter than it should be.
    pub fn cut_short(what: &str, end_ms: u64, expected_ms: u64) -> Self {
        let (end, expected) = (clock_time(end_ms), clock_time(expected_ms));
        Self::new(
            "cut_short",
            format!("The {what} ends after {end} of {expected}: the rest is missing or damaged."),
        )
    }

    /// The file's structure shows that its end is missing.
    pub fn not_closed() -> Self {
        Self::new("not_closed", "The file ends early: it was not closed, or its end is missing.")
    }

    /// A frame claims to last far longer than the audio.
    pub fn long_frame(claim_ms: u64, audio_ms: u64) -> Self {
        let (claim, audio) = (clock_time(claim_ms), clock_time(audio_ms));
        Self::new(
            "long_frame",
            format!("A frame claims {claim} in a recording with {audio} of audio; that time is left out."),
        )
    }

    /// Packets of a track could not be decoded.
    pub fn damaged(what: &str, lost: u64, packets: u64) -> Self {
        let share = (lost * 100).div_ceil(packets.max(1)).min(100);
        Self::new("damaged", format!("The {what} is damaged: about {share}% of it could not be read."))
    }
}

/// Whether a track that should end at `expected_ms` was cut short. Allows for rounding in indexes
/// and for a missing last frame.
pub fn is_short(end_ms: u64, expected_ms: u64) -> bool {
    end_ms + (expected_ms / 100).clamp(500, 2000) < expected_ms
}

/// Maximum distance between the ends of video and audio, in ms.
///
/// Players play only as long as both have data, and buffer some 30 s. If one track ends much
/// earlier, they stop there and never notice that it is over.
const MAX_END_DISTANCE_MS: u64 = 10_000;

/// Returns the end of a track after padding with a still frame or silence, in ms.
///
/// The track ends at `end_ms`. It is padded to `other_ms`, the end of the other track, if that is
/// far later.
pub fn padded_end_ms(end_ms: u64, other_ms: u64) -> u64 {
    if end_ms + MAX_END_DISTANCE_MS < other_ms { other_ms } else { end_ms }
}

/// Formats a time as people write it: `0:07`, `12:34`, `1:02:03`.
pub fn clock_time(ms: u64) -> String {
    let s = ms / 1000;
    let (hours, minutes, seconds) = (s / 3600, s / 60 % 60, s % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// Choice of one of several tracks of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackChoice {
    /// Number of tracks of the kind.
    #[serde(rename = "of")]
    pub tracks: u32,
    /// Stable code of the reason, such as `only_speech`.
    #[serde(default)]
    pub code: String,
    /// The reason, as one plain sentence.
    #[serde(rename = "why")]
    pub reason: String,
}

/// One of several recordings that follow one another in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingPart {
    /// Its range in the file.
    pub within: ByteRange,
    /// Its start on the common timeline, in ms.
    pub start_ms: u64,
    /// Like [`MediaInfo::origin_ns`], of this part.
    pub origin_ns: i64,
    /// Index of the video track that is used, counted from 0.
    pub video_index: Option<u32>,
    /// Index of the audio track that is used, counted from 0.
    pub audio_index: Option<u32>,
    /// Like [`MediaInfo::video_gap`], of this part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_gap: Option<Gap>,
}

/// Time that is left out of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Frames after this time are moved, in ns; `i64::MIN` for all.
    pub after_ns: i64,
    /// Time by which they are moved forward, in ns.
    pub length_ns: i64,
}

impl Gap {
    /// Returns a time without the gap, in ns.
    pub fn close(&self, time_ns: i64) -> i64 {
        if time_ns > self.after_ns { time_ns.saturating_sub(self.length_ns) } else { time_ns }
    }
}

/// The parts of a file that are used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaInfo {
    /// Container: `mp4`, `matroska`, `mpegts`, `avi`, `ogg`, `flv`, `mpegps`, `wav`, `mp3`, `flac`,
    /// `gif`, …
    pub container: String,
    /// Size of the recording, in bytes.
    pub size_bytes: u64,
    /// Its range in the file, if the file is a photo with a recording in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<ByteRange>,
    /// The recordings that follow one another in the file, if there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<RecordingPart>,
    /// From the first presented sample to the end of the last one, in ms.
    pub duration_ms: u64,
    /// The demuxer's running time of the earliest presented sample, in ns. It is subtracted from
    /// running times to get times on the common timeline.
    #[serde(default)]
    pub origin_ns: i64,
    /// Time that a video frame claims wrongly; decoding leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_gap: Option<Gap>,
    /// The chosen video track, if any.
    pub video: Option<VideoTrack>,
    /// The chosen audio track, if any.
    pub audio: Option<AudioTrack>,
    /// Oddities of the file.
    pub warnings: Vec<Warning>,
}

impl MediaInfo {
    /// Returns a source of the recording alone.
    pub fn source(&self, file: Source) -> Source {
        match self.within {
            None => file,
            Some(within) => within.view(file),
        }
    }
}

/// The chosen video track.
///
/// Times are on the common presentation timeline: 0 is the earliest presented sample of any chosen
/// track. Edit lists are applied. An end is the last time stamp plus its duration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoTrack {
    /// Codec: `h264`, `hevc`, `vp9`, …
    pub codec: String,
    /// Index among the file's video tracks, counted from 0.
    pub stream_index: u32,
    /// Even width, of upright frames with square pixels.
    pub width: u32,
    /// Even height, of upright frames with square pixels.
    pub height: u32,
    /// Nominal frames per second of the source.
    pub frame_rate: Rational,
    /// Whether frames are unevenly spaced.
    pub variable_rate: bool,
    /// Clockwise turn that makes frames upright: 0, 90, 180 or 270.
    pub rotation_degrees: u16,
    /// Whether frames are also mirrored.
    pub mirrored: bool,
    /// Whether frames carry their own orientation, which may change and takes precedence.
    #[serde(default)]
    pub oriented_by_frame: bool,
    /// Whether frames change their displayed size or shape during the recording.
    #[serde(default)]
    pub changes_size: bool,
    /// Whether frames consist of two fields.
    pub interlaced: bool,
    /// Transfer characteristic.
    pub hdr: Hdr,
    /// Maximum time between two keyframes in the part of the file that was scanned, in ms; 0 if not
    /// known.
    #[serde(default)]
    pub keyframes_apart_ms: u64,
    /// Reason for this track, if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<TrackChoice>,
    /// Time of the first presented frame, in ms.
    pub start_ms: u64,
    /// End of the last frame, in ms.
    pub end_ms: u64,
}

/// Maximum duration of the last frame of a track with uneven frames, if it declares none, in ns.
const MAX_UNEVEN_LAST_FRAME_NS: u64 = 200_000_000;
/// Maximum duration of the last frame of a track with even frames, if it declares none, in ns.
const MAX_EVEN_LAST_FRAME_NS: u64 = 60_000_000_000;

/// Returns the duration of a last frame that declares none, in ns: that of the other frames, up to
/// a limit.
pub fn last_frame_ns(frame_rate: Rational, variable: bool) -> u64 {
    let frame_ns = (1e9 / frame_rate.as_f64()) as u64;
    frame_ns.min(if variable { MAX_UNEVEN_LAST_FRAME_NS } else { MAX_EVEN_LAST_FRAME_NS })
}

/// The way in which a frame is brought upright: mirrored left to right first, then turned
/// clockwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orientation {
    /// 0, 90, 180 or 270.
    pub degrees: u16,
    /// Whether it is mirrored before it is turned.
    pub mirrored: bool,
}

impl Orientation {
    /// Returns the orientation nearest to `flips` (left to right, top to bottom) followed by a
    /// clockwise rotation.
    pub fn nearest((across, down): (bool, bool), clockwise_degrees: f64) -> Self {
        let quarters = (clockwise_degrees / 90.0).round().rem_euclid(4.0) as u16;
        // A flip top to bottom is one left to right and half a turn.
        Self { degrees: (quarters + if down { 2 } else { 0 }) % 4 * 90, mirrored: across != down }
    }

    /// Whether there is nothing to do.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    /// Whether width and height are swapped.
    pub fn is_sideways(self) -> bool {
        self.degrees == 90 || self.degrees == 270
    }
}

impl VideoTrack {
    /// Returns the orientation of frames that do not carry their own.
    pub fn orientation(&self) -> Orientation {
        Orientation { degrees: self.rotation_degrees, mirrored: self.mirrored }
    }
}

/// The chosen audio track; times as in [`VideoTrack`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioTrack {
    /// Codec: `aac`, `pcm`, `opus`, …
    pub codec: String,
    /// Index among the file's audio tracks, counted from 0.
    pub stream_index: u32,
    /// Number of channels.
    pub channels: u32,
    /// Samples per second.
    pub sample_rate_hz: u32,
    /// Language tag, if the file declares one.
    pub language: Option<String>,
    /// Reason for this track, if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<TrackChoice>,
    /// Time of the first presented sample, in ms.
    pub start_ms: u64,
    /// End of the last sample, in ms.
    pub end_ms: u64,
}

#[cfg(test)]
impl VideoTrack {
    /// One second of upright H.264 at 30 frames per second, of this size.
    pub fn for_tests(width: u32, height: u32) -> Self {
        Self {
            codec: "h264".into(),
            stream_index: 0,
            width,
            height,
            frame_rate: Rational::new(30, 1),
            variable_rate: false,
            rotation_degrees: 0,
            mirrored: false,
            oriented_by_frame: false,
            changes_size: false,
            interlaced: false,
            hdr: Hdr::None,
            keyframes_apart_ms: 0,
            chosen: None,
            start_ms: 0,
            end_ms: 1000,
        }
    }
}

#[cfg(test)]
impl AudioTrack {
    /// One second of mono AAC at 48 kHz.
    pub fn for_tests() -> Self {
        Self {
            codec: "aac".into(),
            stream_index: 0,
            channels: 1,
            sample_rate_hz: 48_000,
            language: None,
            chosen: None,
            start_ms: 0,
            end_ms: 1000,
        }
    }
}

#[cfg(test)]
impl MediaInfo {
    /// An MP4 of one second with these tracks.
    pub fn for_tests(video: Option<VideoTrack>, audio: Option<AudioTrack>) -> Self {
        Self {
            container: "mp4".into(),
            size_bytes: 1,
            within: None,
            parts: Vec::new(),
            duration_ms: 1000,
            origin_ns: 0,
            video_gap: None,
            video,
            audio,
            warnings: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_people_write_them() {
        assert_eq!(clock_time(7_900), "0:07");
        assert_eq!(clock_time(754_000), "12:34");
        assert_eq!(clock_time(3_723_000), "1:02:03");
        let message = Warning::cut_short("picture", 754_000, 2_700_000).message;
        assert_eq!(message, "The picture ends after 12:34 of 45:00: the rest is missing or damaged.");
    }

    #[test]
    fn flips_come_before_the_rotation() {
        let turn = |degrees, mirrored| Orientation { degrees, mirrored };
        assert_eq!(Orientation::nearest((false, false), 0.0), turn(0, false));
        assert_eq!(Orientation::nearest((false, false), -90.0), turn(270, false));
        assert_eq!(Orientation::nearest((false, false), 359.6), turn(0, false));
        assert_eq!(Orientation::nearest((true, false), 90.0), turn(90, true));
        assert_eq!(Orientation::nearest((false, true), 0.0), turn(180, true));
        assert_eq!(Orientation::nearest((true, true), 180.0), turn(0, false));
    }

    #[test]
    fn a_missing_frame_is_not_a_missing_end() {
        assert!(!is_short(3_960, 4_000));
        assert!(is_short(3_000, 4_000));
        assert!(!is_short(2_698_500, 2_700_000));
        assert!(is_short(754_000, 2_700_000));
    }
}
