//! Decoded buffers, as decoders return them.

use gstreamer as gst;

use crate::media::Orientation;

/// One of the two chosen tracks of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackKind {
    /// The chosen video track.
    Video,
    /// The chosen audio track.
    Audio,
}

/// A decoded buffer.
pub struct DecodedBuffer {
    /// The samples.
    pub buffer: gst::Buffer,
    /// Their format.
    pub caps: gst::Caps,
    /// Presentation time on the common timeline, in ns; negative before the recording's start.
    pub time_ns: i64,
    /// Duration, in ns, if known.
    pub duration_ns: Option<u64>,
    /// Orientation of a frame.
    pub turn: Orientation,
}
