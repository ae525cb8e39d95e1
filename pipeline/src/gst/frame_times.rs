//! Times of decoded frames for containers that have none, or wrong ones.

use std::sync::Arc;

use gstreamer as gst;

use super::decoded::TrackKind;
use crate::error::Result;
use crate::media::{MediaInfo, Rational};
use crate::source::Source;

/// Source of the times of decoded frames.
#[derive(Clone)]
pub enum FrameTimes {
    /// The decoder: its times are right.
    Decoder,
    /// A list of the times and durations of all frames, in ns.
    List(Arc<Vec<(u64, u64)>>),
    /// A constant frame rate.
    Rate(Rational),
}

impl FrameTimes {
    /// The source of times for a track of a recording.
    pub fn for_track(media: &MediaInfo, kind: TrackKind, source: &Source) -> Result<Self> {
        Ok(match media.container.as_str() {
            "gif" => Self::List(Arc::new(super::gif::frame_times(source)?)),
            container if kind == TrackKind::Video && super::has_regular_frames(container) => {
                media.video.as_ref().map_or(Self::Decoder, |video| Self::Rate(video.frame_rate))
            }
            _ => Self::Decoder,
        })
    }

    /// Returns time and duration of the `n`th frame; `None` if those of the decoder are right.
    pub fn nth(&self, n: u64) -> Option<(gst::ClockTime, gst::ClockTime)> {
        let (time_ns, duration_ns) = match self {
            Self::Decoder => return None,
            Self::List(all) => *all.get(usize::try_from(n).ok()?)?,
            Self::Rate(rate) => {
                let at = |n: u64| {
                    let ns =
                        u128::from(n) * 1_000_000_000 * u128::from(rate.den) / u128::from(rate.num.max(1));
                    u64::try_from(ns).unwrap_or(u64::MAX / 2)
                };
                (at(n), at(n + 1).saturating_sub(at(n)))
            }
        };
        Some((gst::ClockTime::from_nseconds(time_ns), gst::ClockTime::from_nseconds(duration_ns)))
    }
}
