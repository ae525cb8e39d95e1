//! What a recording is: plain data, found by `inspect` and read by every other step.

use serde::{Deserialize, Serialize};

use crate::source::{ByteRange, Source};

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

/// Code of a warning that the recording was inside a photo.
pub const INSIDE_PHOTO: &str = "inside_photo";
/// Code of a warning that audio channels cancelled each other for some time, and that this was repaired.
pub const CHANNELS_OPPOSED: &str = "channels_opposed";
/// Code of a warning that one audio channel alone had sound for some time, and that both have it now.
pub const ONE_SIDED: &str = "one_sided";
/// Code of a warning that a file has several recordings, which play one after the other.
pub const APPENDED: &str = "appended";
/// Code of a warning that the frames of a bare stream have times by an assumed rate.
pub const ASSUMED_RATE: &str = "assumed_rate";

/// Whether a warning of this code says why less comes out than should.
pub fn is_loss_code(code: &str) -> bool {
    ![INSIDE_PHOTO, CHANNELS_OPPOSED, ONE_SIDED, APPENDED, ASSUMED_RATE].contains(&code)
}

impl Warning {
    /// A warning.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into() }
    }

    /// Whether it says why less comes out than should.
    pub fn is_loss(&self) -> bool {
        is_loss_code(&self.code)
    }

    /// A track that is shorter than it should be.
    pub fn cut_short(what: &str, end_ms: u64, expected_ms: u64) -> Self {
        let (end, expected) = (clock(end_ms), clock(expected_ms));
        Self::new(
            "cut_short",
            format!("The {what} ends after {end} of {expected}: the rest is missing or damaged."),
        )
    }

    /// A file whose structure says that something is missing at its end.
    pub fn not_closed() -> Self {
        Self::new("not_closed", "The file ends early: it was not closed, or its end is missing.")
    }

    /// A frame that claims to last far longer than the audio.
    pub fn long_frame(claim_ms: u64, audio_ms: u64) -> Self {
        let (claim, audio) = (clock(claim_ms), clock(audio_ms));
        Self::new(
            "long_frame",
            format!("A frame claims {claim} in a recording with {audio} of audio; that time is left out."),
        )
    }

    /// A track of which packets could not be decoded.
    pub fn damaged(what: &str, lost: u64, packets: u64) -> Self {
        let share = (lost * 100).div_ceil(packets.max(1)).min(100);
        Self::new("damaged", format!("The {what} is damaged: about {share}% of it could not be read."))
    }
}

/// Whether a track that should end at `expected_ms` was cut short. Indexes round, and a last frame may be missing.
pub fn is_short(end_ms: u64, expected_ms: u64) -> bool {
    end_ms + (expected_ms / 100).clamp(500, 2000) < expected_ms
}

/// How far apart picture and sound may end, in ms. Players play to where both have something, and buffer some 30 s: where
/// one ends much earlier, they would stand still there and never learn that it is over.
const APART_MS: u64 = 10_000;

/// Where a track that ends at `end_ms` is to end, when the other one ends at `other_ms`: with that where it is far behind,
/// still or silent.
pub fn padded_end_ms(end_ms: u64, other_ms: u64) -> u64 {
    if end_ms + APART_MS < other_ms { other_ms } else { end_ms }
}

/// A time as people write it: `0:07`, `12:34`, `1:02:03`.
pub fn clock(ms: u64) -> String {
    let s = ms / 1000;
    let (hours, minutes, seconds) = (s / 3600, s / 60 % 60, s % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// Why this track and not another of its kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackChoice {
    /// How many tracks of the kind there are.
    pub of: u32,
    /// Stable code of the reason, such as `only_speech`.
    #[serde(default)]
    pub code: String,
    /// One plain sentence.
    pub why: String,
}

/// One of several recordings that follow one another in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingPart {
    /// Where it is in the file.
    pub within: ByteRange,
    /// Where it begins on the common timeline, in ms.
    pub start_ms: u64,
    /// As [`MediaInfo::origin_ns`], of this part.
    pub origin_ns: i64,
    /// Which of its video tracks is used, counted from 0.
    pub video_index: Option<u32>,
    /// Which of its audio tracks is used, counted from 0.
    pub audio_index: Option<u32>,
    /// As [`MediaInfo::video_gap`], of this part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_gap: Option<Gap>,
}

/// Time on the common timeline that is left out of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Frames later than this are moved, in ns; `i64::MIN` for all.
    pub after_ns: i64,
    /// By how much they are moved forward, in ns.
    pub length_ns: i64,
}

impl Gap {
    /// A time with the gap left out, in ns.
    pub fn closed(&self, time_ns: i64) -> i64 {
        if time_ns > self.after_ns { time_ns.saturating_sub(self.length_ns) } else { time_ns }
    }
}

/// What a file holds, of that which we use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaInfo {
    /// Container: `mp4`, `matroska`, `mpegts`, `avi`, `ogg`, `flv`, `mpegps`, `wav`, `mp3`, `flac`, `gif`, …
    pub container: String,
    /// Size of the recording, in bytes.
    pub size_bytes: u64,
    /// Where it is in the file, if that is a photo with a recording in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<ByteRange>,
    /// The recordings that follow one another in the file, if there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<RecordingPart>,
    /// From the first presented sample to the end of the last one, in ms.
    pub duration_ms: u64,
    /// What the demuxer calls the time of the earliest presented sample, in ns: take it away from a running time to
    /// be on the common timeline.
    #[serde(default)]
    pub origin_ns: i64,
    /// Time that a frame of the video wrongly claims; decoding leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_gap: Option<Gap>,
    /// The picture, where there is one.
    pub video: Option<VideoTrack>,
    /// The sound, where there is some.
    pub audio: Option<AudioTrack>,
    /// What is odd about the file.
    pub warnings: Vec<Warning>,
}

impl MediaInfo {
    /// The recording alone.
    pub fn source(&self, file: Source) -> Source {
        match self.within {
            None => file,
            Some(within) => within.view(file),
        }
    }
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
    /// Whether frames carry their orientation themselves, which may change: then each frame's own
    /// one counts.
    #[serde(default)]
    pub oriented_by_frame: bool,
    /// Whether frames change their displayed size or shape during the recording.
    #[serde(default)]
    pub changes_size: bool,
    /// Whether frames are made of two fields.
    pub interlaced: bool,
    /// Transfer characteristic.
    pub hdr: Hdr,
    /// Longest time for which there is but one keyframe, in what was looked at of the file, in ms; 0 where that is not known.
    #[serde(default)]
    pub keyframes_apart_ms: u64,
    /// Why this one, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<TrackChoice>,
    /// First presented frame, in ms.
    pub start_ms: u64,
    /// End of the last frame, in ms.
    pub end_ms: u64,
}

/// Longest last frame of a track without a pace, where nothing says how long it lasts, in ns.
const LONGEST_UNPACED_NS: u64 = 200_000_000;
/// Longest last frame where nothing says how long it lasts, in ns.
const LONGEST_UNKNOWN_NS: u64 = 60_000_000_000;

/// How long a last frame lasts, in ns, where nothing says so: as long as the others where they are evenly spaced.
pub fn last_frame_ns(frame_rate: Rational, variable: bool) -> u64 {
    let frame_ns = (1e9 / frame_rate.as_f64()) as u64;
    frame_ns.min(if variable { LONGEST_UNPACED_NS } else { LONGEST_UNKNOWN_NS })
}

/// How a frame is brought upright: mirrored left to right first, then turned clockwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orientation {
    /// 0, 90, 180 or 270.
    pub degrees: u16,
    /// Whether it is mirrored before it is turned.
    pub mirrored: bool,
}

impl Orientation {
    /// The turn nearest to `flips` (left to right, top to bottom) followed by a clockwise rotation.
    pub fn nearest((across, down): (bool, bool), clockwise_degrees: f64) -> Self {
        let quarters = (clockwise_degrees / 90.0).round().rem_euclid(4.0) as u16;
        // A flip top to bottom is one left to right and half a turn.
        Self { degrees: (quarters + if down { 2 } else { 0 }) % 4 * 90, mirrored: across != down }
    }

    /// Whether there is nothing to do.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    /// Whether width and height change places.
    pub fn is_sideways(self) -> bool {
        self.degrees == 90 || self.degrees == 270
    }
}

impl VideoTrack {
    /// How its frames are brought upright, where they do not say so themselves.
    pub fn turn(&self) -> Orientation {
        Orientation { degrees: self.rotation_degrees, mirrored: self.mirrored }
    }
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
    /// Why this one, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<TrackChoice>,
    /// First presented sample, in ms.
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
        assert_eq!(clock(7_900), "0:07");
        assert_eq!(clock(754_000), "12:34");
        assert_eq!(clock(3_723_000), "1:02:03");
        let said = Warning::cut_short("picture", 754_000, 2_700_000).message;
        assert_eq!(said, "The picture ends after 12:34 of 45:00: the rest is missing or damaged.");
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
