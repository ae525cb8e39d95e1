//! Presentation times of the frames of an AVI.
//!
//! The file has none. Its frames are stored in decode order, and presented at a constant rate.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::avi_packed::Unpacker;

/// Maximum number of frames that a codec holds back to reorder them (H.264, A.3.1). A frame that is
/// missing for longer is lost.
const MAX_REORDERED_FRAMES: usize = 16;
/// Maximum number of packets to remember: those being reordered, and those in a decoder's threads.
const MAX_RECENT_PACKETS: usize = 64;
/// Type of the tag that carries a packet's slot through the decoder.
const TAG: &str = "timestamp/x-chalkstream-slot";

/// The packets that recently entered a decoder, in decode order. Each has the time of its slot in
/// the file, and whether its frame has come out.
#[derive(Default)]
struct Slots {
    packets: VecDeque<(u64, bool)>,
}

impl Slots {
    fn add_packet(&mut self, slot_ns: u64) {
        if self.packets.len() == MAX_RECENT_PACKETS {
            self.packets.pop_front();
        }
        self.packets.push_back((slot_ns, false));
    }

    /// Returns the presentation time of a packet's frame, and marks the frame as out.
    ///
    /// Its position in presentation order is the packet's, minus the earlier packets whose frames
    /// are still missing, plus the later packets whose frames are out already.
    fn presentation_ns(&mut self, slot_ns: u64) -> u64 {
        let Some(index) = self.packets.iter().rposition(|&(ns, _)| ns == slot_ns) else { return slot_ns };
        let count = |from: usize, until: usize, is_out: bool| {
            self.packets.range(from..until).filter(|packet| packet.1 == is_out).count()
        };
        let to_come = count(index.saturating_sub(MAX_REORDERED_FRAMES), index, false);
        let overtaking = count(index + 1, self.packets.len(), true);
        let presented = (index + overtaking).saturating_sub(to_come);
        self.packets[index].1 = true;
        self.packets.get(presented).map_or(slot_ns, |packet| packet.0)
    }
}

/// Gives each packet of a demuxer's pad a time and one frame, and drops packets without data, which
/// only repeat the frame before. The encoder's delay of `delay_frames` is subtracted.
pub fn stamp(pad: &gst::Pad, caps: &gst::CapsRef, delay_frames: u64) {
    let is_mpeg_4 =
        caps.structure(0).is_some_and(|s| s.name() == "video/mpeg" && s.get("mpegversion") == Ok(4));
    let unpacker = Mutex::new(Unpacker::default());
    pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_FLUSH, move |_, info| {
        let mut unpacker = unpacker.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data else {
            unpacker.clear();
            return gst::PadProbeReturn::Ok;
        };
        // VfW's XviD writes one byte where it has no frame yet.
        if buffer.size() <= 1 {
            return gst::PadProbeReturn::Handled;
        }
        if let Some(slot) = buffer.pts().or(buffer.dts()) {
            let delay_ns = delay_frames * buffer.duration().map_or(0, gst::ClockTime::nseconds);
            let early = slot.saturating_sub(gst::ClockTime::from_nseconds(delay_ns));
            let stamped = buffer.make_mut();
            stamped.set_pts(early);
            stamped.set_dts(early);
        }
        if is_mpeg_4 {
            unpacker.unpack(buffer);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Gives the frames that leave a decoder their presentation times.
///
/// GStreamer's base class of decoders guesses the times of reordered frames. Therefore each
/// packet's time travels through the decoder in a tag.
pub fn restamp(decoder: &gst::Element) {
    let (Some(sink), Some(src)) = (decoder.static_pad("sink"), decoder.static_pad("src")) else { return };
    let caps = gst::Caps::new_empty_simple(TAG);
    let slots: Arc<Mutex<Slots>> = Arc::default();
    let (into, tag) = (slots.clone(), caps.clone());
    sink.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_FLUSH, move |_, info| {
        let mut slots = into.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => {
                let Some(pts) = buffer.pts() else { return gst::PadProbeReturn::Ok };
                slots.add_packet(pts.nseconds());
                gst::ReferenceTimestampMeta::add(buffer.make_mut(), &tag, pts, gst::ClockTime::NONE);
            }
            _ => slots.packets.clear(),
        }
        gst::PadProbeReturn::Ok
    });
    src.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data else { return gst::PadProbeReturn::Ok };
        let tagged = buffer
            .iter_meta::<gst::ReferenceTimestampMeta>()
            .find(|meta| meta.reference() == caps.as_ref())
            .map(|meta| meta.timestamp().nseconds());
        if let Some(slot_ns) = tagged {
            let ns = slots.lock().unwrap_or_else(PoisonError::into_inner).presentation_ns(slot_ns);
            buffer.make_mut().set_pts(gst::ClockTime::from_nseconds(ns));
        }
        gst::PadProbeReturn::Ok
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Presentation times of frames that come out in `order`, a list of packet numbers.
    fn presented(packets: u64, order: &[u64]) -> Vec<u64> {
        let mut slots = Slots::default();
        (0..packets).for_each(|slot| slots.add_packet(slot * 10));
        order.iter().map(|&packet| slots.presentation_ns(packet * 10)).collect()
    }

    #[test]
    fn reordered_frames_are_evenly_spaced() {
        assert_eq!(presented(5, &[0, 1, 2, 3, 4]), [0, 10, 20, 30, 40]);
        // I P B B P B B, as DivX stores it.
        assert_eq!(presented(7, &[0, 2, 3, 1, 5, 6, 4]), [0, 10, 20, 30, 40, 50, 60]);
        // A pyramid of B-frames, as x264 stores it: I P B b b.
        assert_eq!(presented(5, &[0, 3, 2, 4, 1]), [0, 10, 20, 30, 40]);
    }

    #[test]
    fn a_lost_frame_moves_others_for_a_moment_only() {
        let order: Vec<u64> = (0..60).filter(|&packet| packet != 20).collect();
        let times = presented(60, &order);
        let off: Vec<usize> = (0..59).filter(|&index| times[index] != order[index] * 10).collect();
        assert_eq!((off.first(), off.last()), (Some(&20), Some(&35)));
    }
}
