//! Where one recording ends in a file and another begins: recorders that were stopped and started again, and programs that
//! put files one behind the other, make such files. Only the structure is followed, from front to end.

mod boxed;
mod matroska;
mod tagged;
mod trailing;

use std::io;
use std::time::Duration;

use crate::cpu_clock::ContentionClock;
use crate::source::{ByteRange, ReadAt, read_full};

/// Longest time that is spent on looking.
const MAX_LOOK: Duration = Duration::from_millis(1500);
/// Most recordings in one file.
const MAX_RECORDINGS: usize = 64;
/// How much is read at once, in bytes.
const WINDOW_BYTES: usize = 64 << 10;

/// One of the recordings in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub within: ByteRange,
    /// Time of its last packet on its own clock, in ns, where the structure says it.
    pub last_ns: Option<i64>,
}

/// What the structure of a file says of its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The recordings, which together are all of the file; empty where there is but one, or where
    /// following the structure takes too long.
    pub recordings: Vec<Found>,
    /// Bytes behind the last recording that are of no recording we can follow; 0 if they are few.
    pub foreign_bytes: u64,
}

/// Follows the structure of a file.
pub fn find(source: &dyn ReadAt, container: &str, clock: &ContentionClock) -> io::Result<Content> {
    let mut walk = Walk {
        source,
        until: clock.elapsed() + MAX_LOOK,
        clock,
        window: Vec::new(),
        from: 0,
        begins: Vec::new(),
        last_ns: None,
        end: None,
    };
    match container {
        "matroska" => matroska::walk(&mut walk)?,
        "mp4" => boxed::movies(&mut walk)?,
        "avi" | "wav" => boxed::riff(&mut walk)?,
        "aiff" => boxed::aiff(&mut walk)?,
        "asf" => boxed::asf(&mut walk)?,
        "flv" => tagged::flv(&mut walk)?,
        "ogg" => tagged::ogg(&mut walk)?,
        "flac" => tagged::flac(&mut walk)?,
        "caf" => boxed::caf(&mut walk)?,
        "w64" => boxed::w64(&mut walk)?,
        _ => {}
    }
    let foreign_bytes = match walk.end {
        Some(end) => trailing::foreign_bytes(source, end)?,
        None => 0,
    };
    Ok(Content { recordings: walk.found(), foreign_bytes })
}

/// A walk along a file's structure.
struct Walk<'a> {
    source: &'a dyn ReadAt,
    clock: &'a ContentionClock,
    until: Duration,
    window: Vec<u8>,
    /// Where the window begins.
    from: u64,
    /// Where recordings begin, and the last time of the one before each.
    begins: Vec<(u64, Option<i64>)>,
    last_ns: Option<i64>,
    /// Where the structure ends before the file does.
    end: Option<End>,
}

/// Where a structure ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    offset: u64,
    /// Whether all that is before has the length it states. Else it may be a damaged part, after
    /// which demuxers find the next one.
    is_certain: bool,
}

impl Walk<'_> {
    /// Up to `length` bytes at `at`, at most a window; fewer only at the end. `None` where the time is up.
    fn bytes(&mut self, at: u64, length: usize) -> io::Result<Option<&[u8]>> {
        let inside = |walk: &Self| usize::try_from(at.checked_sub(walk.from)?).ok();
        let has = |walk: &Self| inside(walk).is_some_and(|start| start + length <= walk.window.len());
        if !has(self) {
            if self.clock.elapsed() > self.until {
                // What was found may be half of it.
                self.begins.clear();
                return Ok(None);
            }
            self.window.resize(WINDOW_BYTES, 0);
            let read = read_full(self.source, at, &mut self.window)?;
            self.window.truncate(read);
            self.from = at;
        }
        let start = inside(self).unwrap_or(0).min(self.window.len());
        let end = (start + length).min(self.window.len());
        Ok(Some(&self.window[start..end]))
    }

    /// Exactly the bytes at `at`; `None` at the end.
    fn array<const N: usize>(&mut self, at: u64) -> io::Result<Option<[u8; N]>> {
        Ok(self.bytes(at, N)?.and_then(|bytes| bytes.try_into().ok()))
    }

    /// Where a name stands in the first window of a box.
    fn holds(&mut self, at: u64, size: u64, name: &[u8; 4]) -> io::Result<Option<u64>> {
        let bytes = self.bytes(at, size.min(WINDOW_BYTES as u64) as usize)?.unwrap_or_default();
        Ok(bytes.windows(4).position(|window| window == name).map(|place| at + place as u64))
    }

    /// What is here belongs to no recording of this kind.
    fn ends(&mut self, offset: u64, is_certain: bool) {
        self.end = (offset > 0).then_some(End { offset, is_certain });
    }

    /// A recording begins here.
    fn begin(&mut self, at: u64) {
        if self.begins.last().is_none_or(|last| last.0 < at) {
            let before = self.last_ns.take();
            self.begins.push((at, before));
        }
    }

    /// A packet's time on the recording's clock.
    fn time(&mut self, ns: i64) {
        self.last_ns = Some(self.last_ns.map_or(ns, |last| last.max(ns)));
    }

    /// The recordings between the places where one begins.
    fn found(mut self) -> Vec<Found> {
        // Fragments may have their head in front of each: such a file is one.
        if self.begins.len() < 2 || self.begins.len() > MAX_RECORDINGS || self.begins[0].0 != 0 {
            return Vec::new();
        }
        self.begins.push((self.source.size_bytes(), self.last_ns));
        let between = |pair: &[(u64, Option<i64>)]| Found {
            within: ByteRange { begins_at: pair[0].0, size_bytes: pair[1].0 - pair[0].0 },
            last_ns: pair[1].1,
        };
        self.begins.windows(2).map(between).collect()
    }
}

#[cfg(test)]
mod tests;
