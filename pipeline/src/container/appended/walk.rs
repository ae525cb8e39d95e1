//! A walk along the structure of a file, which collects where recordings start.

use std::io;
use std::time::Duration;

use crate::cpu_clock::ContentionClock;
use crate::source::{ByteRange, ReadAt, read_full};

/// Most recordings in one file.
pub const MAX_RECORDINGS: usize = 64;
/// Longest walk.
const MAX_WALK_TIME: Duration = Duration::from_millis(1500);
/// Bytes that are read at once.
pub const WINDOW_BYTES: usize = 64 << 10;

/// One of the recordings in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendedRecording {
    /// Its position.
    pub within: ByteRange,
    /// Time of its last packet on its own clock, in ns, if its structure says.
    pub last_ns: Option<i64>,
}

/// The end of a structure before that of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StructureEnd {
    /// Its offset.
    pub offset: u64,
    /// Whether all that is before has the length it declares. Else what follows may be a damaged
    /// part, after which demuxers find the next one.
    pub is_certain: bool,
}

/// A walk along a file's structure, from front to end.
pub struct Walk<'a> {
    source: &'a dyn ReadAt,
    clock: &'a ContentionClock,
    until: Duration,
    window: Vec<u8>,
    /// Offset of the window.
    window_offset: u64,
    /// Offsets at which recordings start, and the last time of the one before each.
    starts: Vec<(u64, Option<i64>)>,
    last_ns: Option<i64>,
    end: Option<StructureEnd>,
}

impl<'a> Walk<'a> {
    /// A walk that starts now.
    pub fn new(source: &'a dyn ReadAt, clock: &'a ContentionClock) -> Self {
        Self {
            source,
            until: clock.elapsed() + MAX_WALK_TIME,
            clock,
            window: Vec::new(),
            window_offset: 0,
            starts: Vec::new(),
            last_ns: None,
            end: None,
        }
    }

    /// Reads up to `length` bytes at an offset, at most a window; fewer only at the end. `None` if
    /// the time is up.
    pub fn read(&mut self, offset: u64, length: usize) -> io::Result<Option<&[u8]>> {
        let position = |walk: &Self| usize::try_from(offset.checked_sub(walk.window_offset)?).ok();
        let is_read = |walk: &Self| position(walk).is_some_and(|start| start + length <= walk.window.len());
        if !is_read(self) {
            if self.clock.elapsed() > self.until {
                // The starts found so far may be half of them.
                self.starts.clear();
                return Ok(None);
            }
            self.window.resize(WINDOW_BYTES, 0);
            let read = read_full(self.source, offset, &mut self.window)?;
            self.window.truncate(read);
            self.window_offset = offset;
        }
        let start = position(self).unwrap_or(0).min(self.window.len());
        let end = (start + length).min(self.window.len());
        Ok(Some(&self.window[start..end]))
    }

    /// Reads exactly `N` bytes at an offset; `None` at the end.
    pub fn read_array<const N: usize>(&mut self, offset: u64) -> io::Result<Option<[u8; N]>> {
        Ok(self.read(offset, N)?.and_then(|bytes| bytes.try_into().ok()))
    }

    /// Offset of a name in the first window of a box.
    pub fn find_in_box(&mut self, offset: u64, size_bytes: u64, name: &[u8; 4]) -> io::Result<Option<u64>> {
        let length = size_bytes.min(WINDOW_BYTES as u64) as usize;
        let bytes = self.read(offset, length)?.unwrap_or_default();
        let position = bytes.windows(4).position(|window| window == name);
        Ok(position.map(|position| offset + position as u64))
    }

    /// Size of the file.
    pub fn file_bytes(&self) -> u64 {
        self.source.size_bytes()
    }

    /// Ends the structure: the bytes at an offset belong to no recording of this kind.
    pub fn end_structure(&mut self, offset: u64, is_certain: bool) {
        self.end = (offset > 0).then_some(StructureEnd { offset, is_certain });
    }

    /// The end of the structure, if it is before that of the file.
    pub fn structure_end(&self) -> Option<StructureEnd> {
        self.end
    }

    /// Starts a recording at an offset.
    pub fn start_recording(&mut self, offset: u64) {
        if self.starts.last().is_none_or(|last| last.0 < offset) {
            let before = self.last_ns.take();
            self.starts.push((offset, before));
        }
    }

    /// Adds the time of a packet on the recording's clock.
    pub fn add_time(&mut self, ns: i64) {
        self.last_ns = Some(self.last_ns.map_or(ns, |last| last.max(ns)));
    }

    /// The recordings between the starts; none if there is but one.
    pub fn into_recordings(mut self) -> Vec<AppendedRecording> {
        // A file of fragments may repeat its header in front of each: then it is one recording.
        if self.starts.len() < 2 || self.starts.len() > MAX_RECORDINGS || self.starts[0].0 != 0 {
            return Vec::new();
        }
        self.starts.push((self.source.size_bytes(), self.last_ns));
        let between = |pair: &[(u64, Option<i64>)]| AppendedRecording {
            within: ByteRange { begins_at: pair[0].0, size_bytes: pair[1].0 - pair[0].0 },
            last_ns: pair[1].1,
        };
        self.starts.windows(2).map(between).collect()
    }
}
