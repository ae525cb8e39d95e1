//! Whether a recording of a broadcast or a disc is scrambled, by a flag in each of its packets.

use std::collections::HashMap;
use std::io;

use super::mpegts;
use crate::source::{ReadAt, read_full};

/// Bytes read at the front, in the middle and at the end.
const PART_BYTES: usize = 512 << 10;
/// Fewest scrambled packets that count: those of one frame may be damaged.
const MIN_PACKETS: usize = 8;

/// Packet counts of one elementary stream.
#[derive(Clone, Copy, Default)]
struct PacketCounts {
    all: usize,
    scrambled: usize,
    /// Whether a clear packet starts a frame of video.
    is_video: bool,
}

/// Whether an MPEG container has a scrambled stream, and no clear video. A capture of several
/// programmes may have both. A stream is scrambled if most of its packets that are read are.
pub fn is_scrambled(source: &dyn ReadAt, container: &str) -> io::Result<bool> {
    let count = match container {
        "mpegts" => transport_packets,
        "mpegps" => program_packets,
        _ => return Ok(false),
    };
    let size = source.size_bytes();
    let mut streams = HashMap::new();
    for offset in [0, size / 2, size.saturating_sub(PART_BYTES as u64)] {
        let mut part = vec![0; PART_BYTES];
        let read = read_full(source, offset, &mut part)?;
        count(&part[..read], &mut streams);
    }
    let most =
        |packets: &PacketCounts| packets.scrambled >= MIN_PACKETS && packets.scrambled * 2 > packets.all;
    let has_clear_video = streams.values().any(|packets| packets.is_video && !most(packets));
    Ok(!has_clear_video && streams.values().any(most))
}

/// Counts packets of a transport stream (ISO/IEC 13818-1, 2.4.3.2).
fn transport_packets(part: &[u8], streams: &mut HashMap<u16, PacketCounts>) {
    for packet in mpegts::packets(part) {
        // Tables with fixed PIDs and padding are never scrambled.
        let Some(payload) = packet.payload().filter(|_| (0x20..0x1fff).contains(&packet.pid())) else {
            continue;
        };
        let packets = streams.entry(packet.pid()).or_default();
        packets.all += 1;
        packets.scrambled += usize::from(packet.is_scrambled());
        // A clear header of video; otherwise it could not be read.
        packets.is_video |= packet.starts_unit() && matches!(payload, [0, 0, 1, 0xe0..=0xef, ..]);
    }
}

/// Counts packets of a program stream (2.4.3.6), as on a DVD.
fn program_packets(part: &[u8], streams: &mut HashMap<u16, PacketCounts>) {
    let mut rest = part;
    while let Some(next) = rest.windows(4).position(is_stream_start) {
        rest = &rest[next..];
        let &[_, _, _, id, high, low, flags, ..] = rest else { return };
        // MPEG-1 has neither these flags nor this marker.
        if flags >> 6 == 0b10 {
            let packets = streams.entry(id.into()).or_default();
            packets.all += 1;
            packets.scrambled += usize::from(flags & 0x30 != 0);
            packets.is_video |= (0xe0..=0xef).contains(&id);
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        rest = rest.get(6 + length..).unwrap_or_default();
    }
}

/// Whether a packet of video, audio or a private stream begins here.
fn is_stream_start(bytes: &[u8]) -> bool {
    matches!(bytes, [0, 0, 1, 0xbd | 0xc0..=0xef])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::source::Bytes;

    /// A transport stream of a table, video and audio; `flags` says how each video packet is
    /// scrambled.
    fn transport(size: usize, flags: impl Fn(usize) -> u8) -> Bytes {
        let packet = |pid: u8, flags: u8| {
            let mut packet = vec![0; size];
            let at = size - 188;
            packet[at..at + 4].copy_from_slice(&[0x47, 1, pid, 0x10 | flags << 6]);
            packet
        };
        let packets = (0..200).flat_map(|n| [packet(0, 0), packet(0x10, flags(n)), packet(0x11, 0)].concat());
        Bytes(packets.collect())
    }

    #[test]
    fn a_transport_stream_is_scrambled_if_most_packets_of_a_stream_are() {
        for size in [188, 192] {
            assert!(!is_scrambled(&transport(size, |_| 0), "mpegts").unwrap());
            assert!(is_scrambled(&transport(size, |n| 2 + (n / 50 % 2) as u8), "mpegts").unwrap());
            // A few packets are damaged; one bit of the two is reserved.
            assert!(!is_scrambled(&transport(size, |n| if n < 60 { 3 } else { 0 }), "mpegts").unwrap());
            assert!(!is_scrambled(&transport(size, |_| 1), "mpegts").unwrap());
        }
        assert!(!is_scrambled(&transport(188, |_| 2), "avi").unwrap());
    }

    #[test]
    fn a_clear_programme_beside_a_scrambled_one_is_read() {
        let packet = |pid: u8, flags: u8, payload: &[u8]| {
            let mut packet = vec![0; 188];
            packet[..4].copy_from_slice(&[0x47, 0x41, pid, 0x10 | flags << 6]);
            packet[4..4 + payload.len()].copy_from_slice(payload);
            packet
        };
        let file = |clear: &[u8]| {
            let pair = [packet(0x10, 2, &[]), packet(0x11, 0, clear)].concat();
            Bytes(pair.repeat(200))
        };
        assert!(!is_scrambled(&file(&[0, 0, 1, 0xe0]), "mpegts").unwrap());
        assert!(is_scrambled(&file(&[0, 0, 1, 0xc0]), "mpegts").unwrap(), "audio alone");
    }

    #[test]
    fn a_program_stream_is_scrambled_if_its_packets_say_so() {
        let sector = |flags: u8| {
            let mut sector = vec![0xff; 2048];
            sector[..14].copy_from_slice(b"\0\0\x01\xba\x44\0\x04\0\x04\x01\x01\x89\xc3\xf8");
            sector[14..21].copy_from_slice(&[0, 0, 1, 0xe0, 7, 0xec, 0x80 | flags]);
            sector
        };
        let file = |flags: u8| Bytes((0..40).flat_map(|_| sector(flags)).collect());
        assert!(!is_scrambled(&file(0), "mpegps").unwrap());
        assert!(is_scrambled(&file(0x10), "mpegps").unwrap());
    }
}
