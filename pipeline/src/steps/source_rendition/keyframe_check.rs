//! Inspects samples: whether decoding can start at a keyframe, and whether samples agree with the
//! index.
//!
//! Not every sample is read, because each costs a read, and in object storage a read of blocks.

use std::io;
use std::time::{Duration, Instant};

use super::plan::Keyframe;
use super::stop::Stop;
use crate::codec::hevc::UnitKind;
use crate::declined::{DeclineReason, cut_off, declined, open_gop};
use crate::source::{ReadAt, read_full};
use chalkstream_formats::Coding;

/// Keyframes inspected however slow the source is, each with the sample after it.
const MIN_KEYFRAMES: usize = 12;
/// Time for inspecting more of them. It covers all keyframes of a local file of an hour or more.
const TIME_BUDGET: Duration = Duration::from_millis(250);
/// Bytes read at once.
const READ_BYTES: usize = 2048;
/// Most NAL units inspected in one sample.
const MAX_UNITS: usize = 64;

/// Findings about one sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct SampleFindings {
    /// Decoding can start at it.
    key: bool,
    /// It changes the parameters of the sequence.
    other_sequence: bool,
    /// It has parameter sets, which are not allowed in it.
    parameters: bool,
    /// It lies past the end of the file.
    cut_off: bool,
    /// The lengths of its units do not add up.
    damaged: bool,
}

/// Reads samples and finds the NAL units in them.
pub struct SampleInspector<'a> {
    /// The file.
    pub source: &'a dyn ReadAt,
    /// Coding of the video.
    pub coding: Coding,
    /// Bytes of a unit's length field.
    pub length_bytes: usize,
    /// The decoder's configuration record.
    pub config: &'a [u8],
}

impl SampleInspector<'_> {
    /// Inspects keyframes spread over the recording, and the sample after each.
    pub fn check(&self, keys: &[Keyframe]) -> Result<(), Stop> {
        let started = Instant::now();
        for (inspected, index) in spread_order(keys.len()).enumerate() {
            if inspected >= MIN_KEYFRAMES && started.elapsed() > TIME_BUDGET {
                break;
            }
            let key = &keys[index];
            accept(self.inspect(key.offset, key.size)?, true)?;
            if let Some((offset, size)) = key.next {
                accept(self.inspect(offset, size)?, false)?;
            }
        }
        Ok(())
    }

    fn inspect(&self, offset: u64, size: u32) -> io::Result<SampleFindings> {
        let mut findings = SampleFindings::default();
        if offset.saturating_add(u64::from(size)) > self.source.size_bytes() {
            return Ok(SampleFindings { cut_off: true, ..findings });
        }
        let size = size as usize;
        let mut reader = SampleReader { source: self.source, offset, size, from: 0, bytes: Vec::new() };
        let mut at = 0;
        for _ in 0..MAX_UNITS {
            if at == size {
                return Ok(findings);
            }
            let head = reader.get(at, self.length_bytes + 1)?;
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
                    let set = reader.get(at, length.min(READ_BYTES))?;
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

/// Declines a sample that players could not handle, or that is no keyframe and should be.
fn accept(findings: SampleFindings, is_keyframe: bool) -> Result<(), DeclineReason> {
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
    if is_keyframe && !findings.key {
        return Err(open_gop());
    }
    Ok(())
}

/// The bytes of a sample, read in windows.
struct SampleReader<'a> {
    source: &'a dyn ReadAt,
    offset: u64,
    size: usize,
    from: usize,
    bytes: Vec<u8>,
}

impl SampleReader<'_> {
    /// Returns `count` bytes of the sample from offset `at`. Empty if the sample or the file ends
    /// earlier.
    fn get(&mut self, at: usize, count: usize) -> io::Result<&[u8]> {
        let is_read = |reader: &Self| at >= reader.from && at + count <= reader.from + reader.bytes.len();
        if !is_read(self) {
            let length = count.max(READ_BYTES).min(self.size.saturating_sub(at));
            self.bytes.resize(length, 0);
            let read = read_full(self.source, self.offset + at as u64, &mut self.bytes)?;
            self.bytes.truncate(read);
            self.from = at;
        }
        Ok(if is_read(self) { &self.bytes[at - self.from..][..count] } else { &[] })
    }
}

/// The numbers below `count`, each once: the first and the last, then each as far as possible from
/// those before.
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

    /// A sample of units whose lengths have four bytes.
    fn sample(units: &[&[u8]]) -> Vec<u8> {
        units.iter().flat_map(|unit| [&(unit.len() as u32).to_be_bytes()[..], unit].concat()).collect()
    }

    fn findings(bytes: Vec<u8>) -> SampleFindings {
        let size = bytes.len() as u32;
        let source = Bytes(bytes);
        let (coding, config) = (Coding::Avc, &b"--\x67sequence--"[..]);
        SampleInspector { source: &source, coding, length_bytes: 4, config }.inspect(0, size).unwrap()
    }

    #[test]
    fn a_keyframe_is_told_apart_from_another_frame() {
        let slice = |kind: u8| [vec![kind], vec![7; 5000]].concat();
        let known = [&b"\x06"[..], &[5; 700]].concat();
        let keyframe = SampleFindings { key: true, ..SampleFindings::default() };
        assert_eq!(
            findings(sample(&[b"\x09\xf0", b"\x67sequence", b"\x68p", &known, &slice(0x65), &slice(0x65)])),
            keyframe
        );
        assert_eq!(findings(sample(&[&slice(0x41)])), SampleFindings::default());
        assert_eq!(accept(SampleFindings::default(), true).unwrap_err().code, "open_gop");
        assert!(accept(SampleFindings::default(), false).is_ok());
        assert!(findings(sample(&[b"\x67another", &slice(0x65)])).other_sequence);
        let mut cut = sample(&[&slice(0x65)]);
        cut.truncate(200);
        assert!(findings(cut).damaged);
        let source = Bytes(vec![0; 100]);
        let inspector =
            SampleInspector { source: &source, coding: Coding::Avc, length_bytes: 4, config: b"" };
        assert!(inspector.inspect(50, 51).unwrap().cut_off);
    }

    #[test]
    fn h265_is_inspected_alike() {
        let findings = |units: &[&[u8]]| {
            let bytes = sample(units);
            let (size, source) = (bytes.len() as u32, Bytes(bytes));
            let (coding, config) = (Coding::Hevc, &b"--"[..]);
            SampleInspector { source: &source, coding, length_bytes: 4, config }.inspect(0, size).unwrap()
        };
        let keyframe = SampleFindings { key: true, ..SampleFindings::default() };
        assert_eq!(findings(&[b"\x46\x01\x50", b"\x4e\x01said", b"\x28\x01picture"]), keyframe);
        assert!(!findings(&[b"\x02\x01picture"]).key);
        assert!(findings(&[b"\x42\x01sequence", b"\x28\x01picture"]).parameters);
    }

    #[test]
    fn indexes_are_spread_and_each_comes_once() {
        for count in [0, 1, 2, 3, 7, 8, 100] {
            let mut indexes: Vec<usize> = spread_order(count).collect();
            indexes.sort_unstable();
            assert_eq!(indexes, (0..count).collect::<Vec<_>>());
        }
        assert_eq!(spread_order(100).take(5).collect::<Vec<_>>(), [0, 99, 64, 32, 96]);
    }
}
