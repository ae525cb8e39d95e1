//! A look into samples themselves: is a keyframe one that decoding can start at, and do they keep to what the index says of
//! all. Not every sample is read: a look costs a read, and in object storage a read of blocks.

use std::io;
use std::time::{Duration, Instant};

use super::plan::Keyframe;
use super::stop::Stop;
use crate::codec::hevc::UnitKind;
use crate::declined::{DeclineReason, cut_off, declined, open_gop};
use crate::source::{ReadAt, read_full};
use chalkstream_formats::Coding;

/// Keyframes looked at however slow the source is; the sample after each is looked at too.
const MIN_KEYFRAMES: usize = 12;
/// For how long more of them are looked at: a local file's are all read in this time, up to an hour and more.
const TIME_BUDGET: Duration = Duration::from_millis(250);
/// Bytes read at a time.
const READ_BYTES: usize = 2048;
/// Units looked at in one sample.
const MAX_UNITS: usize = 64;
/// What one sample is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct SampleFindings {
    /// Decoding can start at its picture.
    key: bool,
    /// It changes the sequence's parameters.
    other_sequence: bool,
    /// It has parameters where there may be none.
    parameters: bool,
    /// It lies beyond the end of the file.
    cut_off: bool,
    /// Its lengths do not fit.
    damaged: bool,
}

/// How samples are to be read.
pub struct SampleInspector<'a> {
    /// The file.
    pub source: &'a dyn ReadAt,
    /// How pictures are coded.
    pub coding: Coding,
    /// Bytes that tell a unit's length.
    pub length_bytes: usize,
    /// The decoder's configuration record.
    pub config: &'a [u8],
}

impl SampleInspector<'_> {
    /// Looks at keyframes spread_order over the recording, and at the sample after each.
    pub fn check(&self, keys: &[Keyframe]) -> Result<(), Stop> {
        let started = Instant::now();
        for (looked, index) in spread_order(keys.len()).enumerate() {
            if looked >= MIN_KEYFRAMES && started.elapsed() > TIME_BUDGET {
                break;
            }
            let key = &keys[index];
            accept(self.sample(key.offset, key.size)?, true)?;
            if let Some((offset, size)) = key.next {
                accept(self.sample(offset, size)?, false)?;
            }
        }
        Ok(())
    }

    fn sample(&self, offset: u64, size: u32) -> io::Result<SampleFindings> {
        let mut findings = SampleFindings::default();
        if offset.saturating_add(u64::from(size)) > self.source.size_bytes() {
            return Ok(SampleFindings { cut_off: true, ..findings });
        }
        let size = size as usize;
        let mut window = SampleReader { source: self.source, offset, size, from: 0, bytes: Vec::new() };
        let mut at = 0;
        for _ in 0..MAX_UNITS {
            if at == size {
                return Ok(findings);
            }
            let head = window.get(at, self.length_bytes + 1)?;
            let Some((kind, length)) = head.split_last() else {
                return Ok(SampleFindings { damaged: true, ..findings });
            };
            let (kind, length) =
                (self.unit(*kind), length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)));
            at += self.length_bytes;
            if length == 0 || length > size - at {
                return Ok(SampleFindings { damaged: true, ..findings });
            }
            match kind {
                UnitKind::Key => findings.key = true,
                UnitKind::Parameters if self.coding == Coding::Hevc => findings.parameters = true,
                UnitKind::Parameters => {
                    let set = window.get(at, length.min(READ_BYTES))?;
                    findings.other_sequence |= !self.config.windows(set.len()).any(|part| part == set);
                }
                UnitKind::Plain => {}
            }
            at += length;
        }
        Ok(findings)
    }

    fn unit(&self, first: u8) -> UnitKind {
        match (self.coding, first & 0x1f) {
            (Coding::Hevc, _) => UnitKind::from_first_byte(first),
            (Coding::Avc, 5) => UnitKind::Key,
            (Coding::Avc, 7) => UnitKind::Parameters,
            (Coding::Avc, _) => UnitKind::Plain,
        }
    }
}

fn accept(findings: SampleFindings, key: bool) -> Result<(), DeclineReason> {
    if findings.cut_off {
        return Err(cut_off());
    }
    if findings.damaged {
        return Err(declined("damaged", "The recording is damaged."));
    }
    if findings.parameters {
        return Err(declined(
            "codec",
            "The picture is stored in a way that browsers do not play: its parameters are among the pictures.",
        ));
    }
    if findings.other_sequence {
        return Err(declined("several_descriptions", "The recording changes its format on the way."));
    }
    if key && !findings.key {
        return Err(open_gop());
    }
    Ok(())
}

/// A sample's bytes, read a little at a time.
struct SampleReader<'a> {
    source: &'a dyn ReadAt,
    offset: u64,
    size: usize,
    from: usize,
    bytes: Vec<u8>,
}

impl SampleReader<'_> {
    /// `count` bytes at a place in the sample; nothing where it or the file has fewer.
    fn get(&mut self, at: usize, count: usize) -> io::Result<&[u8]> {
        let is_read = |window: &Self| at >= window.from && at + count <= window.from + window.bytes.len();
        if !is_read(self) {
            let wanted = count.max(READ_BYTES).min(self.size.saturating_sub(at));
            self.bytes.resize(wanted, 0);
            let read = read_full(self.source, self.offset + at as u64, &mut self.bytes)?;
            self.bytes.truncate(read);
            self.from = at;
        }
        Ok(if is_read(self) { &self.bytes[at - self.from..][..count] } else { &[] })
    }
}

/// The numbers below `count`, each once: first and last, then always as far as can be from those before.
fn spread_order(count: usize) -> impl Iterator<Item = usize> {
    let ends = (count > 0).then_some(0).into_iter().chain((count > 1).then(|| count - 1));
    let bits = usize::BITS - count.leading_zeros();
    let inner = (1..1_usize << bits).map(move |index| index.reverse_bits() >> (usize::BITS - bits));
    ends.chain(inner.filter(move |&index| index > 0 && index + 1 < count))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::source::Bytes;

    /// A sample of units with lengths of four bytes.
    fn sample(units: &[&[u8]]) -> Vec<u8> {
        units.iter().flat_map(|unit| [&(unit.len() as u32).to_be_bytes()[..], unit].concat()).collect()
    }

    fn findings(bytes: Vec<u8>) -> SampleFindings {
        let size = bytes.len() as u32;
        let source = Bytes(bytes);
        let (coding, config) = (Coding::Avc, &b"--\x67sequence--"[..]);
        SampleInspector { source: &source, coding, length_bytes: 4, config }.sample(0, size).unwrap()
    }

    #[test]
    fn a_keyframe_is_told_from_another_picture() {
        let slice = |kind: u8| [vec![kind], vec![7; 5000]].concat();
        let known = [&b"\x06"[..], &[5; 700]].concat();
        let whole = SampleFindings { key: true, ..SampleFindings::default() };
        assert_eq!(
            findings(sample(&[b"\x09\xf0", b"\x67sequence", b"\x68p", &known, &slice(0x65), &slice(0x65)])),
            whole
        );
        assert_eq!(findings(sample(&[&slice(0x41)])), SampleFindings::default());
        assert_eq!(accept(SampleFindings::default(), true).unwrap_err().code, "open_gop");
        assert!(accept(SampleFindings::default(), false).is_ok());
        assert!(findings(sample(&[b"\x67another", &slice(0x65)])).other_sequence);
        let mut cut = sample(&[&slice(0x65)]);
        cut.truncate(200);
        assert!(findings(cut).damaged);
        let source = Bytes(vec![0; 100]);
        let reading = SampleInspector { source: &source, coding: Coding::Avc, length_bytes: 4, config: b"" };
        assert!(reading.sample(50, 51).unwrap().cut_off);
    }

    #[test]
    fn h265_is_looked_at_alike() {
        let findings = |units: &[&[u8]]| {
            let bytes = sample(units);
            let (size, source) = (bytes.len() as u32, Bytes(bytes));
            let (coding, config) = (Coding::Hevc, &b"--"[..]);
            SampleInspector { source: &source, coding, length_bytes: 4, config }.sample(0, size).unwrap()
        };
        let whole = SampleFindings { key: true, ..SampleFindings::default() };
        assert_eq!(findings(&[b"\x46\x01\x50", b"\x4e\x01said", b"\x28\x01picture"]), whole);
        assert!(!findings(&[b"\x02\x01picture"]).key);
        assert!(findings(&[b"\x42\x01sequence", b"\x28\x01picture"]).parameters);
    }

    #[test]
    fn places_are_spread_and_each_comes_once() {
        for count in [0, 1, 2, 3, 7, 8, 100] {
            let mut indexes: Vec<usize> = spread_order(count).collect();
            indexes.sort_unstable();
            assert_eq!(indexes, (0..count).collect::<Vec<_>>());
        }
        assert_eq!(spread_order(100).take(5).collect::<Vec<_>>(), [0, 99, 64, 32, 96]);
    }
}
