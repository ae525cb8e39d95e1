//! Matroska and WebM (RFC 9559): a further EBML head begins a further recording.

use std::io;

use super::Walk;

const EBML: u32 = 0x1a45_dfa3;
const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_a966;
const TIMESTAMP_SCALE: u32 = 0x2a_d7b1;
const CLUSTER: u32 = 0x1f43_b675;
const TIMESTAMP: u32 = 0xe7;
const BLOCK_GROUP: u32 = 0xa0;
const BLOCK: u32 = 0xa1;
const SIMPLE_BLOCK: u32 = 0xa3;
const VOID: u32 = 0xec;

/// An element's head.
#[derive(Clone, Copy)]
struct Element {
    id: u32,
    /// Where its content begins.
    content: u64,
    /// Length of its content; `None` where it ends with what cannot be in it.
    length: Option<u64>,
}

/// Reads the head at `at`; `None` where there is none.
fn element(walk: &mut Walk<'_>, at: u64) -> io::Result<Option<Element>> {
    let Some(bytes) = walk.bytes(at, 12)? else { return Ok(None) };
    let number = |from: usize, most: usize, marked: bool| {
        let first = *bytes.get(from)?;
        let length = first.leading_zeros() as usize + 1;
        if length > most {
            return None;
        }
        let kept = if marked { first } else { first & (0xff_u16 >> length) as u8 };
        let rest = bytes.get(from + 1..from + length)?;
        Some((length, rest.iter().fold(u64::from(kept), |value, byte| value << 8 | u64::from(*byte))))
    };
    let read = || {
        let (id_length, id) = number(0, 4, true)?;
        let (size_length, size) = number(id_length, 8, false)?;
        let unknown = size == (1 << (7 * size_length)) - 1;
        Some(Element {
            id: id as u32,
            content: at + (id_length + size_length) as u64,
            length: (!unknown).then_some(size),
        })
    };
    Ok(read())
}

/// Finds where recordings begin. Everything is passed over but what may hold a time or have no length.
pub fn walk(walk: &mut Walk<'_>) -> io::Result<()> {
    let (mut at, mut clock) = (0, Clock { scale_ns: 1_000_000, cluster: 0 });
    // A cluster of known length is passed over; the last one of a recording is looked into.
    let (mut passed, mut segment_end) = (None, None);
    loop {
        let found = element(walk, at)?;
        // Elements of the top levels have names of four bytes, but for what fills a gap.
        let is_ours = found.is_some_and(|found| found.id == VOID || found.id >= 0x1000_0000);
        let is_past_end = segment_end.is_some_and(|end| at >= end) && !is_ours;
        let Some(found) = found.filter(|_| !is_past_end) else {
            walk.ends(at, is_past_end);
            break;
        };
        match found.id {
            EBML => {
                segment_end = None;
                clock.last_cluster(walk, passed.take())?;
                walk.begin(at);
                clock = Clock { scale_ns: 1_000_000, cluster: 0 };
            }
            CLUSTER if found.length.is_some() => passed = Some(found),
            _ => clock.read(walk, found)?,
        }
        if found.id == SEGMENT {
            let length = found.length.filter(|&length| length > 0);
            segment_end = length.map(|length| found.content.saturating_add(length));
        }
        let inside = match found.id {
            // A length that reaches beyond the file's end is one of a recorder that was stopped.
            SEGMENT => found.length.is_none_or(|length| length > 0),
            INFO | BLOCK_GROUP => true,
            _ => found.length.is_none(),
        };
        at = match found.length {
            _ if inside && matches!(found.id, SEGMENT | INFO | CLUSTER | BLOCK_GROUP) => found.content,
            Some(length) => match found.content.checked_add(length) {
                Some(next) => next,
                None => break,
            },
            None => break,
        };
    }
    clock.last_cluster(walk, passed)
}

/// What is needed to tell a packet's time.
struct Clock {
    scale_ns: u64,
    cluster: u64,
}

impl Clock {
    /// Takes in what an element says about times.
    fn read(&mut self, walk: &mut Walk<'_>, element: Element) -> io::Result<()> {
        let length = element.length.unwrap_or(0).min(8) as usize;
        let number = |walk: &mut Walk<'_>| -> io::Result<u64> {
            let bytes = walk.bytes(element.content, length)?.unwrap_or_default();
            Ok(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
        };
        match element.id {
            TIMESTAMP_SCALE => self.scale_ns = number(walk)?.clamp(1, 1_000_000_000),
            TIMESTAMP => self.cluster = number(walk)?,
            SIMPLE_BLOCK | BLOCK => {
                let bytes = walk.bytes(element.content, 10)?.unwrap_or_default();
                let Some(track) = bytes.first().map(|first| first.leading_zeros() as usize + 1) else {
                    return Ok(());
                };
                let Some(&[high, low]) = bytes.get(track..track + 2) else { return Ok(()) };
                let ticks = i128::from(self.cluster) + i128::from(i16::from_be_bytes([high, low]));
                if let Ok(ns) = i64::try_from(ticks * i128::from(self.scale_ns)) {
                    walk.time(ns);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Looks into the last cluster of a recording.
    fn last_cluster(&mut self, walk: &mut Walk<'_>, cluster: Option<Element>) -> io::Result<()> {
        let Some(cluster) = cluster else { return Ok(()) };
        let (mut at, end) = (cluster.content, cluster.content.saturating_add(cluster.length.unwrap_or(0)));
        while at < end {
            let Some(found) = element(walk, at)? else { break };
            self.read(walk, found)?;
            at = match found.length {
                _ if found.id == BLOCK_GROUP => found.content,
                Some(length) => found.content.saturating_add(length),
                None => break,
            };
        }
        Ok(())
    }
}
