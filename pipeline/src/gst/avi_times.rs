//! When frames of an AVI are presented: the file has no presentation times, its frames are evenly spaced in the order they
//! are presented, and stored in the order they are decoded.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::avi_packed::Unpacker;

/// Most frames that any codec in use holds back to reorder them (H.264, A.3.1): one that is missing for longer is lost.
const MAX_REORDERED: usize = 16;
/// Packets remembered: those reordered, and those in a decoder's threads.
const REMEMBERED: usize = 64;
/// What the tag on a packet is.
const TAG: &str = "timestamp/x-chalkstream-slot";

/// The packets that went into a decoder lately, in decode order, each with the time of its place in the file and whether
/// its frame came out.
#[derive(Default)]
struct Slots {
    packets: VecDeque<(u64, bool)>,
}

impl Slots {
    fn packet(&mut self, slot_ns: u64) {
        if self.packets.len() == REMEMBERED {
            self.packets.pop_front();
        }
        self.packets.push_back((slot_ns, false));
    }

    /// Presentation time of the frame of a packet: its place, less those that are still to come before it, and more those
    /// that overtook it.
    fn frame(&mut self, slot_ns: u64) -> u64 {
        let Some(place) = self.packets.iter().rposition(|&(ns, _)| ns == slot_ns) else { return slot_ns };
        let of = |from: usize, until: usize, out: bool| {
            self.packets.range(from..until).filter(|packet| packet.1 == out).count()
        };
        let to_come = of(place.saturating_sub(MAX_REORDERED), place, false);
        let overtaken = of(place + 1, self.packets.len(), true);
        let presented = (place + overtaken).saturating_sub(to_come);
        self.packets[place].1 = true;
        self.packets.get(presented).map_or(slot_ns, |packet| packet.0)
    }
}

/// Gives the packets of a demuxer's pad a time and a frame each; those without data only hold the
/// frame before. All but the first are `delay_frames` early.
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

/// Gives the frames that leave a decoder their presentation time. The base class of decoders guesses it where frames are
/// reordered, so the times of packets travel on them.
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
                slots.packet(pts.nseconds());
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
            let ns = slots.lock().unwrap_or_else(PoisonError::into_inner).frame(slot_ns);
            buffer.make_mut().set_pts(gst::ClockTime::from_nseconds(ns));
        }
        gst::PadProbeReturn::Ok
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times at which frames come out, `order` of decoded packets by the order their frames are presented.
    fn presented(packets: u64, order: &[u64]) -> Vec<u64> {
        let mut slots = Slots::default();
        (0..packets).for_each(|slot| slots.packet(slot * 10));
        order.iter().map(|&packet| slots.frame(packet * 10)).collect()
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
        let off: Vec<usize> = (0..59).filter(|&place| times[place] != order[place] * 10).collect();
        assert_eq!((off.first(), off.last()), (Some(&20), Some(&35)));
    }
}
