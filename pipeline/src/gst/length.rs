//! Where an MP4's index tells how long a movie or the media of a track is, and how to tell another length there.

use super::boxes::{Patch, timescale, word};

/// Where the length of a movie or a track's media is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    /// Place in the file.
    offset: u64,
    /// Whether it has eight bytes.
    wide: bool,
    /// Ticks per second.
    timescale: u32,
    /// What is told, in ns; none where it is 0 or not known.
    pub told_ns: Option<u64>,
}

impl Length {
    /// Reads `mvhd` or `mdhd`, which stands in the file at `place`.
    pub fn read(head: &[u8], place: u64) -> Option<Self> {
        let wide = *head.first()? == 1;
        let at = if wide { 24 } else { 16 };
        let ticks = if wide {
            u64::from(word(head, at)?) << 32 | u64::from(word(head, at + 4)?)
        } else {
            u64::from(word(head, at)?)
        };
        let timescale = timescale(head)?;
        let ns = u128::from(ticks) * 1_000_000_000 / u128::from(timescale);
        let known = ticks > 0 && ticks < u64::from(u32::MAX);
        let told_ns = u64::try_from(ns).ok().filter(|_| known);
        Some(Self { offset: place + at as u64, wide, timescale, told_ns })
    }

    /// A length in its ticks, rounded up.
    fn ticks(&self, ns: u64) -> u128 {
        u128::from(ns) * u128::from(self.timescale) / 1_000_000_000 + 1
    }

    /// Whether it has room for a length.
    pub fn holds(&self, ns: u64) -> bool {
        self.wide || self.ticks(ns) < i32::MAX as u128
    }

    /// The bytes that tell another length.
    pub fn telling(&self, ns: u64) -> Patch {
        let ticks = self.ticks(ns);
        let bytes = if self.wide {
            (ticks.min(i64::MAX as u128) as u64).to_be_bytes().to_vec()
        } else {
            // All ones, and half of that, mean that the length is not known.
            (ticks.min(u128::from(i32::MAX as u32 - 1)) as u32).to_be_bytes().to_vec()
        };
        (self.offset, bytes)
    }
}
