//! Times of a transport stream's packets, as the stream itself states them.
//!
//! GStreamer's demuxer (1.22) shortens any longer distance between two clock references to 0.5 s. A
//! video of one frame per second whose frames carry the clock loses half of its duration, and so
//! does a pause in audio. The demuxer also discards presentation times that are seconds after their
//! decode times, as of reordered frames at 1/4 frame/s. It reports the times that it keeps. The
//! others are read again, and packets get all of them back behind the demuxer.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::mpegts_pcr;
use crate::source::Source;

/// Ticks per second of all times here.
const TICKS_PER_SECOND: i64 = 90_000;
/// Bits of a time in the stream.
const TIME_BITS: u32 = 33;
/// Maximum step back of a track; beyond it, another clock has started.
const MAX_BACK_TICKS: i64 = TICKS_PER_SECOND / 2;
/// Maximum distance of consecutive times without a gap.
const MAX_STEP_TICKS: i64 = 10 * TICKS_PER_SECOND;
/// Maximum gap in all tracks. A longer one is a change of clock, and the recording continues
/// without a gap.
const MAX_GAP_TICKS: i64 = 600 * TICKS_PER_SECOND;
/// Maximum number of times of a track that wait for their packets. Packets wait some seconds for
/// the first clock reference.
const MAX_PENDING: usize = 4096;
/// Time of the first packet if the demuxer does not know it, in ns: leaves room for earlier ones.
const DEFAULT_START_NS: i64 = 10_000_000_000;

/// Presentation and decode time, in ns.
type Stamp = (Option<u64>, Option<u64>);

/// Times of all tracks of a stream on one timeline.
#[derive(Default)]
struct StreamTimes {
    tracks: HashMap<u32, TrackState>,
    /// Shift of the newest clock's times. A new clock starts where parts were joined.
    newest_shift: i64,
    /// Latest decode time of any track.
    latest: i64,
    /// The first time in ticks, and the same in ns.
    anchor: Option<(i64, i64)>,
    /// The stream, for times that the demuxer does not report.
    source: Option<Source>,
}

/// One elementary stream.
#[derive(Default)]
struct TrackState {
    /// Times that no packet has got yet.
    pending: VecDeque<PesTimes>,
    /// Whether the packets that waited for the first clock reference are out. From then on, a
    /// packet gets the time that was read last.
    is_started: bool,
    /// Decode time of the last packet in the stream, without wrap-around.
    raw: Option<i64>,
    /// Shift of its clock's times.
    shift: i64,
    /// Decode time of the last packet on the common timeline.
    last: Option<i64>,
    /// Distance of the last two packets.
    step: i64,
    /// Shift and time before the last packet, if its time jumped.
    before_jump: Option<(i64, i64)>,
    /// Shift of the last packet in ns, for packets that the demuxer splits from it.
    moved_ns: Option<i64>,
}

/// Times of one PES packet, which starts at `offset`.
struct PesTimes {
    offset: u64,
    pts: Option<u64>,
    dts: Option<u64>,
}

/// Returns the time nearest to `near` that has the lowest bits of `time`.
fn unwrapped(time: u64, near: i64) -> i64 {
    let above = i64::BITS - TIME_BITS;
    near + ((time as i64 - near) << above >> above)
}

fn ns(ticks: i64) -> i64 {
    (i128::from(ticks) * 100_000 / 9) as i64
}

impl StreamTimes {
    /// Records times that the demuxer reports: presentation, decode, or both.
    fn record(&mut self, pid: u32, offset: u64, (pts, dts): (Option<u64>, Option<u64>)) {
        let pending = &mut self.tracks.entry(pid).or_default().pending;
        match pending.back_mut().filter(|read| read.offset == offset) {
            Some(last) => (last.pts, last.dts) = (pts.or(last.pts), dts.or(last.dts)),
            None => {
                // A stream without a pad has no packets to take them.
                if pending.len() == MAX_PENDING {
                    pending.pop_front();
                }
                pending.push_back(PesTimes { offset, pts, dts });
            }
        }
    }

    /// Returns the times of the next packet of a track. The demuxer's time for it is `own_ns`.
    fn next(&mut self, pid: u32, own_ns: Option<u64>) -> Stamp {
        let own_ns = own_ns.and_then(|ns| i64::try_from(ns).ok());
        let unsigned = |ns: i64| u64::try_from(ns).ok();
        let track = self.tracks.entry(pid).or_default();
        while track.is_started && track.pending.len() > 1 {
            track.pending.pop_front();
        }
        let Some(read) = track.pending.pop_front() else {
            let moved = own_ns.zip(track.moved_ns).map_or(own_ns, |(own, moved)| own.checked_add(moved));
            return (moved.and_then(unsigned), None);
        };
        track.is_started |= track.pending.is_empty();
        let Some(decoded) = read.dts.or(read.pts) else { return (None, None) };
        let (raw, shift) = self.shifted(pid, decoded);
        let pts = read
            .pts
            .or_else(|| mpegts_pcr::presentation_time_at(self.source.as_ref()?.as_ref(), read.offset));
        let presented = pts.map_or(raw, |pts| unwrapped(pts, raw)) + shift;
        let (from, start_ns) = *self.anchor.get_or_insert((presented, own_ns.unwrap_or(DEFAULT_START_NS)));
        let time_ns = |ticks: i64| start_ns.saturating_add(ns(ticks - from));
        if let Some(track) = self.tracks.get_mut(&pid) {
            track.moved_ns = own_ns.map(|own_ns| time_ns(presented) - own_ns);
        }
        (unsigned(time_ns(presented)), read.dts.and_then(|_| unsigned(time_ns(raw + shift))))
    }

    /// Returns a decode time without wrap-around, and its shift to the common timeline.
    fn shifted(&mut self, pid: u32, decoded: u64) -> (i64, i64) {
        let near = self.tracks.values().find_map(|track| track.raw).unwrap_or(decoded as i64);
        let track = self.tracks.entry(pid).or_default();
        let raw = unwrapped(decoded, track.raw.unwrap_or(near));
        let newest_shift = self.newest_shift;
        let at = |shift: i64| raw + shift;
        let is_next =
            |shift: i64, last: i64| (last - MAX_BACK_TICKS..=last + MAX_STEP_TICKS).contains(&at(shift));
        let Some(last) = track.last else {
            // A track that starts later, or continues after a seek.
            track.shift = if track.raw.is_none() { newest_shift } else { track.shift };
            (track.raw, track.last) = (Some(raw), Some(at(track.shift)));
            self.latest = self.latest.max(at(track.shift));
            return (raw, track.shift);
        };
        let until = last.max(self.latest);
        let away = |shift: i64, last: i64| (at(shift) - last).abs();
        let returned = track
            .before_jump
            .filter(|&(shift, time)| is_next(shift, time) && away(shift, time) < away(track.shift, last));
        let shift = match returned {
            // Only the last packet had a wrong time.
            Some((shift, _)) => Some(shift),
            _ if (last - MAX_BACK_TICKS..=until + MAX_GAP_TICKS).contains(&at(track.shift)) => {
                Some(track.shift)
            }
            _ => Some(newest_shift)
                .filter(|&shift| (last - MAX_BACK_TICKS..=until + MAX_STEP_TICKS).contains(&at(shift))),
        };
        let shift = shift.unwrap_or_else(|| {
            self.newest_shift = self.latest.max(last + track.step) - raw;
            self.newest_shift
        });
        let time = at(shift);
        let is_jump =
            shift != track.shift || !(last - MAX_BACK_TICKS..=last + MAX_STEP_TICKS).contains(&time);
        track.before_jump = is_jump.then_some((track.shift, last));
        if !is_jump {
            track.step = (time - last).max(0);
        }
        (track.raw, track.last, track.shift) = (Some(raw), Some(time), shift);
        self.latest = if returned.is_some() { time } else { self.latest.max(time) };
        (raw, shift)
    }

    /// Prepares for a track that continues elsewhere.
    fn flush(&mut self, pid: u32) {
        let track = self.tracks.entry(pid).or_default();
        *track = TrackState { raw: track.raw, ..TrackState::default() };
        self.latest = i64::MIN / 2;
    }
}

/// Gives the packets of a transport stream's demuxer the times that the stream states.
pub fn restamp(pipeline: &gst::Pipeline, demux: &gst::Element, source: Source) {
    let Some(bus) = pipeline.bus() else { return };
    let times = Arc::new(Mutex::new(StreamTimes { source: Some(source), ..StreamTimes::default() }));
    demux.set_property("emit-stats", true);
    let recorded = times.clone();
    bus.set_sync_handler(move |_, message| {
        let gst::MessageView::Element(element) = message.view() else { return gst::BusSyncReply::Pass };
        let Some(stats) = element.structure().filter(|stats| stats.name() == "tsdemux") else {
            return gst::BusSyncReply::Pass;
        };
        let time = |name: &str| stats.get::<u64>(name).ok();
        let (pid, offset) = (stats.get::<u32>("pid").ok(), time("offset"));
        let read = (time("pts"), time("dts"));
        if let (Some(pid), Some(offset), true) = (pid, offset, read != (None, None)) {
            recorded.lock().unwrap_or_else(PoisonError::into_inner).record(pid, offset, read);
        }
        gst::BusSyncReply::Drop
    });
    demux.connect_pad_added(move |_, pad| restamp_pad(pad, times.clone()));
}

fn restamp_pad(pad: &gst::Pad, times: Arc<Mutex<StreamTimes>>) {
    // Pads are named by their program and stream, such as `video_0_0100`.
    let name = pad.name();
    let Some(pid) = name.rsplit('_').next().and_then(|pid| u32::from_str_radix(pid, 16).ok()) else { return };
    let mask = gst::PadProbeType::BUFFER
        | gst::PadProbeType::BUFFER_LIST
        | gst::PadProbeType::EVENT_DOWNSTREAM
        | gst::PadProbeType::EVENT_FLUSH;
    pad.add_probe(mask, move |_, info| {
        let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stamp = |buffer: &mut gst::Buffer| {
            let (pts, dts) = times.next(pid, buffer.pts().map(gst::ClockTime::nseconds));
            let buffer = buffer.make_mut();
            buffer.set_pts(pts.map(gst::ClockTime::from_nseconds));
            buffer.set_dts(dts.map(gst::ClockTime::from_nseconds));
        };
        match &mut info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => stamp(buffer),
            Some(gst::PadProbeData::BufferList(list)) => {
                *list = list
                    .iter_owned()
                    .map(|mut buffer| {
                        stamp(&mut buffer);
                        buffer
                    })
                    .collect();
            }
            Some(gst::PadProbeData::Event(event)) => match event.view() {
                gst::EventView::FlushStop(_) => times.flush(pid),
                // Its times are the demuxer's own, and it makes a decoder discard frames that it
                // needs.
                gst::EventView::Gap(_) => return gst::PadProbeReturn::Drop,
                gst::EventView::Segment(segment) => {
                    let seqnum = event.seqnum();
                    if let Some(open) = unbounded(segment.segment()) {
                        let open = gst::event::Segment::builder(&open).seqnum(seqnum).build();
                        info.data = Some(gst::PadProbeData::Event(open));
                    }
                }
                _ => {}
            },
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

/// A segment without bounds, in which the times of packets are those of the stream.
fn unbounded(segment: &gst::Segment) -> Option<gst::Segment> {
    let mut open = segment.downcast_ref::<gst::ClockTime>()?.clone();
    open.set_start(gst::ClockTime::ZERO);
    open.set_stop(gst::ClockTime::NONE);
    open.set_time(gst::ClockTime::ZERO);
    open.set_base(gst::ClockTime::ZERO);
    open.set_offset(gst::ClockTime::ZERO);
    open.set_position(gst::ClockTime::ZERO);
    Some(open.upcast())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 90;
    const VIDEO: u32 = 0x100;
    const AUDIO: u32 = 0x101;

    /// Times that packets with these decode times get, all in ms; the first gets 1 s.
    fn times_ms(packets: &[(u32, u64)]) -> Vec<u64> {
        let mut times = StreamTimes::default();
        let mut stamp = |(offset, &(pid, ms)): (usize, &(u32, u64))| {
            let time = (ms * MS) & ((1 << TIME_BITS) - 1);
            times.record(pid, offset as u64, (Some(time), None));
            times.next(pid, Some(1_000_000_000)).0.map_or(0, |ns| (ns + 500_000) / 1_000_000)
        };
        packets.iter().enumerate().map(&mut stamp).collect()
    }

    fn alone_ms(packets: &[u64]) -> Vec<u64> {
        times_ms(&packets.iter().map(|&ms| (VIDEO, ms)).collect::<Vec<_>>())
    }

    #[test]
    fn a_gap_stays_as_long_as_it_is() {
        assert_eq!(alone_ms(&[5000, 5040, 9000, 69_000]), [1000, 1040, 5000, 65_000]);
        // A pause of an hour is another clock, unless another track goes on.
        assert_eq!(alone_ms(&[0, 40, 3_600_000, 3_600_040]), [1000, 1040, 1080, 1120]);
        let mut slides: Vec<_> = (0..2000).map(|second| (AUDIO, second * 1000)).collect();
        slides.insert(0, (VIDEO, 0));
        slides.push((VIDEO, 2_000_000));
        assert_eq!(times_ms(&slides).last(), Some(&2_001_000));
    }

    #[test]
    fn numbers_wrap_around() {
        let end_ms = (1 << TIME_BITS) / MS;
        assert_eq!(alone_ms(&[end_ms - 1000, end_ms, end_ms + 1000]), [1000, 2000, 3000]);
    }

    #[test]
    fn a_part_with_another_clock_follows_in_sync() {
        for again in [0, 5_000_000] {
            let part =
                |from: u64| (0..50).flat_map(move |n| [(VIDEO, from + n * 40), (AUDIO, from + n * 40 + 10)]);
            let times = times_ms(&part(1_000_000).chain(part(again)).collect::<Vec<_>>());
            let expected: Vec<u64> = (0..100).flat_map(|n| [1000 + n * 40, 1010 + n * 40]).collect();
            assert_eq!(times, expected, "{again}");
        }
    }

    #[test]
    fn one_wrong_time_moves_nothing_else() {
        for wrong in [0, 5000, 30_000, 300_000, 90_000_000] {
            let mut packets: Vec<u64> = (0..20).map(|n| 10_000 + n * 40).collect();
            packets[10] = wrong;
            let times = alone_ms(&packets);
            let right = |n: &usize| times[*n] == 1000 + *n as u64 * 40;
            assert!((0..20).filter(|n| *n != 10).all(|n| right(&n)), "{wrong}: {times:?}");
        }
    }

    #[test]
    fn times_that_no_packet_takes_are_bounded() {
        let mut times = StreamTimes::default();
        (0..2 * MAX_PENDING as u64).for_each(|offset| times.record(AUDIO, offset, (Some(offset), None)));
        assert_eq!(times.tracks[&AUDIO].pending.len(), MAX_PENDING);
    }

    #[test]
    fn packets_that_waited_get_their_own_times() {
        let mut times = StreamTimes::default();
        // Reordered frames: presented later than decoded.
        for (offset, (pts, dts)) in [(4000, 0), (12_000, 4000), (8000, 8000)].into_iter().enumerate() {
            times.record(VIDEO, offset as u64, (None, Some(dts * MS)));
            times.record(VIDEO, offset as u64, (Some(pts * MS), None));
        }
        let second = 1_000_000_000;
        let stamps: Vec<Stamp> = (0..3).map(|_| times.next(VIDEO, None)).collect();
        let expected = [(10, 6), (18, 10), (14, 14)];
        assert_eq!(stamps, expected.map(|(pts, dts)| (Some(pts * second), Some(dts * second))));
        // A lost packet does not shift those after it.
        times.record(VIDEO, 10, (Some(16_000 * MS), None));
        times.record(VIDEO, 11, (Some(20_000 * MS), None));
        assert_eq!(times.next(VIDEO, Some(7)).0, Some(26 * second));
        // A packet that the demuxer splits off keeps its distance.
        assert_eq!(times.next(VIDEO, Some(7 + 20_000_000)).0, Some(26 * second + 20_000_000));
    }
}
