//! Matroska and WebM (RFC 9559): a further EBML header starts a further recording.

use std::io;

use super::walk::Walk;
use crate::container::ebml::{CLUSTER, EBML, ElementHeader, INFO, MAX_HEADER_BYTES, SEGMENT, VOID, unsigned};

const TIMESTAMP_SCALE: u32 = 0x2a_d7b1;
const TIMESTAMP: u32 = 0xe7;
const BLOCK_GROUP: u32 = 0xa0;
const BLOCK: u32 = 0xa1;
const SIMPLE_BLOCK: u32 = 0xa3;

/// A header of an element.
#[derive(Clone, Copy)]
struct Element {
    id: u32,
    /// Offset of its data.
    data_offset: u64,
    /// Length of its data; `None` if it lasts until an element that cannot be in it.
    length: Option<u64>,
}

/// Reads the header at an offset; `None` if there is none.
fn read_element(walk: &mut Walk<'_>, offset: u64) -> io::Result<Option<Element>> {
    let header = walk.read(offset, MAX_HEADER_BYTES)?.and_then(ElementHeader::parse);
    Ok(header.map(|header| Element {
        id: header.id,
        data_offset: offset + header.length as u64,
        length: header.size,
    }))
}

/// Finds where recordings start. Elements are skipped, except those that may have a time in them or
/// no length.
pub fn walk(walk: &mut Walk<'_>) -> io::Result<()> {
    let (mut offset, mut clock) = (0, PacketClock::default());
    // Clusters of known length are skipped, except the last one of a recording.
    let (mut skipped, mut segment_end) = (None, None);
    loop {
        let element = read_element(walk, offset)?;
        // IDs of the top levels have four bytes, except that of `Void`.
        let is_known = element.is_some_and(|element| element.id == VOID || element.id >= 0x1000_0000);
        let is_past_end = segment_end.is_some_and(|end| offset >= end) && !is_known;
        let Some(element) = element.filter(|_| !is_past_end) else {
            walk.end_structure(offset, is_past_end);
            break;
        };
        match element.id {
            EBML => {
                segment_end = None;
                clock.read_last_cluster(walk, skipped.take())?;
                walk.start_recording(offset);
                clock = PacketClock::default();
            }
            CLUSTER if element.length.is_some() => skipped = Some(element),
            _ => clock.read(walk, element)?,
        }
        if element.id == SEGMENT {
            let length = element.length.filter(|&length| length > 0);
            segment_end = length.map(|length| element.data_offset.saturating_add(length));
        }
        let is_entered = match element.id {
            // A length beyond the file's end is that of a recorder that was stopped.
            SEGMENT => element.length.is_none_or(|length| length > 0),
            INFO | BLOCK_GROUP => true,
            CLUSTER => element.length.is_none(),
            _ => false,
        };
        offset = match element.length {
            _ if is_entered => element.data_offset,
            Some(length) => match element.data_offset.checked_add(length) {
                Some(next) => next,
                None => break,
            },
            None => break,
        };
    }
    clock.read_last_cluster(walk, skipped)
}

/// What gives a packet its time.
struct PacketClock {
    scale_ns: u64,
    /// Time of the cluster, in ticks.
    cluster: u64,
}

impl Default for PacketClock {
    fn default() -> Self {
        Self { scale_ns: 1_000_000, cluster: 0 }
    }
}

impl PacketClock {
    /// Reads the times in an element.
    fn read(&mut self, walk: &mut Walk<'_>, element: Element) -> io::Result<()> {
        let length = element.length.unwrap_or(0).min(8) as usize;
        let number = |walk: &mut Walk<'_>| -> io::Result<u64> {
            Ok(unsigned(walk.read(element.data_offset, length)?.unwrap_or_default()))
        };
        match element.id {
            TIMESTAMP_SCALE => self.scale_ns = number(walk)?.clamp(1, 1_000_000_000),
            TIMESTAMP => self.cluster = number(walk)?,
            SIMPLE_BLOCK | BLOCK => {
                let bytes = walk.read(element.data_offset, 10)?.unwrap_or_default();
                let Some(track) = bytes.first().map(|first| first.leading_zeros() as usize + 1) else {
                    return Ok(());
                };
                let Some(&[high, low]) = bytes.get(track..track + 2) else { return Ok(()) };
                let ticks = i128::from(self.cluster) + i128::from(i16::from_be_bytes([high, low]));
                if let Ok(ns) = i64::try_from(ticks * i128::from(self.scale_ns)) {
                    walk.add_time(ns);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Reads the times in the last cluster of a recording.
    fn read_last_cluster(&mut self, walk: &mut Walk<'_>, cluster: Option<Element>) -> io::Result<()> {
        let Some(cluster) = cluster else { return Ok(()) };
        let mut offset = cluster.data_offset;
        let end = offset.saturating_add(cluster.length.unwrap_or(0));
        while offset < end {
            let Some(element) = read_element(walk, offset)? else { break };
            self.read(walk, element)?;
            offset = match element.length {
                _ if element.id == BLOCK_GROUP => element.data_offset,
                Some(length) => element.data_offset.saturating_add(length),
                None => break,
            };
        }
        Ok(())
    }
}
