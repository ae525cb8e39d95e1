//! One track as a pass over its packets saw it.

use std::sync::{Arc, Mutex};

use gstreamer as gst;

use super::outlier;
use super::sizes::Sizes;
use crate::media::{Gap, Orientation, Rational};
use crate::mp4::edit_list::EditList;

/// Most time stamps kept of a track.
pub const MOST_TIMES: usize = 20_000;

/// One picture or sound track as its packets show it. Times are running times, in ns.
#[derive(Clone, Debug, Default)]
pub struct Scanned {
    /// What the demuxer calls it.
    pub caps: Option<gst::Caps>,
    /// What people call its codec, where that is known.
    pub codec_label: Option<String>,
    /// Which of its kind, counted from 0.
    pub index: u32,
    /// Whether it is a picture.
    pub picture: bool,
    /// The number the container gives it, for MP4.
    pub number: Option<u32>,
    /// Packets seen.
    pub packets: u64,
    /// Earliest presented time.
    pub start_ns: Option<i64>,
    /// Latest end of a packet whose length is known, or its start.
    pub end_ns: i64,
    /// Presentation times of the first packets.
    pub times_ns: Vec<i64>,
    /// Bytes of all packets, and of the one presented last.
    pub bytes: u64,
    /// See `bytes`.
    pub last_bytes: u64,
    /// Time of the last keyframe, and the longest between two.
    pub keyframe_ns: Option<i64>,
    /// See `keyframe_ns`.
    pub keyframes_apart_ns: i64,
    /// What its frames say of their size, where that is read.
    pub sizes: Sizes,
    /// Turn and mirror the track or the file asks for.
    pub orientation: Option<String>,
    /// What the container's own elements make of it, where the demuxer does not read them.
    pub by_container: Orientation,
    /// Language the track says.
    pub language: Option<String>,
    /// Whether its end was seen.
    pub ended: bool,
}

/// The tracks of a file, which its demuxer's threads add to.
pub type Tracks = Arc<Mutex<Vec<Scanned>>>;

impl Scanned {
    /// How the container brings its frames upright.
    pub fn turn(&self) -> Orientation {
        let tagged = self.orientation.as_deref().map(tagged_turn).unwrap_or_default();
        if tagged.is_none() { self.by_container } else { tagged }
    }

    /// What its frames say of their sizes, the last one until a time.
    pub fn sizes_until(&self, ns: i64) -> Sizes {
        let mut sizes = self.sizes.clone();
        sizes.lasts_until(ns);
        sizes
    }

    /// How long the last packet lasts, in ns, at the rate in bytes of those before it.
    pub fn last_packet_ns(&self) -> Option<i64> {
        let span_ns = self.end_ns.saturating_sub(self.start_ns?).max(0);
        let before = self.bytes.checked_sub(self.last_bytes).filter(|&bytes| bytes > 0)?;
        Some((span_ns as f64 * self.last_bytes as f64 / before as f64) as i64)
    }

    /// Gives the frames of a bare stream times by their number: `rate` is the stream's. Returns how long all of it is,
    /// in ns, where only a part of its `size_bytes` was read: somewhat less than that, since it is worked out.
    pub fn counted(&mut self, rate: Rational, size_bytes: u64, complete: bool) -> Option<u64> {
        // Each field is a packet where frames are coded in fields.
        let fields = self.caps.as_ref().and_then(|caps| {
            Some(caps.structure(0)?.get::<String>("coded-picture-structure").ok()? == "field")
        });
        let frames = self.packets.div_ceil(1 + u64::from(fields == Some(true)));
        let at = |n: u64| (n as f64 * 1e9 / rate.as_f64()) as i64;
        self.times_ns = (0..frames.min(MOST_TIMES as u64)).map(at).collect();
        (self.start_ns, self.end_ns) = (Some(0), at(frames));
        let read = self.bytes.max(1);
        (!complete).then(|| (self.end_ns as f64 * 0.95 * size_bytes as f64 / read as f64) as u64)
    }

    /// Takes the times over from a scan of this track alone, whose edit list was hidden; `is_complete` if that scan
    /// read it to its end.
    pub fn retimed(&mut self, track: &Self, is_complete: bool, edits: Option<&EditList>) {
        let mut times = track.times_ns.clone();
        times.sort_unstable();
        self.packets = track.packets;
        self.ended = is_complete;
        self.keyframe_ns = track.keyframe_ns;
        self.keyframes_apart_ns = track.keyframes_apart_ns;
        match edits {
            None => {
                self.start_ns = times.first().copied();
                // A scan that was cut short saw no end.
                self.end_ns = if is_complete { track.end_ns } else { track.end_ns.max(self.end_ns) };
                self.times_ns = times;
            }
            Some(edits) => {
                self.times_ns = edits.presentation_times(&times, MOST_TIMES);
                self.start_ns = self.times_ns.first().copied();
                let seen_ns = edits.end_ns(track.end_ns);
                self.end_ns = if is_complete { seen_ns } else { seen_ns.max(self.end_ns) };
                // An end that a part cuts off has no keyframe after it.
                self.keyframe_ns =
                    edits.single().and(track.keyframe_ns).map(|ns| edits.parts()[0].presented(ns));
                self.keyframes_apart_ns = (track.keyframes_apart_ns as f64 / edits.min_speed()) as i64;
            }
        }
    }

    /// Leaves out what a frame wrongly claims to last, held against audio from its start to its end in ns. Nothing is
    /// known of a track that was not read to its end.
    pub fn close_claim(&mut self, audio_ns: (i64, i64), is_complete: bool) -> Option<Gap> {
        if !(is_complete || self.ended) || self.times_ns.len() >= MOST_TIMES {
            return None;
        }
        self.times_ns.sort_unstable();
        let gap = outlier::claim(&self.times_ns, self.end_ns, audio_ns)?;
        for ns in self.times_ns.iter_mut().chain(&mut self.start_ns).chain(&mut self.keyframe_ns) {
            *ns = gap.close(*ns);
        }
        self.end_ns = self.end_ns.saturating_sub(gap.length_ns);
        self.keyframes_apart_ns = self.keyframes_apart_ns.saturating_sub(gap.length_ns).max(0);
        Some(gap)
    }

    /// The longest that a keyframe is all there is to decode from, in what was read of the track.
    pub fn longest_from_keyframe_ns(&self) -> i64 {
        let after = self.keyframe_ns.map_or(0, |at| self.end_ns.saturating_sub(at));
        // Where only the front was read, the end may be a declared one.
        if self.ended { self.keyframes_apart_ns.max(after) } else { self.keyframes_apart_ns }
    }
}

/// What GStreamer's `image-orientation` tag says: flipped left to right first, then turned
/// clockwise.
fn tagged_turn(tag: &str) -> Orientation {
    let degrees: f64 = tag.rsplit('-').next().and_then(|d| d.parse().ok()).unwrap_or(0.0);
    Orientation::nearest((tag.starts_with("flip"), false), degrees)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_a_bare_stream_are_counted() {
        let mut track = Scanned { packets: 50, bytes: 1000, ..Scanned::default() };
        assert_eq!(track.counted(Rational::new(25, 1), 1000, true), None);
        assert_eq!((track.start_ns, track.end_ns, track.times_ns[1]), (Some(0), 2_000_000_000, 40_000_000));
        assert_eq!(track.counted(Rational::new(25, 1), 10_000, false), Some(19_000_000_000));
    }

    #[test]
    fn tags_say_how_to_turn() {
        let turn = |tag| (tagged_turn(tag).degrees, tagged_turn(tag).mirrored);
        assert_eq!(turn("rotate-90"), (90, false));
        assert_eq!(turn("flip-rotate-270"), (270, true));
        assert_eq!(turn("rotate-0"), (0, false));
        assert_eq!(turn(""), (0, false));
    }

    #[test]
    fn a_last_packet_lasts_what_its_bytes_do() {
        let track = Scanned {
            start_ns: Some(1_000),
            end_ns: 5_001_000,
            bytes: 1100,
            last_bytes: 100,
            ..Scanned::default()
        };
        assert_eq!(track.last_packet_ns(), Some(500_000));
        let alone = Scanned { bytes: 100, ..track };
        assert_eq!(alone.last_packet_ns(), None, "there is no rate to go by");
    }
}
