//! A track's sample tables (ISO/IEC 14496-12, 8.6 and 8.7), read sample by sample.
//!
//! The tables are not unpacked, so hours of samples take no more memory than in the file. Every
//! number is from the file and may lie.

use chalkstream_formats::boxes::{find, u32_at};

use crate::declined::{DeclineReason, declined};

/// Maximum number of samples of a track: six hours at more than 300 a second.
const MAX_SAMPLES: u32 = 8_000_000;

/// A table of entries of one size, after a box's version and count.
#[derive(Clone, Copy)]
struct Table<'a> {
    entries: &'a [u8],
    words: usize,
}

impl<'a> Table<'a> {
    /// Reads a table of `words` words per entry, whose count is at `count_at`. `None` if it
    /// declares more entries than it has.
    fn read(content: &'a [u8], count_at: usize, words: usize) -> Option<Self> {
        let length = (u32_at(content, count_at)? as usize).checked_mul(words * 4)?;
        let entries = content.get(count_at + 4..)?.get(..length)?;
        Some(Self { entries, words })
    }

    fn len(&self) -> usize {
        self.entries.len() / (self.words * 4)
    }

    fn get(&self, entry: usize, word: usize) -> Option<u32> {
        u32_at(self.entries, entry.checked_mul(self.words * 4)? + word * 4)
    }
}

/// One sample, in decode order. Times are in the track's own ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Index of the sample, counted from 0.
    pub number: u32,
    /// Offset of its bytes in the file.
    pub offset: u64,
    /// Size, in bytes.
    pub size: u32,
    /// Decode time.
    pub dts: i64,
    /// Presentation time, before any edit.
    pub pts: i64,
    /// Decode time of the next sample less its own.
    pub duration: u32,
    /// Whether decoding can start here, as the file declares.
    pub sync: bool,
}

/// A track's tables.
#[derive(Clone, Copy)]
pub struct SampleTables<'a> {
    durations: Table<'a>,
    offsets: Option<Table<'a>>,
    /// Size of all samples; 0 if they differ.
    size: u32,
    sizes: Table<'a>,
    samples: u32,
    chunks: Table<'a>,
    runs: Table<'a>,
    syncs: Option<Table<'a>>,
}

impl<'a> SampleTables<'a> {
    /// Reads the tables in the content of `stbl`.
    pub fn read(stbl: &'a [u8]) -> Result<Self, DeclineReason> {
        let damaged = || declined("damaged_index", "The recording's index is damaged.");
        let table = |kind: &[u8; 4], words| {
            find(stbl, kind).map(|content| Table::read(content, 4, words).ok_or_else(damaged)).transpose()
        };
        let stsz = find(stbl, b"stsz").ok_or_else(damaged)?;
        let size = u32_at(stsz, 4).ok_or_else(damaged)?;
        let samples = u32_at(stsz, 8).ok_or_else(damaged)?;
        if samples > MAX_SAMPLES {
            return Err(declined("too_many_samples", "The recording has more pictures than can be indexed."));
        }
        let none = Table { entries: &[], words: 1 };
        let sizes = if size == 0 { Table::read(stsz, 8, 1).ok_or_else(damaged)? } else { none };
        let chunks = match table(b"stco", 1)? {
            Some(chunks) => chunks,
            None => table(b"co64", 2)?.ok_or_else(damaged)?,
        };
        Ok(Self {
            durations: table(b"stts", 2)?.ok_or_else(damaged)?,
            offsets: table(b"ctts", 2)?,
            size,
            sizes,
            samples,
            chunks,
            runs: table(b"stsc", 3)?.ok_or_else(damaged)?,
            syncs: table(b"stss", 1)?,
        })
    }

    /// Whether all samples use the first sample description.
    pub fn has_one_description(&self) -> bool {
        (0..self.runs.len()).all(|run| self.runs.get(run, 2) == Some(1))
    }

    /// Iterates over all samples in decode order. Ends early if a table does.
    pub fn samples(&self) -> Samples<'a> {
        Samples {
            tables: *self,
            number: 0,
            dts: 0,
            durations: RunCursor::default(),
            offsets: RunCursor::default(),
            chunk: 0,
            chunk_left: 0,
            run: 0,
            offset: 0,
            sync: 0,
        }
    }
}

/// Position in a run-length table.
#[derive(Default)]
struct RunCursor {
    entry: usize,
    left: u32,
    value: u32,
}

impl RunCursor {
    fn next(&mut self, table: &Table<'_>) -> Option<u32> {
        while self.left == 0 {
            self.left = table.get(self.entry, 0)?;
            self.value = table.get(self.entry, 1)?;
            self.entry += 1;
        }
        self.left -= 1;
        Some(self.value)
    }
}

/// Iterator over the samples of a track.
pub struct Samples<'a> {
    tables: SampleTables<'a>,
    number: u32,
    dts: i64,
    durations: RunCursor,
    offsets: RunCursor,
    /// Number of chunks started.
    chunk: usize,
    chunk_left: u32,
    /// Number of the current run of chunks, counted from 1.
    run: usize,
    offset: u64,
    sync: usize,
}

impl Samples<'_> {
    fn start_chunk(&mut self) -> Option<()> {
        while self.chunk_left == 0 {
            let chunks = &self.tables.chunks;
            self.offset = match chunks.words {
                1 => u64::from(chunks.get(self.chunk, 0)?),
                _ => u64::from(chunks.get(self.chunk, 0)?) << 32 | u64::from(chunks.get(self.chunk, 1)?),
            };
            self.chunk += 1;
            let runs = &self.tables.runs;
            while runs.get(self.run, 0).is_some_and(|first| first as usize <= self.chunk) {
                self.run += 1;
            }
            self.chunk_left = runs.get(self.run.checked_sub(1)?, 1)?;
        }
        Some(())
    }

    fn is_sync(&mut self) -> bool {
        let Some(syncs) = &self.tables.syncs else { return true };
        while syncs.get(self.sync, 0).is_some_and(|number| number <= self.number) {
            self.sync += 1;
        }
        syncs.get(self.sync, 0) == Some(self.number + 1)
    }
}

impl Iterator for Samples<'_> {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        let number = self.number;
        if number >= self.tables.samples {
            return None;
        }
        self.start_chunk()?;
        let size = if self.tables.size > 0 {
            self.tables.size
        } else {
            self.tables.sizes.get(number as usize, 0)?
        };
        let duration = self.durations.next(&self.tables.durations)?;
        // Offsets are signed in both versions of the box: QuickTime writes negative ones in version
        // 0.
        let composition_offset = match &self.tables.offsets {
            Some(offsets) => self.offsets.next(offsets)? as i32,
            None => 0,
        };
        let sync = self.is_sync();
        let (offset, dts) = (self.offset, self.dts);
        self.chunk_left -= 1;
        self.offset = self.offset.checked_add(u64::from(size))?;
        self.dts += i64::from(duration);
        self.number += 1;
        Some(Sample { number, offset, size, dts, pts: dts + i64::from(composition_offset), duration, sync })
    }
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A box of words.
    pub fn words(kind: &[u8; 4], words: &[u32]) -> Vec<u8> {
        let mut made = (words.len() as u32 * 4 + 8).to_be_bytes().to_vec();
        made.extend(kind);
        made.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        made
    }

    #[test]
    fn samples_come_out_of_the_tables() {
        // Five samples in chunks of two, two and one; one frame is presented late, and one early.
        let stbl = [
            words(b"stts", &[0, 2, 3, 10, 2, 20]),
            words(b"ctts", &[0, 3, 1, 5, 1, -3_i32 as u32, 3, 0]),
            words(b"stsz", &[0, 0, 5, 100, 10, 20, 30, 40]),
            words(b"stsc", &[0, 2, 1, 2, 1, 3, 1, 1]),
            words(b"co64", &[0, 3, 0, 1000, 1, 0, 1, 500]),
            words(b"stss", &[0, 2, 1, 4]),
        ]
        .concat();
        let tables = SampleTables::read(&stbl).unwrap();
        assert!(tables.has_one_description());
        let wide = 1_u64 << 32;
        let found: Vec<_> = tables.samples().map(|s| (s.offset, s.size, s.dts, s.pts, s.sync)).collect();
        assert_eq!(
            found,
            [
                (1000, 100, 0, 5, true),
                (1100, 10, 10, 7, false),
                (wide, 20, 20, 20, false),
                (wide + 20, 30, 30, 30, true),
                (wide + 500, 40, 50, 50, false),
            ]
        );
    }

    #[test]
    fn tables_that_declare_more_than_they_have_are_damaged() {
        let fine = |kind: &[u8; 4], content: &[u32]| {
            let mut parts = [
                (b"stts", vec![0, 1, 2, 10]),
                (b"stsz", vec![0, 7, 2]),
                (b"stsc", vec![0, 1, 1, 1, 1]),
                (b"stco", vec![0, 2, 100, 200]),
            ];
            if let Some(part) = parts.iter_mut().find(|part| part.0 == kind) {
                part.1 = content.to_vec();
            }
            let stbl: Vec<u8> = parts.iter().flat_map(|(kind, content)| words(kind, content)).collect();
            SampleTables::read(&stbl).map(|tables| tables.samples().count()).map_err(|declined| declined.code)
        };
        assert_eq!(fine(b"free", &[]), Ok(2));
        assert_eq!(fine(b"stco", &[0, 0xffff_ffff, 100]), Err("damaged_index".into()));
        assert_eq!(fine(b"stsz", &[0, 7, 0xffff_ffff]), Err("too_many_samples".into()));
        assert_eq!(fine(b"stsz", &[0, 0, 3, 1, 1]), Err("damaged_index".into()));
        // These end early, and return fewer samples than declared.
        assert_eq!(fine(b"stts", &[0, 1, 1, 10]), Ok(1));
        assert_eq!(fine(b"stsc", &[0, 1, 2, 1, 1]), Ok(0));
        assert_eq!(fine(b"stsc", &[0, 1, 1, 0, 1]), Ok(0));
    }
}
