//! Times of decoded frames where the container has none, or wrong ones.

use std::sync::Arc;

use gstreamer as gst;

use super::TrackKind;
use crate::error::Result;
use crate::media::{MediaInfo, Rational};
use crate::source::Source;

/// Times of decoded frames in order, where those of the packets are wrong or there are none.
#[derive(Clone)]
pub enum FrameTimes {
    /// The decoder's are right.
    Own,
    /// All of them, with how long each frame lasts, in ns.
    Listed(Arc<Vec<(u64, u64)>>),
    /// One after the other, at the video's rate.
    Even(Rational),
}

impl FrameTimes {
    /// Those of a track of a recording.
    pub fn for_track(media: &MediaInfo, kind: TrackKind, source: &Source) -> Result<Self> {
        Ok(match media.container.as_str() {
            "gif" => Self::Listed(Arc::new(super::gif::gif_times(source)?)),
            container if kind == TrackKind::Video && super::has_regular_frames(container) => {
                media.video.as_ref().map_or(Self::Own, |video| Self::Even(video.frame_rate))
            }
            _ => Self::Own,
        })
    }

    /// Time and duration of the `n`th frame.
    pub fn nth(&self, n: u64) -> Option<(gst::ClockTime, gst::ClockTime)> {
        let (time_ns, duration_ns) = match self {
            Self::Own => return None,
            Self::Listed(all) => *all.get(usize::try_from(n).ok()?)?,
            Self::Even(rate) => {
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
