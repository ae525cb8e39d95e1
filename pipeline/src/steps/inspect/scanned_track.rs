//! One track as a scan of its packets finds it.

use std::sync::{Arc, Mutex};

use gstreamer as gst;

use super::frame_sizes::FrameSizes;
use super::overlong_frame;
use crate::media::{Gap, Orientation, Rational};
use crate::mp4::edit_list::EditList;

/// Most time stamps kept of a track.
pub const MAX_TIMES: usize = 20_000;

/// One video or audio track. Times are running times, in ns.
#[derive(Clone, Debug, Default)]
pub struct ScannedTrack {
    /// Caps of the demuxer.
    pub caps: Option<gst::Caps>,
    /// Common name of the codec, if known.
    pub codec_label: Option<String>,
    /// Number among the tracks of its kind, from 0.
    pub index: u32,
    /// Whether it is video.
    pub is_video: bool,
    /// Track ID in an MP4.
    pub track_id: Option<u32>,
    /// Number of packets.
    pub packets: u64,
    /// Earliest presented time.
    pub start_ns: Option<i64>,
    /// Latest end of a packet whose length is known, or its start.
    pub end_ns: i64,
    /// Presentation times of the first packets.
    pub times_ns: Vec<i64>,
    /// Bytes of all packets.
    pub bytes: u64,
    /// Bytes of the packet that is presented last.
    pub last_packet_bytes: u64,
    /// Time of the last keyframe.
    pub last_keyframe_ns: Option<i64>,
    /// Longest time between two keyframes.
    pub keyframes_apart_ns: i64,
    /// Sizes in the headers of its frames, if those are read.
    pub sizes: FrameSizes,
    /// GStreamer's `image-orientation` tag of the track or the file.
    pub orientation_tag: Option<String>,
    /// Orientation by elements of the container that the demuxer does not read.
    pub container_turn: Orientation,
    /// Language tag.
    pub language: Option<String>,
    /// Whether the scan reached its end.
    pub is_end_known: bool,
}

/// The tracks of a file, to which its demuxer's threads add.
pub type SharedTracks = Arc<Mutex<Vec<ScannedTrack>>>;

impl ScannedTrack {
    /// The turn by the container that makes its frames upright.
    pub fn turn(&self) -> Orientation {
        let tagged = self.orientation_tag.as_deref().map(tagged_turn).unwrap_or_default();
        if tagged.is_none() { self.container_turn } else { tagged }
    }

    /// Frames per second that its caps declare.
    pub fn declared_rate(&self) -> Option<Rational> {
        let rate = self.caps.as_ref()?.structure(0)?.get::<gst::Fraction>("framerate").ok()?;
        let (num, den) = (u32::try_from(rate.numer()).ok()?, u32::try_from(rate.denom()).ok()?);
        (num > 0 && den > 0).then_some(Rational::new(num, den))
    }

    /// Pixels of a frame by its caps; 0 if they do not say.
    pub fn pixels(&self) -> i64 {
        let size = self.caps.as_ref().and_then(|caps| {
            let s = caps.structure(0)?;
            Some(i64::from(s.get::<i32>("width").ok()?) * i64::from(s.get::<i32>("height").ok()?))
        });
        size.unwrap_or(0)
    }

    /// Whether it is a cover or thumbnail: a frame or two in the format of a still image.
    pub fn is_still(&self) -> bool {
        let is_image = self
            .caps
            .as_ref()
            .and_then(|c| c.structure(0))
            .is_some_and(|s| s.name().starts_with("image/") && s.name() != "image/gst-libav-gif");
        is_image && self.packets < 3
    }

    /// The sizes of its frames, the last one up to a time.
    pub fn sizes_until(&self, ns: i64) -> FrameSizes {
        let mut sizes = self.sizes.clone();
        sizes.extend_until(ns);
        sizes
    }

    /// Duration of the last packet in ns, at the byte rate of those before it.
    pub fn last_packet_ns(&self) -> Option<i64> {
        let span_ns = self.end_ns.saturating_sub(self.start_ns?).max(0);
        let before = self.bytes.checked_sub(self.last_packet_bytes).filter(|&bytes| bytes > 0)?;
        Some((span_ns as f64 * self.last_packet_bytes as f64 / before as f64) as i64)
    }

    /// Sets the times of frames that have none by their number, at the stream's `rate`.
    ///
    /// If only a part of the `file_bytes` was read, returns an estimate of the length of all of it,
    /// in ns. It is low on purpose.
    pub fn set_even_times(&mut self, rate: Rational, file_bytes: u64, is_complete: bool) -> Option<u64> {
        // Each field is a packet if frames are coded in fields.
        let is_coded_in_fields = self.caps.as_ref().is_some_and(|caps| {
            let structure = caps.structure(0).and_then(|s| s.get::<String>("coded-picture-structure").ok());
            structure.is_some_and(|structure| structure == "field")
        });
        let frames = self.packets.div_ceil(1 + u64::from(is_coded_in_fields));
        let time_ns = |frame: u64| (frame as f64 * 1e9 / rate.as_f64()) as i64;
        self.times_ns = (0..frames.min(MAX_TIMES as u64)).map(time_ns).collect();
        (self.start_ns, self.end_ns) = (Some(0), time_ns(frames));
        let read_bytes = self.bytes.max(1);
        (!is_complete).then(|| (self.end_ns as f64 * 0.95 * file_bytes as f64 / read_bytes as f64) as u64)
    }

    /// Replaces its times by those of a scan of this track alone in media time, to which `edits`
    /// are applied. `is_complete` if that scan read it to its end.
    pub fn replace_times(&mut self, media: &Self, is_complete: bool, edits: Option<&EditList>) {
        let mut times = media.times_ns.clone();
        times.sort_unstable();
        self.packets = media.packets;
        self.is_end_known = is_complete;
        self.last_keyframe_ns = media.last_keyframe_ns;
        self.keyframes_apart_ns = media.keyframes_apart_ns;
        let end_ns = match edits {
            None => {
                self.times_ns = times;
                media.end_ns
            }
            Some(edits) => {
                self.times_ns = edits.presentation_times(&times, MAX_TIMES);
                // An end that a part cuts off has no keyframe after it.
                self.last_keyframe_ns =
                    edits.single().and(media.last_keyframe_ns).map(|ns| edits.parts()[0].presented(ns));
                self.keyframes_apart_ns = (media.keyframes_apart_ns as f64 / edits.min_speed()) as i64;
                edits.end_ns(media.end_ns)
            }
        };
        self.start_ns = self.times_ns.first().copied();
        // The end in a scan that stopped early is not the end of the track.
        self.end_ns = if is_complete { end_ns } else { end_ns.max(self.end_ns) };
    }

    /// Removes the time that a frame wrongly claims, compared with audio from its start to its end
    /// in ns. `None` if there is no such frame, or the track was not read to its end.
    pub fn remove_gap(&mut self, audio_ns: (i64, i64), is_complete: bool) -> Option<Gap> {
        if !(is_complete || self.is_end_known) || self.times_ns.len() >= MAX_TIMES {
            return None;
        }
        self.times_ns.sort_unstable();
        let gap = overlong_frame::find(&self.times_ns, self.end_ns, audio_ns)?;
        for ns in self.times_ns.iter_mut().chain(&mut self.start_ns).chain(&mut self.last_keyframe_ns) {
            *ns = gap.close(*ns);
        }
        self.end_ns = self.end_ns.saturating_sub(gap.length_ns);
        self.keyframes_apart_ns = self.keyframes_apart_ns.saturating_sub(gap.length_ns).max(0);
        Some(gap)
    }

    /// Longest time without a new keyframe, in the part of the track that was read.
    pub fn max_keyframe_interval_ns(&self) -> i64 {
        let last_ns = self.last_keyframe_ns.map_or(0, |at| self.end_ns.saturating_sub(at));
        // If only the front was read, the end may be a declared one.
        if self.is_end_known { self.keyframes_apart_ns.max(last_ns) } else { self.keyframes_apart_ns }
    }
}

/// The turn in GStreamer's `image-orientation` tag: flipped left to right first, then turned
/// clockwise.
fn tagged_turn(tag: &str) -> Orientation {
    let degrees: f64 = tag.rsplit('-').next().and_then(|d| d.parse().ok()).unwrap_or(0.0);
    Orientation::nearest((tag.starts_with("flip"), false), degrees)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_a_bare_stream_have_times_by_their_number() {
        let mut track = ScannedTrack { packets: 50, bytes: 1000, ..ScannedTrack::default() };
        assert_eq!(track.set_even_times(Rational::new(25, 1), 1000, true), None);
        assert_eq!((track.start_ns, track.end_ns, track.times_ns[1]), (Some(0), 2_000_000_000, 40_000_000));
        assert_eq!(track.set_even_times(Rational::new(25, 1), 10_000, false), Some(19_000_000_000));
    }

    #[test]
    fn tags_give_a_turn() {
        let turn = |tag| (tagged_turn(tag).degrees, tagged_turn(tag).mirrored);
        assert_eq!(turn("rotate-90"), (90, false));
        assert_eq!(turn("flip-rotate-270"), (270, true));
        assert_eq!(turn("rotate-0"), (0, false));
        assert_eq!(turn(""), (0, false));
    }

    #[test]
    fn a_last_packet_lasts_as_long_as_its_bytes() {
        let track = ScannedTrack {
            start_ns: Some(1_000),
            end_ns: 5_001_000,
            bytes: 1100,
            last_packet_bytes: 100,
            ..ScannedTrack::default()
        };
        assert_eq!(track.last_packet_ns(), Some(500_000));
        let alone = ScannedTrack { bytes: 100, ..track };
        assert_eq!(alone.last_packet_ns(), None, "there is no rate to go by");
    }
}
