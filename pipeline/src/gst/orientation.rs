//! The orientation of a track's frames over time, if frames carry it themselves.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::codec::orientation::{FrameOrientation, OrientationReader};
use crate::media::Orientation;

/// Maximum number of changes to remember for frames that are still in the decoder.
const MAX_CHANGES: usize = 256;

/// The orientation in force, in the order of coded frames.
///
/// By the standards, a message lasts until the next start of a sequence. Cameras that write it once
/// mean all of the recording. An encoder that repeats it ends it by leaving it out.
#[derive(Clone, Copy, Debug, Default)]
pub struct OrientationState {
    turn: Orientation,
    is_repeated: bool,
}

impl OrientationState {
    /// Updates the state with one coded frame, and returns the orientation from that frame on.
    pub fn update(&mut self, frame: FrameOrientation) -> Orientation {
        match frame.turn {
            Some(turn) => {
                let is_same = !self.turn.is_none() && turn == self.turn;
                *self = Self { turn, is_repeated: is_same && (self.is_repeated || frame.is_start) };
            }
            None if frame.is_start && self.is_repeated => *self = Self::default(),
            None => {}
        }
        self.turn
    }
}

/// Orientation by presentation time. A change counts from the time of its own frame.
#[derive(Debug, Default)]
struct Changes {
    state: OrientationState,
    /// Time stamps of changes in order, in ns, and the orientation from there on.
    changes: VecDeque<(u64, Orientation)>,
}

impl Changes {
    fn add(&mut self, pts_ns: u64, frame: FrameOrientation) {
        let turn = self.state.update(frame);
        if self.changes.back().map_or(Orientation::default(), |&(_, last)| last) == turn {
            return;
        }
        let index = self.changes.partition_point(|&(at_ns, _)| at_ns <= pts_ns);
        self.changes.insert(index, (pts_ns, turn));
        if self.changes.len() > MAX_CHANGES {
            self.changes.pop_front();
        }
    }

    /// Returns the orientation at a time. Discards earlier changes, because frames come in the
    /// order of their times.
    fn at(&mut self, pts_ns: u64) -> Orientation {
        while self.changes.get(1).is_some_and(|&(at_ns, _)| at_ns <= pts_ns) {
            self.changes.pop_front();
        }
        match self.changes.front() {
            Some(&(at_ns, turn)) if at_ns <= pts_ns => turn,
            _ => Orientation::default(),
        }
    }
}

/// Orientations that a decoder's coded frames declare.
#[derive(Clone, Debug, Default)]
pub struct Orientations(Arc<Mutex<Changes>>);

impl Orientations {
    /// Reads orientations from the packets that enter a decoder.
    pub fn watch(&self, decoder: &gst::Element) {
        let Some(pad) = decoder.static_pad("sink") else { return };
        let (seen, reader) = (self.clone(), Mutex::new(None::<OrientationReader>));
        let mask =
            gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::EVENT_FLUSH;
        pad.add_probe(mask, move |_, info| {
            let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => {
                    if let Some(reader) = *reader
                        && let Some(time) = buffer.pts().or(buffer.dts())
                        && let Ok(data) = buffer.map_readable()
                    {
                        seen.lock().add(time.nseconds(), reader.read(&data));
                    }
                }
                Some(gst::PadProbeData::Event(event)) => match event.view() {
                    gst::EventView::Caps(caps) => *reader = OrientationReader::new(caps.caps()),
                    gst::EventView::FlushStop(_) => *seen.lock() = Changes::default(),
                    _ => {}
                },
                _ => {}
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// Returns the orientation of a decoded frame, by its time stamp.
    pub fn at(&self, pts: gst::ClockTime) -> Orientation {
        self.lock().at(pts.nseconds())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Changes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: Orientation = Orientation { degrees: 0, mirrored: false };
    const LEFT: Orientation = Orientation { degrees: 270, mirrored: false };

    fn frame(turn: Option<Orientation>, is_start: bool) -> FrameOrientation {
        FrameOrientation { turn, is_start }
    }

    #[test]
    fn what_is_said_once_lasts_and_what_is_repeated_ends_by_its_absence() {
        let (left, plain) = (frame(Some(LEFT), true), frame(None, false));
        let (start, cancel) = (frame(None, true), frame(Some(UP), false));
        let seen = |frames: &[FrameOrientation]| {
            let mut state = OrientationState::default();
            frames.iter().map(|&frame| state.update(frame).degrees).collect::<Vec<_>>()
        };
        assert_eq!(seen(&[left, plain, start, plain, start]), [270; 5]);
        assert_eq!(seen(&[left, plain, left, plain, start, plain]), [270, 270, 270, 270, 0, 0]);
        assert_eq!(seen(&[left, cancel, start, left]), [270, 0, 0, 270]);
        assert_eq!(seen(&[start, plain, start]), [0; 3]);
    }

    #[test]
    fn a_change_counts_from_its_frames_time_in_presentation_order() {
        let mut changes = Changes::default();
        changes.add(0, frame(None, true));
        changes.add(40, frame(Some(LEFT), false));
        // Two frames that are coded later but presented earlier.
        changes.add(20, frame(None, false));
        changes.add(30, frame(None, false));
        changes.add(80, frame(Some(UP), false));
        let seen: Vec<_> = [0, 20, 30, 40, 70, 80, 90].map(|at| changes.at(at).degrees).into();
        assert_eq!(seen, [0, 0, 0, 270, 270, 0, 0]);
        assert_eq!(changes.changes.len(), 1, "what is over is forgotten");
    }
}
