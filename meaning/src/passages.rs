//! Passages of a transcript, and `passages.bin`, which has their vectors.
//!
//! A magic number with the format's version, the model's name with its length in one byte, then for
//! each passage its start and end in ms and its vector. Numbers are little-endian.

use std::ops::Range;

use super::model::MODEL_NAME;
use super::vector::Vector;

/// The first bytes, with the format's version.
const MAGIC: &[u8; 4] = b"CSP\x01";
/// Bytes of a passage.
const RECORD_BYTES: usize = 8 + Vector::BYTES;

/// Maximum length of a passage, in ms, unless a cue alone is longer.
const MAX_PASSAGE_MS: u64 = 30_000;
/// A longer pause than this ends a passage, in ms.
const MAX_PAUSE_MS: u64 = 10_000;

/// Splits cues with these starts and ends, in ms, into passages. None is empty.
pub fn split_cues<T>(cues: &[T], times_ms: impl Fn(&T) -> (u64, u64)) -> Vec<Range<usize>> {
    let mut passages = Vec::new();
    let mut first = 0;
    for at in 1..=cues.len() {
        let is_end = cues.get(at).is_none_or(|next| {
            let ((from_ms, _), (_, before_ms)) = (times_ms(&cues[first]), times_ms(&cues[at - 1]));
            let (start_ms, end_ms) = times_ms(next);
            end_ms.saturating_sub(from_ms) > MAX_PASSAGE_MS
                || start_ms.saturating_sub(before_ms) > MAX_PAUSE_MS
        });
        if is_end {
            passages.push(first..at);
            first = at;
        }
    }
    passages
}

/// A passage of a transcript, by its vector.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddedPassage {
    /// Start of its first cue, in ms.
    pub start_ms: u32,
    /// End of its last cue, in ms.
    pub end_ms: u32,
    /// Its vector.
    pub vector: Vector,
}

/// Why the bytes give no passages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Its vectors cannot be compared with this model's.
    #[error("the passages are of another model")]
    OtherModel,
    /// Not such a file, or of a later version.
    #[error("the passages are damaged, or of another version")]
    Damaged,
}

/// Writes the passages.
pub fn write_passages(passages: &[EmbeddedPassage]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(MODEL_NAME.len() as u8);
    bytes.extend_from_slice(MODEL_NAME.as_bytes());
    for passage in passages {
        bytes.extend_from_slice(&passage.start_ms.to_le_bytes());
        bytes.extend_from_slice(&passage.end_ms.to_le_bytes());
        bytes.extend_from_slice(&passage.vector.to_bytes());
    }
    bytes
}

/// Reads passages of this model.
///
/// # Errors
/// If the bytes are damaged, or of another model.
pub fn read_passages(bytes: &[u8]) -> Result<Vec<EmbeddedPassage>, FormatError> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(FormatError::Damaged)?;
    let (length, rest) = rest.split_first().ok_or(FormatError::Damaged)?;
    let (name, records) = rest.split_at_checked(usize::from(*length)).ok_or(FormatError::Damaged)?;
    if name != MODEL_NAME.as_bytes() {
        return Err(FormatError::OtherModel);
    }
    let (records, []) = records.as_chunks::<RECORD_BYTES>() else { return Err(FormatError::Damaged) };
    let passage = |record: &[u8; RECORD_BYTES]| {
        let (start_ms, rest) = record.split_first_chunk::<4>()?;
        let (end_ms, vector) = rest.split_first_chunk::<4>()?;
        let (start_ms, end_ms) = (u32::from_le_bytes(*start_ms), u32::from_le_bytes(*end_ms));
        Some(EmbeddedPassage { start_ms, end_ms, vector: Vector::from_bytes(vector)? })
    };
    records.iter().map(passage).collect::<Option<_>>().ok_or(FormatError::Damaged)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::DIMENSIONS;

    #[test]
    fn passages_end_after_half_a_minute_and_at_long_pauses() {
        let cues = [(0, 6), (6, 30), (30, 34), (45, 50), (50, 90)];
        let split = |cues: &[(u64, u64)]| split_cues(cues, |(start_s, end_s)| (start_s * 1000, end_s * 1000));
        assert_eq!(split(&cues), [0..2, 2..3, 3..4, 4..5]);
        assert_eq!(split(&cues[..1]).len(), 1);
        assert!(split(&[]).is_empty());
    }

    #[test]
    fn passages_are_read_as_they_were_written() {
        let vector = Vector::new(&std::array::from_fn(|n| (n as f32).sin() / 16.0));
        let passages = [(0, 29_000), (29_500, 4_000_000_000)].map(|(start_ms, end_ms)| EmbeddedPassage {
            start_ms,
            end_ms,
            vector: vector.clone(),
        });
        let bytes = write_passages(&passages);
        assert_eq!(bytes.len(), 5 + MODEL_NAME.len() + 2 * (12 + DIMENSIONS));
        assert_eq!(read_passages(&bytes).unwrap(), passages);
        assert_eq!(read_passages(&write_passages(&[])).unwrap(), []);
        assert_eq!(read_passages(&bytes[..bytes.len() - 1]), Err(FormatError::Damaged));
        let mut other = bytes.clone();
        other[5] = b'x';
        assert_eq!(read_passages(&other), Err(FormatError::OtherModel));
        assert_eq!(read_passages(b"CSP\x02"), Err(FormatError::Damaged));
    }
}
