//! Durations that an MP4's index declares for the movie and for tracks, and patches that declare
//! others.

use chalkstream_formats::boxes::{find, u32_at, u64_at};

use super::patch::Patch;

/// A day, in ns.
const DAY_NS: u64 = 86_400_000_000_000;
/// Maximum duration of a plausible track, in ns: a week.
const MAX_TRACK_NS: u64 = 7 * DAY_NS;

/// The duration that a header declares for a movie or for a track's media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeclaredDuration {
    /// Offset of the duration in the file.
    offset: u64,
    /// Whether it has eight bytes.
    is_wide: bool,
    /// Ticks per second.
    timescale: u32,
    /// The duration, in ns; `None` if it is 0 or not known.
    pub declared_ns: Option<u64>,
    /// Whether it is 0.
    is_zero: bool,
}

impl DeclaredDuration {
    /// Reads `mvhd` or `mdhd`, whose content starts at `offset` in the file.
    pub fn read(header: &[u8], offset: u64) -> Option<Self> {
        let is_wide = *header.first()? == 1;
        let at = if is_wide { 24 } else { 16 };
        let ticks = if is_wide { u64_at(header, at)? } else { u64::from(u32_at(header, at)?) };
        let timescale = timescale(header)?;
        let ns = u128::from(ticks) * 1_000_000_000 / u128::from(timescale);
        let is_known = ticks > 0 && ticks < u64::from(u32::MAX);
        let declared_ns = u64::try_from(ns).ok().filter(|_| is_known);
        Some(Self { offset: offset + at as u64, is_wide, timescale, declared_ns, is_zero: ticks == 0 })
    }

    /// Converts a duration to the header's ticks, rounded up.
    fn ticks(&self, ns: u64) -> u128 {
        u128::from(ns) * u128::from(self.timescale) / 1_000_000_000 + 1
    }

    /// Whether the field is wide enough for a duration.
    pub fn can_hold(&self, ns: u64) -> bool {
        self.is_wide || self.ticks(ns) < i32::MAX as u128
    }

    /// Whether the duration is far beyond tracks of `longest_ns`.
    pub fn is_absurd(&self, longest_ns: u64) -> bool {
        let max_ns = longest_ns.saturating_mul(100).saturating_add(DAY_NS);
        !self.is_zero && self.declared_ns.is_none_or(|declared| declared > max_ns)
    }

    /// Whether the duration is unknown, or differs by more than a tenth and half a second.
    pub fn is_far_from(&self, ns: u64) -> bool {
        self.declared_ns.is_none_or(|declared| declared.abs_diff(ns) > ns / 10 + 500_000_000)
    }

    /// A patch that declares no duration.
    pub fn patch_with_none(&self) -> Patch {
        (self.offset, vec![0; if self.is_wide { 8 } else { 4 }])
    }

    /// A patch that declares another duration.
    pub fn patch_with(&self, ns: u64) -> Patch {
        let ticks = self.ticks(ns);
        let bytes = if self.is_wide {
            (ticks.min(i64::MAX as u128) as u64).to_be_bytes().to_vec()
        } else {
            // All ones, and half of that, mean that the duration is not known.
            (ticks.min(u128::from(i32::MAX as u32 - 1)) as u32).to_be_bytes().to_vec()
        };
        (self.offset, bytes)
    }
}

/// Returns the presented duration that a track header (`tkhd`) declares, in ns; `None` if it is 0
/// or not known.
pub fn track_header_ns(header: &[u8], movie_timescale: u32) -> Option<i64> {
    let ticks = if *header.first()? == 1 { u64_at(header, 28)? } else { u64::from(u32_at(header, 20)?) };
    let ns = u128::from(ticks) * 1_000_000_000 / u128::from(movie_timescale.max(1));
    i64::try_from(ns).ok().filter(|&ns| ns > 0 && ticks < u64::from(u32::MAX))
}

/// Returns the end of a track's samples by the tables in its `stbl`, in ns.
///
/// The largest composition offset is added, so the result may be some frames late, but never early.
pub fn samples_end_ns(stbl: &[u8], timescale: u32) -> Option<u64> {
    let sizes = find(stbl, b"stsz").or_else(|| find(stbl, b"stz2"))?;
    let mut remaining = u128::from(u32_at(sizes, 8)?);
    let entries = |table: &'static [u8; 4]| {
        let table = find(stbl, table)?;
        let count = u32_at(table, 4)? as usize;
        Some(table.get(8..)?.chunks_exact(8).take(count))
    };
    let mut ticks = 0_u128;
    for entry in entries(b"stts")? {
        let samples = u128::from(u32_at(entry, 0)?).min(remaining);
        ticks += samples * u128::from(u32_at(entry, 4)?);
        remaining -= samples;
    }
    let offset = entries(b"ctts")
        .and_then(|entries| entries.filter_map(|entry| u32_at(entry, 4)).map(|w| w as i32).max());
    let ticks = ticks.checked_add_signed(offset.unwrap_or(0).into())?;
    let ns = u64::try_from(ticks * 1_000_000_000 / u128::from(timescale.max(1))).ok()?;
    (1..=MAX_TRACK_NS).contains(&ns).then_some(ns)
}

/// Returns the ticks per second in `mvhd` or `mdhd`, whose times have eight bytes in version 1.
pub fn timescale(header: &[u8]) -> Option<u32> {
    u32_at(header, if *header.first()? == 1 { 20 } else { 12 }).filter(|&ticks| ticks > 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn boxed(kind: &[u8; 4], words: &[u32]) -> Vec<u8> {
        let mut made = (words.len() as u32 * 4 + 8).to_be_bytes().to_vec();
        made.extend(kind);
        made.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        made
    }

    #[test]
    fn the_sample_tables_say_where_the_samples_end() {
        let stts = boxed(b"stts", &[0, 2, 200, 100, 0xffff_ffff, 200]);
        let stsz = boxed(b"stsz", &[0, 7, 300]);
        let second = 1_000_000_000;
        assert_eq!(samples_end_ns(&[&stts[..], &stsz].concat(), 1000), Some(40 * second));
        let ctts = boxed(b"ctts", &[0, 2, 1, 500, 299, -500_i32 as u32]);
        assert_eq!(samples_end_ns(&[&stts[..], &stsz, &ctts].concat(), 1000), Some(40 * second + second / 2));
        let empty = boxed(b"stsz", &[0, 7, 0]);
        assert_eq!(samples_end_ns(&[&stts[..], &empty].concat(), 1000), None);
        assert_eq!(samples_end_ns(&stts, 1000), None);
    }

    #[test]
    fn a_duration_is_checked_against_the_samples() {
        let header = |ticks: u32| {
            [0, 0, 0, 1000, ticks].iter().flat_map(|w: &u32| w.to_be_bytes()).collect::<Vec<_>>()
        };
        let read = |ticks: u32| DeclaredDuration::read(&header(ticks), 0).unwrap();
        let ten = 10_000_000_000;
        for (ticks, far, absurd) in [
            (10_000, false, false),
            (10_400, false, false),
            (667, true, false),
            (150_000, true, false),
            (0, true, false),
            (0x7fff_ffff, true, true),
            (0xffff_ffff, true, true),
        ] {
            assert_eq!((read(ticks).is_far_from(ten), read(ticks).is_absurd(ten)), (far, absurd), "{ticks}");
        }
    }
}
