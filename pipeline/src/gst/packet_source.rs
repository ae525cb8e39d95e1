//! A pipeline's source of packets that follow one another in a file.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::glib::object::Cast;
use gstreamer_app as gst_app;

use crate::error::Result;
use crate::source::{Source, read_full};

/// Maximum number of packets in a file.
pub const MAX_PACKETS: u64 = 16 << 20;
/// Maximum size of a packet.
const MAX_PACKET_BYTES: u32 = 1 << 20;

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Size, in bytes.
    pub bytes: u32,
    /// Duration, in frames of audio.
    pub frames: u32,
}

/// Packets of audio.
pub struct Packets {
    /// The bytes of all packets, and nothing else.
    pub source: Source,
    /// Their format, for a decoder.
    pub caps: gst::Caps,
    /// Frames per second.
    pub rate_hz: u32,
    /// The packets in order.
    pub packets: Vec<Packet>,
    /// The frames that are presented, counted from the first packet.
    pub presented: Range<u64>,
}

impl Packets {
    /// Makes an element that produces the packets with their times. Frames that are not presented
    /// are outside its segment.
    pub fn into_element(self) -> Result<gst::Element> {
        let Self { source, caps, rate_hz, packets, presented } = self;
        let time = move |frames: u64| {
            let ns = u128::from(frames) * 1_000_000_000 / u128::from(rate_hz.max(1));
            gst::ClockTime::from_nseconds(u64::try_from(ns).unwrap_or(u64::MAX / 2))
        };
        let total: u64 = packets.iter().map(|packet| u64::from(packet.frames)).sum();
        let (start, end) = (presented.start.min(total), presented.end.min(total));
        let made = gst_app::AppSrc::builder()
            .caps(&caps)
            .format(gst::Format::Time)
            .duration(time(end.saturating_sub(start)).nseconds())
            .handle_segment_change(true)
            .build();
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_start(time(start));
        segment.set_stop(time(end.max(start)));
        segment.set_time(gst::ClockTime::ZERO);
        // Index of the next packet, its offset, and the number of frames before it.
        let next = Mutex::new((0_usize, 0_u64, 0_u64));
        let read = move |packet: &Packet, at: u64| {
            let mut bytes = vec![0; packet.bytes.min(MAX_PACKET_BYTES) as usize];
            let read = read_full(source.as_ref(), at, &mut bytes).ok()?;
            (read == packet.bytes as usize).then_some(bytes)
        };
        made.set_callbacks(
            gst_app::AppSrcCallbacks::builder()
                .need_data(move |element, _| {
                    let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
                    let (index, at, before) = *next;
                    let packet = packets.get(index).and_then(|packet| Some((packet, read(packet, at)?)));
                    let Some((packet, bytes)) = packet else {
                        let _ = element.end_of_stream();
                        return;
                    };
                    let until = before + u64::from(packet.frames);
                    let mut buffer = gst::Buffer::from_mut_slice(bytes);
                    let stamped = buffer.make_mut();
                    stamped.set_pts(time(before));
                    stamped.set_duration(time(until) - time(before));
                    *next = (index + 1, at + u64::from(packet.bytes), until);
                    let sample = gst::Sample::builder().buffer(&buffer).caps(&caps).segment(&segment).build();
                    let _ = element.push_sample(&sample);
                })
                .build(),
        );
        Ok(made.upcast())
    }
}
