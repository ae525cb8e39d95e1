//! Transport streams whose sound begins before their clock (PCR): what the demuxer sees before a first one has no time, and
//! where that is much, nothing has. Such a stream is read with a clock in front of it.

use std::sync::Arc;

use crate::source::{Prefixed, ReadAt, Source, read_full};

/// How much of a stream's front is looked at, in bytes.
const FRONT: usize = 1 << 20;
/// Times and clocks are in ticks of 90 kHz, of this many bits.
const MASK: u64 = (1 << 33) - 1;
/// The clock begins so long before what is presented first.
const BEFORE_TIME: i64 = 27_000;
/// And so long before the clock that follows.
const BEFORE_CLOCK: i64 = 900;
/// A time further from the clock than this has nothing to do with it.
const FAR: i64 = 900_000;

/// The stream with a clock in front, where it needs one.
pub fn clocked(source: Source) -> Source {
    match clock_in_front(source.as_ref()) {
        Some(front) => Arc::new(Prefixed { front, inner: source }),
        None => source,
    }
}

fn clock_in_front(source: &dyn ReadAt) -> Option<Vec<u8>> {
    let mut front = vec![0; FRONT];
    let read = read_full(source, 0, &mut front).ok()?;
    front.truncate(read);
    let is = |size: usize, lead: usize| [0, size].iter().all(|at| front.get(at + lead) == Some(&0x47));
    let (size, lead) = [(188, 0), (192, 4)].into_iter().find(|&(size, lead)| is(size, lead))?;
    let mut time: Option<u64> = None;
    for packet in front.chunks_exact(size) {
        let packet = packet.get(lead..).filter(|packet| packet[0] == 0x47)?;
        if let Some(clock) = clock(packet) {
            // As a signed distance, around the end of the numbers as well.
            let ahead = ((time? << 31).wrapping_sub(clock << 31) as i64) >> 31;
            if ahead.abs() > FAR {
                return None;
            }
            let begin = clock.wrapping_add_signed((ahead - BEFORE_TIME).min(-BEFORE_CLOCK)) & MASK;
            // Cameras write an arrival time in front of each packet.
            return Some([vec![0; lead], clock_packet([packet[1] & 0x1f, packet[2]], begin)].concat());
        }
        time = time.or_else(|| presented(packet));
    }
    None
}

/// The clock a packet tells, in 90 kHz.
fn clock(packet: &[u8]) -> Option<u64> {
    let told = packet[3] & 0x20 != 0 && packet[4] >= 7 && packet[5] & 0x10 != 0;
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    told.then(|| number(&packet[6..11]) >> 7)
}

/// When what begins in a packet is presented, where that is told.
fn presented(packet: &[u8]) -> Option<u64> {
    if packet[1] & 0x40 == 0 || packet[3] & 0x10 == 0 {
        return None;
    }
    let at = if packet[3] & 0x20 == 0 { 4 } else { 5 + usize::from(packet[4]) };
    let head = packet.get(at..at + 14)?;
    let stream = matches!(head[3], 0xbd | 0xc0..=0xef | 0xfd);
    let told = head[..3] == [0, 0, 1] && stream && head[7] & 0x80 != 0;
    let part = |at: usize, bits: u64| u64::from(head[at]) & bits;
    told.then(|| {
        part(9, 0x0e) << 29
            | part(10, 0xff) << 22
            | part(11, 0xfe) << 14
            | part(12, 0xff) << 7
            | part(13, 0xfe) >> 1
    })
}

/// When the packet of an elementary stream is presented that begins in the packet at `offset`, in ticks.
pub fn presented_at(source: &dyn ReadAt, offset: u64) -> Option<u64> {
    let mut bytes = [0; 192];
    read_full(source, offset, &mut bytes).ok()?;
    [0, 4].iter().find(|&&lead| bytes[lead] == 0x47).and_then(|&lead| presented(&bytes[lead..lead + 188]))
}

/// A packet that tells a clock and nothing else.
fn clock_packet(stream: [u8; 2], clock: u64) -> Vec<u8> {
    let mut packet = vec![0x47, stream[0], stream[1], 0x20, 183, 0x10];
    packet.extend(&(clock << 7 | 0x7e).to_be_bytes()[3..]);
    packet.push(0);
    packet.resize(188, 0xff);
    packet
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::source::Bytes;

    /// A packet in which something begins that is presented at a time.
    fn beginning(time: u64) -> Vec<u8> {
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

    /// The clock that is put in front of packets.
    fn told(packets: &[Vec<u8>]) -> Option<u64> {
        let source: Source = Arc::new(Bytes(packets.concat()));
        let read = clocked(source.clone());
        let mut first = vec![0; 188];
        read_full(read.as_ref(), 0, &mut first).unwrap();
        let more = read.size_bytes() - source.size_bytes();
        assert!(more == 0 || more == 188);
        (more > 0).then(|| clock(&first).unwrap())
    }

    #[test]
    fn sound_before_the_clock_gets_one() {
        let clock = |ticks| clock_packet([1, 0], ticks);
        assert_eq!(told(&[beginning(126_000), clock(140_000)]), Some(99_000));
        assert_eq!(told(&[beginning(126_000), clock(63_000)]), Some(62_100), "it never goes back");
        assert_eq!(
            told(&[beginning(MASK), clock(9_000)]),
            Some(MASK - 27_000),
            "around the end of the numbers"
        );
        assert_eq!(told(&[clock(63_000), beginning(126_000)]), None, "it has one");
        assert_eq!(
            told(&[beginning(126_000), clock(90_000_000)]),
            None,
            "two that have nothing to do with each other"
        );
        assert_eq!(told(&[beginning(126_000), beginning(126_000)]), None);
    }
}
