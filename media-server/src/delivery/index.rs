//! An index object: what the segments of the source as a rendition are joined from. Its layout is told in
//! docs/ref/objects.md. A worker's child wrote it, beside a file it did not trust: nothing in it is believed.

use std::ops::Range;

use bytes::Bytes;

use super::nal_scrubber::{Coding, Framing};

/// Bytes before the init segment.
const HEADER_BYTES: u64 = 40;
/// Bytes of a segment in the table.
const ENTRY_BYTES: u64 = 48;
/// Largest init segment: ours are below one thousand bytes.
const MAX_INIT_BYTES: u64 = 64 << 10;
/// Most bytes of header, init segment and table. Six hours of 3.2 s segments are 330 kB.
const MAX_HEAD_BYTES: u64 = 4 << 20;
/// Most bytes of a segment's record.
const MAX_RECORD_BYTES: u64 = 1 << 20;

/// One track of a source.
#[derive(Debug)]
pub struct Index {
    /// The init segment.
    pub init: Bytes,
    /// Size of the source it is an index of, in bytes.
    pub source_bytes: u64,
    /// How its samples are made of units; none of sound.
    pub framing: Option<Framing>,
    segments: Vec<Segment>,
}

/// Where a segment's parts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    record_offset: u64,
    runs: u32,
    moof_bytes: u32,
    payload_bytes: u32,
    source_offset: u64,
    source_length: u32,
}

/// Bytes of the source to pass over, and then to take.
pub type Run = (u32, u32);

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn wide(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// Bytes of header, init segment and table, by the header; none where it is not one.
pub fn head_bytes(header: &[u8]) -> Option<u64> {
    let known = header.get(..8)? == b"chalkidx" && word(header, 8)? == 2;
    let (segments, init) = (u64::from(word(header, 16)?), u64::from(word(header, 20)?));
    let head = HEADER_BYTES + init + segments * ENTRY_BYTES;
    (known && init <= MAX_INIT_BYTES && head <= MAX_HEAD_BYTES).then_some(head)
}

impl Index {
    /// Reads header, init segment and table of an object of `object_bytes`.
    pub fn parse(head: &[u8], object_bytes: u64) -> Option<Self> {
        let length = head_bytes(head)?;
        let head = head.get(..usize::try_from(length).ok()?)?;
        let table = (HEADER_BYTES + u64::from(word(head, 20)?)) as usize;
        let source_bytes = wide(head, 24)?;
        let coding = match word(head, 32)? {
            0 => None,
            1 => Some(Coding::Avc),
            2 => Some(Coding::Hevc),
            _ => return None,
        };
        let length_bytes = word(head, 36)?;
        if coding.is_some() && !(1..=4).contains(&length_bytes) {
            return None;
        }
        let framing = coding.map(|coding| Framing { coding, length_bytes });
        let segments = head[table..]
            .chunks_exact(ENTRY_BYTES as usize)
            .map(|entry| {
                let segment = Segment {
                    runs: word(entry, 12)?,
                    record_offset: wide(entry, 16)?,
                    moof_bytes: word(entry, 24)?,
                    payload_bytes: word(entry, 28)?,
                    source_offset: wide(entry, 32)?,
                    source_length: word(entry, 40)?,
                };
                let record = segment.record()?;
                let source_end = segment.source_offset.checked_add(segment.source_length.into())?;
                let fits = record.start >= length
                    && record.end <= object_bytes
                    && record.end - record.start <= MAX_RECORD_BYTES
                    && source_end <= source_bytes;
                fits.then_some(segment)
            })
            .collect::<Option<Vec<_>>>()?;
        let init = Bytes::copy_from_slice(&head[HEADER_BYTES as usize..table]);
        Some(Self { init, source_bytes, framing, segments })
    }

    /// A segment by its number, from 1.
    pub fn segment(&self, number: usize) -> Option<Segment> {
        self.segments.get(number.checked_sub(1)?).copied()
    }

    /// Bytes it takes in memory, about.
    pub fn weight(&self) -> usize {
        self.init.len() + self.segments.len() * size_of::<Segment>()
    }
}

impl Segment {
    /// Bytes of the answer.
    pub fn size_bytes(&self) -> u64 {
        u64::from(self.moof_bytes) + u64::from(self.payload_bytes)
    }

    fn record(&self) -> Option<Range<u64>> {
        let length = u64::from(self.runs) * 8 + u64::from(self.moof_bytes);
        Some(self.record_offset..self.record_offset.checked_add(length)?)
    }

    /// Where its record is in the index object.
    pub fn record_range(&self) -> Range<u64> {
        self.record().unwrap_or(0..0)
    }

    /// What `wanted` of the answer is made of, by the segment's record; none where the record is not right.
    pub fn parts(&self, record: &Bytes, wanted: Range<u64>) -> Option<Parts> {
        let runs_bytes = self.runs as usize * 8;
        let moof = record.get(runs_bytes..).filter(|moof| moof.len() == self.moof_bytes as usize)?;
        let runs: Vec<Run> = record[..runs_bytes]
            .chunks_exact(8)
            .map_while(|run| Some((word(run, 0)?, word(run, 4)?)))
            .collect();
        let sum = |part: fn(&Run) -> u64| runs.iter().map(part).sum::<u64>();
        let right = sum(|run| run.1.into()) == u64::from(self.payload_bytes)
            && sum(|run| u64::from(run.0) + u64::from(run.1)) == u64::from(self.source_length);
        let moof_bytes = u64::from(self.moof_bytes);
        let within = |place: u64| place.min(moof_bytes) as usize;
        let moof = record.slice_ref(&moof[within(wanted.start)..within(wanted.end)]);
        let from_payload = |place: u64| place.saturating_sub(moof_bytes);
        let (runs, offset, length) = trimmed(&runs, from_payload(wanted.start)..from_payload(wanted.end));
        let source = self.source_offset + offset..self.source_offset + offset + length;
        right.then_some(Parts { moof, source, runs })
    }
}

/// What an answer is made of: some bytes, and then some of a range of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The bytes.
    pub moof: Bytes,
    /// The range; may be empty.
    pub source: Range<u64>,
    /// Which of it to pass over and to take.
    pub runs: Vec<Run>,
}

/// The runs that give `wanted` of what all of them give, and offset and length of the bytes they lie among.
fn trimmed(runs: &[Run], wanted: Range<u64>) -> (Vec<Run>, u64, u64) {
    let mut made: Vec<Run> = Vec::with_capacity(runs.len());
    // Places in the source from the first run on: where the next run begins, and where the last one that is made ends.
    let (mut offset, mut at, mut end, mut given) = (0, 0_u64, 0_u64, 0_u64);
    for &(skip, take) in runs {
        at += u64::from(skip);
        let next = given + u64::from(take);
        let from = wanted.start.clamp(given, next);
        let taken = wanted.end.clamp(given, next).saturating_sub(from);
        if taken > 0 {
            let start = at + (from - given);
            if made.is_empty() {
                (offset, end) = (start, start);
            }
            made.push(((start - end) as u32, taken as u32));
            end = start + taken;
        }
        at += u64::from(take);
        given = next;
    }
    (made, offset, end - offset)
}

#[cfg(test)]
pub use tests::written;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// An index of sound by the documented layout: of each segment its `moof`, where its runs begin, and they.
    fn sound(init: &[u8], source_bytes: u64, segments: &[(&[u8], u64, &[Run])]) -> Vec<u8> {
        written(0, init, source_bytes, segments)
    }

    /// The same of any track, by the number that says how it is coded.
    pub fn written(
        coding: u32,
        init: &[u8],
        source_bytes: u64,
        segments: &[(&[u8], u64, &[Run])],
    ) -> Vec<u8> {
        let mut made = b"chalkidx".to_vec();
        for number in [2, 1000, segments.len() as u32, init.len() as u32] {
            made.extend(number.to_be_bytes());
        }
        made.extend(source_bytes.to_be_bytes());
        made.extend(coding.to_be_bytes());
        made.extend(4_u32.to_be_bytes());
        made.extend(init);
        let mut at = (made.len() + segments.len() * 48) as u64;
        let mut records = Vec::new();
        for (number, (moof, offset, runs)) in segments.iter().enumerate() {
            let record: Vec<u8> =
                runs.iter().flat_map(|run| [run.0.to_be_bytes(), run.1.to_be_bytes()].concat()).collect();
            made.extend((number as u64 * 3200).to_be_bytes());
            made.extend(3200_u32.to_be_bytes());
            made.extend((runs.len() as u32).to_be_bytes());
            made.extend(at.to_be_bytes());
            made.extend((moof.len() as u32).to_be_bytes());
            made.extend(runs.iter().map(|run| run.1).sum::<u32>().to_be_bytes());
            made.extend(offset.to_be_bytes());
            made.extend(runs.iter().map(|run| run.0 + run.1).sum::<u32>().to_be_bytes());
            made.extend([0; 4]);
            at += (record.len() + moof.len()) as u64;
            records.extend(record);
            records.extend(*moof);
        }
        made.extend(records);
        made
    }

    #[test]
    fn an_index_is_read_and_its_parts_found() {
        let bytes = sound(b"init", 100, &[(b"moof1", 10, &[(0, 5), (2, 3)]), (b"moof2!", 90, &[(0, 10)])]);
        let index = Index::parse(&bytes, bytes.len() as u64).unwrap();
        assert_eq!((&index.init[..], index.source_bytes), (&b"init"[..], 100));
        assert!(index.segment(0).is_none() && index.segment(3).is_none());
        let first = index.segment(1).unwrap();
        let range = first.record_range();
        let record = Bytes::copy_from_slice(&bytes[range.start as usize..range.end as usize]);
        assert_eq!(first.size_bytes(), 13);
        let part = |wanted| {
            let parts = first.parts(&record, wanted).unwrap();
            (parts.moof.to_vec(), parts.source, parts.runs)
        };
        assert_eq!(part(0..13), (b"moof1".to_vec(), 10..20, vec![(0, 5), (2, 3)]));
        assert_eq!(part(3..8), (b"f1".to_vec(), 10..13, vec![(0, 3)]));
        assert_eq!(part(7..12), (vec![], 12..19, vec![(0, 3), (2, 2)]));
        assert_eq!(part(11..12), (vec![], 18..19, vec![(0, 1)]));
        assert_eq!(part(0..2), (b"mo".to_vec(), 10..10, vec![]));
    }

    #[test]
    fn what_does_not_fit_is_not_believed() {
        let good = sound(b"init", 100, &[(b"moof", 10, &[(0, 5), (2, 3)])]);
        let size = good.len() as u64;
        let entry = 44;
        let changed = |at: usize, to: &[u8]| {
            let mut bytes = good.clone();
            bytes[at..at + to.len()].copy_from_slice(to);
            Index::parse(&bytes, size).map(|_| ())
        };
        assert!(changed(0, b"c").is_some());
        assert!(changed(0, b"x").is_none(), "another kind of object");
        assert!(changed(8, &[0, 0, 0, 1]).is_none(), "another version");
        assert!(changed(16, &[0xff; 4]).is_none(), "more segments than can be");
        assert!(changed(20, &[0xff; 4]).is_none(), "a huge init segment");
        assert!(changed(24, &[0; 8]).is_none(), "a source that is too short");
        assert!(
            changed(32, &[0, 0, 0, 2]).is_some() && changed(32, &[0, 0, 0, 3]).is_none(),
            "a coding unheard of"
        );
        assert!(changed(32, &[0, 0, 0, 1, 0, 0, 0, 5]).is_none(), "lengths of five bytes");
        assert!(changed(entry + 12, &[0xff; 4]).is_none(), "more runs than there are");
        assert!(changed(entry + 16, &[0; 8]).is_none(), "a record in the head");
        assert!(changed(entry + 16, &[0xff; 8]).is_none(), "a record nowhere");
        assert!(changed(entry + 32, &[0xff; 8]).is_none(), "bytes beyond the source");
        assert!(Index::parse(&good[..60], size).is_none(), "half a head");
        let segment = Index::parse(&good, size).unwrap().segment(1).unwrap();
        let longer = Bytes::copy_from_slice(
            &[&[0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 3][..], b"moof"].concat(),
        );
        assert!(segment.parts(&longer, 0..12).is_none(), "runs that are not as long as the entry says");
        assert!(segment.parts(&longer.slice(..12), 0..12).is_none(), "half a record");
    }
}
