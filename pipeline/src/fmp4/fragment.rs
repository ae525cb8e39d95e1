//! Fragments: `moof` with one track run, and `mdat`. A segment is one fragment.

use std::io::{self, Write};

use super::boxes::{boxed, full, u32s};

/// Flags of a sample that depends on no other.
const SYNC_FLAGS: u32 = 0x0200_0000;
/// Flags of a sample that depends on others, so that decoding cannot start there.
const NON_SYNC_FLAGS: u32 = 0x0101_0000;

/// One sample, in decode order. Times are in ticks of the track's timescale.
#[derive(Clone, Copy, Debug)]
pub struct FragmentSample<'a> {
    /// Its bytes, in the form that the track's sample entry requires.
    pub data: &'a [u8],
    /// Decode time of the next sample less its own.
    pub duration: u32,
    /// Presentation time less decode time.
    pub composition_offset: i32,
    /// Whether decoding can start here.
    pub sync: bool,
}

/// A [`FragmentSample`] without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleInfo {
    /// Size of the sample.
    pub size_bytes: u32,
    /// Decode time of the next sample less its own.
    pub duration: u32,
    /// Presentation time less decode time.
    pub composition_offset: i32,
    /// Whether decoding can start here.
    pub sync: bool,
}

impl From<&FragmentSample<'_>> for SampleInfo {
    fn from(sample: &FragmentSample<'_>) -> Self {
        Self {
            size_bytes: sample.data.len() as u32,
            duration: sample.duration,
            composition_offset: sample.composition_offset,
            sync: sample.sync,
        }
    }
}

/// Returns the bytes of a fragment.
///
/// `sequence` counts a track's fragments from 1. `base_decode_time` is the decode time of the first
/// sample, in ticks.
pub fn fragment(sequence: u32, base_decode_time: u64, samples: &[FragmentSample<'_>]) -> Vec<u8> {
    let mut out = header(sequence, base_decode_time, samples);
    out.reserve_exact(payload_bytes(samples));
    for sample in samples {
        out.extend(sample.data);
    }
    out
}

/// Writes a [`fragment`] without a second copy of the samples. Returns the number of bytes written.
pub fn write_fragment(
    out: &mut impl Write,
    sequence: u32,
    base_decode_time: u64,
    samples: &[FragmentSample<'_>],
) -> io::Result<u64> {
    let header = header(sequence, base_decode_time, samples);
    out.write_all(&header)?;
    for sample in samples {
        out.write_all(sample.data)?;
    }
    Ok((header.len() + payload_bytes(samples)) as u64)
}

fn payload_bytes(samples: &[FragmentSample<'_>]) -> usize {
    samples.iter().map(|s| s.data.len()).sum()
}

fn header(sequence: u32, base_decode_time: u64, samples: &[FragmentSample<'_>]) -> Vec<u8> {
    fragment_header(sequence, base_decode_time, &samples.iter().map(SampleInfo::from).collect::<Vec<_>>())
}

/// Returns a fragment up to the first sample's bytes.
///
/// Fields that are equal for all samples are written once, because on a weak line every byte
/// counts.
pub fn fragment_header(sequence: u32, base_decode_time: u64, samples: &[SampleInfo]) -> Vec<u8> {
    let duration = common_value(samples.iter().map(|s| s.duration));
    let flags = common_value(samples.iter().map(flags_of));
    let only_first_sync = samples.first().is_some_and(|s| s.sync) && !samples.iter().skip(1).any(|s| s.sync);
    let offsets = samples.iter().any(|s| s.composition_offset != 0);

    let mut out = Vec::with_capacity(128 + samples.len() * 16);
    let mut data_offset_at = 0;
    boxed(&mut out, b"moof", |out| {
        full(out, b"mfhd", 0, 0, |out| u32s(out, &[sequence]));
        boxed(out, b"traf", |out| {
            let default_flags = flags.or(only_first_sync.then_some(NON_SYNC_FLAGS));
            // Offsets count from the start of this moof. The other flags are the defaults present.
            let present = 0x2_0000
                | if duration.is_some() { 0x08 } else { 0 }
                | if default_flags.is_some() { 0x20 } else { 0 };
            full(out, b"tfhd", 0, present, |out| {
                u32s(out, &[1]);
                u32s(out, &duration.into_iter().chain(default_flags).collect::<Vec<_>>());
            });
            full(out, b"tfdt", 1, 0, |out| out.extend(base_decode_time.to_be_bytes()));
            // Data offset and sizes are always present, the rest as needed.
            let present = 0x01
                | 0x200
                | if duration.is_none() { 0x100 } else { 0 }
                | if flags.is_none() && only_first_sync { 0x04 } else { 0 }
                | if default_flags.is_none() { 0x400 } else { 0 }
                | if offsets { 0x800 } else { 0 };
            full(out, b"trun", 1, present, |out| {
                u32s(out, &[samples.len() as u32]);
                data_offset_at = out.len();
                u32s(out, &[0]);
                if present & 0x04 != 0 {
                    u32s(out, &[SYNC_FLAGS]);
                }
                for sample in samples {
                    if present & 0x100 != 0 {
                        u32s(out, &[sample.duration]);
                    }
                    u32s(out, &[sample.size_bytes]);
                    if present & 0x400 != 0 {
                        u32s(out, &[flags_of(sample)]);
                    }
                    if present & 0x800 != 0 {
                        out.extend(sample.composition_offset.to_be_bytes());
                    }
                }
            });
        });
    });
    let data_offset = out.len() as u32 + 8;
    out[data_offset_at..data_offset_at + 4].copy_from_slice(&data_offset.to_be_bytes());
    let payload: u32 = samples.iter().fold(8, |sum: u32, s| sum.saturating_add(s.size_bytes));
    u32s(&mut out, &[payload]);
    out.extend(b"mdat");
    out
}

fn flags_of(sample: &SampleInfo) -> u32 {
    if sample.sync { SYNC_FLAGS } else { NON_SYNC_FLAGS }
}

/// Returns the value that all items share.
fn common_value(mut values: impl Iterator<Item = u32>) -> Option<u32> {
    let first = values.next()?;
    values.all(|v| v == first).then_some(first)
}
