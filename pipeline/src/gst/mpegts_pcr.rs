//! Transport streams whose audio starts before their first clock reference (PCR).
//!
//! The demuxer gives no times to packets before the first PCR; if there are many, no packet gets
//! any. Such a stream is read with another PCR in front of it.

use std::sync::Arc;

use crate::source::{PrefixedSource, ReadAt, Source, read_full};

/// Bytes at the start of a stream that are searched for a PCR.
const SEARCH_BYTES: usize = 1 << 20;
/// Times and PCRs have 33 bits, in ticks of 90 kHz.
const TICKS_MASK: u64 = (1 << 33) - 1;
/// Distance of the added PCR before the first presentation time.
const LEAD_OF_TIME_TICKS: i64 = 27_000;
/// Minimum distance of the added PCR before the next PCR.
const MIN_LEAD_OF_PCR_TICKS: i64 = 900;
/// Maximum distance of a time from its PCR: beyond it they are unrelated.
const MAX_DISTANCE_TICKS: i64 = 900_000;

/// Adds a PCR in front of the stream if it needs one.
pub fn with_leading_pcr(source: Source) -> Source {
    match leading_packet(source.as_ref()) {
        Some(front) => Arc::new(PrefixedSource { front, inner: source }),
        None => source,
    }
}

/// Makes the packet with the added PCR; `None` if the stream needs none.
fn leading_packet(source: &dyn ReadAt) -> Option<Vec<u8>> {
    let mut front = vec![0; SEARCH_BYTES];
    let read = read_full(source, 0, &mut front).ok()?;
    front.truncate(read);
    let has_packets =
        |size: usize, lead: usize| [0, size].iter().all(|at| front.get(at + lead) == Some(&0x47));
    let (size, lead) = [(188, 0), (192, 4)].into_iter().find(|&(size, lead)| has_packets(size, lead))?;
    let mut time: Option<u64> = None;
    for packet in front.chunks_exact(size) {
        let packet = packet.get(lead..).filter(|packet| packet[0] == 0x47)?;
        if let Some(pcr) = pcr(packet) {
            // A signed distance, which allows for wrap-around.
            let ahead = ((time? << 31).wrapping_sub(pcr << 31) as i64) >> 31;
            if ahead.abs() > MAX_DISTANCE_TICKS {
                return None;
            }
            let first = pcr.wrapping_add_signed((ahead - LEAD_OF_TIME_TICKS).min(-MIN_LEAD_OF_PCR_TICKS))
                & TICKS_MASK;
            // Cameras write an arrival time in front of each packet.
            return Some([vec![0; lead], pcr_packet([packet[1] & 0x1f, packet[2]], first)].concat());
        }
        time = time.or_else(|| presentation_time(packet));
    }
    None
}

/// PCR of a packet, in ticks of 90 kHz.
fn pcr(packet: &[u8]) -> Option<u64> {
    let has_pcr = packet[3] & 0x20 != 0 && packet[4] >= 7 && packet[5] & 0x10 != 0;
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    has_pcr.then(|| number(&packet[6..11]) >> 7)
}

/// Presentation time of the PES packet that starts in a packet, in ticks, if declared.
fn presentation_time(packet: &[u8]) -> Option<u64> {
    if packet[1] & 0x40 == 0 || packet[3] & 0x10 == 0 {
        return None;
    }
    let at = if packet[3] & 0x20 == 0 { 4 } else { 5 + usize::from(packet[4]) };
    let head = packet.get(at..at + 14)?;
    let is_media_stream = matches!(head[3], 0xbd | 0xc0..=0xef | 0xfd);
    let has_pts = head[..3] == [0, 0, 1] && is_media_stream && head[7] & 0x80 != 0;
    let part = |at: usize, bits: u64| u64::from(head[at]) & bits;
    has_pts.then(|| {
        part(9, 0x0e) << 29
            | part(10, 0xff) << 22
            | part(11, 0xfe) << 14
            | part(12, 0xff) << 7
            | part(13, 0xfe) >> 1
    })
}

/// Like [`presentation_time`], of the packet at `offset`.
pub fn presentation_time_at(source: &dyn ReadAt, offset: u64) -> Option<u64> {
    let mut bytes = [0; 192];
    read_full(source, offset, &mut bytes).ok()?;
    [0, 4]
        .iter()
        .find(|&&lead| bytes[lead] == 0x47)
        .and_then(|&lead| presentation_time(&bytes[lead..lead + 188]))
}

/// Makes a packet with a PCR and nothing else.
fn pcr_packet(stream: [u8; 2], pcr: u64) -> Vec<u8> {
    let mut packet = vec![0x47, stream[0], stream[1], 0x20, 183, 0x10];
    packet.extend(&(pcr << 7 | 0x7e).to_be_bytes()[3..]);
    packet.push(0);
    packet.resize(188, 0xff);
    packet
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::source::Bytes;

    /// A packet in which a PES packet with this presentation time starts.
    fn pes_start(time: u64) -> Vec<u8> {
        let mut packet = vec![0x47, 0x41, 0x01, 0x10, 0, 0, 1, 0xc0, 0, 0, 0x80, 0x80, 5];
        packet.extend([
            0x21 | ((time >> 29) & 0x0e) as u8,
            (time >> 22) as u8,
            1 | ((time >> 14) & 0xfe) as u8,
            (time >> 7) as u8,
            1 | (time << 1) as u8,
        ]);
        packet.resize(188, 0xff);
        packet
    }

    /// The PCR that is added in front of packets.
    fn added_pcr(packets: &[Vec<u8>]) -> Option<u64> {
        let source: Source = Arc::new(Bytes(packets.concat()));
        let read = with_leading_pcr(source.clone());
        let mut first = vec![0; 188];
        read_full(read.as_ref(), 0, &mut first).unwrap();
        let more = read.size_bytes() - source.size_bytes();
        assert!(more == 0 || more == 188);
        (more > 0).then(|| pcr(&first).unwrap())
    }

    #[test]
    fn audio_before_the_clock_gets_one() {
        let clock = |ticks| pcr_packet([1, 0], ticks);
        assert_eq!(added_pcr(&[pes_start(126_000), clock(140_000)]), Some(99_000));
        assert_eq!(added_pcr(&[pes_start(126_000), clock(63_000)]), Some(62_100), "it never goes back");
        assert_eq!(
            added_pcr(&[pes_start(TICKS_MASK), clock(9_000)]),
            Some(TICKS_MASK - 27_000),
            "around the end of the numbers"
        );
        assert_eq!(added_pcr(&[clock(63_000), pes_start(126_000)]), None, "it has one");
        assert_eq!(
            added_pcr(&[pes_start(126_000), clock(90_000_000)]),
            None,
            "two that have nothing to do with each other"
        );
        assert_eq!(added_pcr(&[pes_start(126_000), pes_start(126_000)]), None);
    }
}
