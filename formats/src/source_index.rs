//! The index object of one track of a source rendition: how its segments are assembled from the
//! uploaded file. docs/ref/objects.md documents the layout; numbers are big-endian.
//!
//! A worker's child writes it next to a file that it did not trust, and the server reads it. So the
//! reader believes nothing: every offset is checked before it is followed.

use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;

use crate::boxes::{u32_at, u64_at};
use crate::{Coding, NalFraming};

/// First bytes of an index object.
pub const MAGIC: &[u8; 8] = b"chalkidx";
/// Version of the layout.
pub const VERSION: u32 = 2;
/// Bytes before the init segment.
pub const HEADER_BYTES: usize = 40;
/// Bytes of a segment's entry in the table.
pub const ENTRY_BYTES: usize = 48;
/// Bytes of one run in a segment's record.
pub const RUN_BYTES: usize = 8;
/// Most bytes of an init segment: ours are below one thousand.
pub const MAX_INIT_BYTES: u64 = 64 << 10;
/// Most bytes of header, init segment and table. Six hours of 3.2 s segments take 330 kB.
pub const MAX_HEAD_BYTES: u64 = 4 << 20;
/// Most bytes of a segment's record: what a server holds in memory for one response.
pub const MAX_RECORD_BYTES: u64 = 1 << 20;

/// The fixed part of an index object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Ticks per second.
    pub timescale: u32,
    /// Number of segments.
    pub segments: u32,
    /// Bytes of the init segment.
    pub init_bytes: u32,
    /// Size of the source, in bytes.
    pub source_bytes: u64,
    /// How the samples are divided into NAL units; `None` for audio.
    pub framing: Option<NalFraming>,
}

impl Header {
    /// Returns the header as it is stored.
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let (coding, length_bytes) = match self.framing {
            None => (0, 0),
            Some(NalFraming { coding: Coding::Avc, length_bytes }) => (1, length_bytes),
            Some(NalFraming { coding: Coding::Hevc, length_bytes }) => (2, length_bytes),
        };
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        put_u32(&mut bytes, 8, VERSION);
        put_u32(&mut bytes, 12, self.timescale);
        put_u32(&mut bytes, 16, self.segments);
        put_u32(&mut bytes, 20, self.init_bytes);
        put_u64(&mut bytes, 24, self.source_bytes);
        put_u32(&mut bytes, 32, coding);
        put_u32(&mut bytes, 36, length_bytes);
        bytes
    }

    /// Reads a header; `None` if it is none of ours, or promises more than is allowed.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.get(..8)? != MAGIC || u32_at(bytes, 8)? != VERSION {
            return None;
        }
        let length_bytes = u32_at(bytes, 36)?;
        let framing = match u32_at(bytes, 32)? {
            0 => None,
            1 => Some(NalFraming { coding: Coding::Avc, length_bytes }),
            2 => Some(NalFraming { coding: Coding::Hevc, length_bytes }),
            _ => return None,
        };
        let header = Self {
            timescale: u32_at(bytes, 12)?,
            segments: u32_at(bytes, 16)?,
            init_bytes: u32_at(bytes, 20)?,
            source_bytes: u64_at(bytes, 24)?,
            framing,
        };
        let plausible = framing.is_none_or(|framing| (1..=4).contains(&framing.length_bytes))
            && u64::from(header.init_bytes) <= MAX_INIT_BYTES
            && header.head_bytes() <= MAX_HEAD_BYTES;
        plausible.then_some(header)
    }

    /// Bytes of header, init segment and table.
    pub fn head_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.init_bytes) + u64::from(self.segments) * ENTRY_BYTES as u64
    }
}

/// A run: bytes of the source to skip, and then to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Bytes to skip.
    pub skip: u32,
    /// Bytes to take.
    pub take: u32,
}

impl Run {
    /// A run that skips and then takes so many bytes.
    pub fn new(skip: u32, take: u32) -> Self {
        Self { skip, take }
    }
}

/// A segment's entry in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// Start of the segment, in ticks.
    pub start: u64,
    /// Duration of the segment, in ticks.
    pub duration: u32,
    /// Number of runs in its record.
    pub runs: u32,
    /// Offset of its record in the index object.
    pub record_offset: u64,
    /// Bytes of its `moof`, with the header of its `mdat`.
    pub moof_bytes: u32,
    /// Bytes that its runs take.
    pub payload_bytes: u32,
    /// Offset of its first run in the source.
    pub source_offset: u64,
    /// Bytes from there to the end of its last run.
    pub source_bytes: u32,
}

impl IndexEntry {
    /// Returns the entry as it is stored.
    pub fn to_bytes(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        put_u64(&mut bytes, 0, self.start);
        put_u32(&mut bytes, 8, self.duration);
        put_u32(&mut bytes, 12, self.runs);
        put_u64(&mut bytes, 16, self.record_offset);
        put_u32(&mut bytes, 24, self.moof_bytes);
        put_u32(&mut bytes, 28, self.payload_bytes);
        put_u64(&mut bytes, 32, self.source_offset);
        put_u32(&mut bytes, 40, self.source_bytes);
        bytes
    }

    /// Reads an entry; `None` if the bytes end before it does.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            start: u64_at(bytes, 0)?,
            duration: u32_at(bytes, 8)?,
            runs: u32_at(bytes, 12)?,
            record_offset: u64_at(bytes, 16)?,
            moof_bytes: u32_at(bytes, 24)?,
            payload_bytes: u32_at(bytes, 28)?,
            source_offset: u64_at(bytes, 32)?,
            source_bytes: u32_at(bytes, 40)?,
        })
    }

    /// Bytes of the assembled segment.
    pub fn size_bytes(&self) -> u64 {
        u64::from(self.moof_bytes) + u64::from(self.payload_bytes)
    }

    /// Range of its record in the index object. Empty if it lies nowhere, which
    /// [`SourceIndex::parse`] refuses.
    pub fn record_range(&self) -> Range<u64> {
        self.checked_record_range().unwrap_or(0..0)
    }

    fn checked_record_range(&self) -> Option<Range<u64>> {
        let length = u64::from(self.runs) * RUN_BYTES as u64 + u64::from(self.moof_bytes);
        Some(self.record_offset..self.record_offset.checked_add(length)?)
    }

    /// Whether everything it names lies inside the index object and the source.
    fn fits(&self, head_bytes: u64, object_bytes: u64, source_bytes: u64) -> bool {
        let Some(record) = self.checked_record_range() else { return false };
        let source_end = self.source_offset.checked_add(self.source_bytes.into());
        record.start >= head_bytes
            && record.end <= object_bytes
            && record.end - record.start <= MAX_RECORD_BYTES
            && source_end.is_some_and(|end| end <= source_bytes)
    }

    /// Finds what `wanted` of the assembled segment is made of. `None` if `record` contradicts the
    /// entry.
    pub fn parts(&self, record: &[u8], wanted: Range<u64>) -> Option<Parts> {
        let runs_bytes = self.runs as usize * RUN_BYTES;
        let moof_bytes = u64::from(self.moof_bytes);
        if record.get(runs_bytes..)?.len() as u64 != moof_bytes {
            return None;
        }
        let runs: Vec<Run> = record[..runs_bytes]
            .chunks_exact(RUN_BYTES)
            .map_while(|run| Some(Run::new(u32_at(run, 0)?, u32_at(run, 4)?)))
            .collect();
        let sum = |bytes: fn(&Run) -> u64| runs.iter().map(bytes).sum::<u64>();
        let agrees = sum(|run| run.take.into()) == u64::from(self.payload_bytes)
            && sum(|run| u64::from(run.skip) + u64::from(run.take)) == u64::from(self.source_bytes);
        let in_record = |at: u64| runs_bytes + at.min(moof_bytes) as usize;
        let in_payload = |at: u64| at.saturating_sub(moof_bytes);
        let moof = in_record(wanted.start)..in_record(wanted.end);
        let (runs, offset, length) = trim(&runs, in_payload(wanted.start)..in_payload(wanted.end));
        let start = self.source_offset + offset;
        agrees.then_some(Parts { moof, source: start..start + length, runs })
    }
}

/// Sources of a range of an assembled segment: bytes of its record, then bytes of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Range of the bytes in the record.
    pub moof: Range<usize>,
    /// The range of the source to read; may be empty.
    pub source: Range<u64>,
    /// Which bytes of that range to skip and to take.
    pub runs: Vec<Run>,
}

/// The runs that give `wanted` of what all runs give, and offset and length of the bytes that they
/// span.
fn trim(runs: &[Run], wanted: Range<u64>) -> (Vec<Run>, u64, u64) {
    let mut trimmed: Vec<Run> = Vec::with_capacity(runs.len());
    // Offsets in the source, counted from the first run: where the next run begins, and where the
    // last trimmed one ends.
    let (mut offset, mut at, mut end, mut given) = (0, 0_u64, 0_u64, 0_u64);
    for run in runs {
        at += u64::from(run.skip);
        let next = given + u64::from(run.take);
        let from = wanted.start.clamp(given, next);
        let taken = wanted.end.clamp(given, next).saturating_sub(from);
        if taken > 0 {
            let start = at + (from - given);
            if trimmed.is_empty() {
                (offset, end) = (start, start);
            }
            trimmed.push(Run::new((start - end) as u32, taken as u32));
            end = start + taken;
        }
        at += u64::from(run.take);
        given = next;
    }
    (trimmed, offset, end - offset)
}

/// Header, init segment and table of an index object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceIndex<'a> {
    /// The fixed part.
    pub header: Header,
    /// The init segment.
    pub init: &'a [u8],
    /// The segments, in order.
    pub entries: Vec<IndexEntry>,
}

impl<'a> SourceIndex<'a> {
    /// Reads the head of an object of `object_bytes`; `None` if anything in it does not fit.
    pub fn parse(head: &'a [u8], object_bytes: u64) -> Option<Self> {
        let header = Header::parse(head)?;
        let head_bytes = header.head_bytes();
        let head = head.get(..usize::try_from(head_bytes).ok()?)?;
        let (init, table) = head[HEADER_BYTES..].split_at(header.init_bytes as usize);
        let entries = table
            .chunks_exact(ENTRY_BYTES)
            .map(|bytes| {
                IndexEntry::parse(bytes)
                    .filter(|entry| entry.fits(head_bytes, object_bytes, header.source_bytes))
            })
            .collect::<Option<Vec<_>>>()?;
        Some(Self { header, init, entries })
    }
}

/// A segment as the writer takes it.
#[derive(Clone, Copy, Debug)]
pub struct SegmentRecord<'a> {
    /// Start, in ticks.
    pub start: u64,
    /// Duration, in ticks.
    pub duration: u32,
    /// Offset of the first run in the source.
    pub source_offset: u64,
    /// Which bytes of the source it is made of.
    pub runs: &'a [Run],
    /// Its `moof`, with the header of its `mdat`.
    pub moof: &'a [u8],
}

/// Writes an index object, one segment after the other. Records follow the table, so the table is
/// written last, into room that was left for it.
pub struct IndexWriter<W> {
    out: W,
    init: Vec<u8>,
    segments: u32,
    next_record: u64,
    table: Vec<u8>,
}

impl<W: Write + Seek> IndexWriter<W> {
    /// Begins an index of so many segments.
    ///
    /// # Errors
    /// If `out` cannot be positioned.
    pub fn new(mut out: W, init: Vec<u8>, segments: u32) -> io::Result<Self> {
        let table_bytes = segments as usize * ENTRY_BYTES;
        let next_record = (HEADER_BYTES + init.len() + table_bytes) as u64;
        out.seek(SeekFrom::Start(next_record))?;
        Ok(Self { out, init, segments, next_record, table: Vec::with_capacity(table_bytes) })
    }

    /// Adds the next segment.
    ///
    /// # Errors
    /// If a size does not fit its field, or `out` cannot be written.
    pub fn add(&mut self, segment: &SegmentRecord<'_>) -> io::Result<()> {
        let sum = |bytes: fn(&Run) -> u64| field(segment.runs.iter().map(bytes).sum());
        let entry = IndexEntry {
            start: segment.start,
            duration: segment.duration,
            runs: field(segment.runs.len() as u64)?,
            record_offset: self.next_record,
            moof_bytes: field(segment.moof.len() as u64)?,
            payload_bytes: sum(|run| run.take.into())?,
            source_offset: segment.source_offset,
            source_bytes: sum(|run| u64::from(run.skip) + u64::from(run.take))?,
        };
        for run in segment.runs {
            self.out.write_all(&run.skip.to_be_bytes())?;
            self.out.write_all(&run.take.to_be_bytes())?;
        }
        self.out.write_all(segment.moof)?;
        self.table.extend(entry.to_bytes());
        self.next_record = entry.record_range().end;
        Ok(())
    }

    /// Writes header, init segment and table, and returns `out` flushed.
    ///
    /// # Errors
    /// If another number of segments was added than promised, or `out` cannot be written.
    pub fn finish(mut self, timescale: u32, source_bytes: u64, framing: Option<NalFraming>) -> io::Result<W> {
        if self.table.len() != self.segments as usize * ENTRY_BYTES {
            return Err(io::Error::other("an index with another number of segments than promised"));
        }
        let init_bytes = field(self.init.len() as u64)?;
        let header = Header { timescale, segments: self.segments, init_bytes, source_bytes, framing };
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&header.to_bytes())?;
        self.out.write_all(&self.init)?;
        self.out.write_all(&self.table)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

fn field(size: u64) -> io::Result<u32> {
    u32::try_from(size).map_err(|_| io::Error::other("an index with a size past 32 bits"))
}

fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

fn put_u64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
mod tests;
