//! Checks the index of an MP4 before any media tool sees it: limits, nesting and encryption.

use crate::error::{Error, ErrorKind, Result};
use crate::limits::Limits;
use chalkstream_formats::boxes::{u16_at, walk};

use crate::mp4::movie_index::MovieIndex;

/// Deepest nesting in the index; real ones stay below ten.
const MAX_DEPTH: usize = 16;
/// Boxes that contain boxes.
const CONTAINER_BOXES: [&[u8; 4]; 12] = [
    b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta", b"dinf", b"mvex", b"moof", b"traf",
    b"gmhd",
];

/// Refuses an index that breaks a limit, cannot be true, or is encrypted.
pub fn check(index: &MovieIndex, limits: &Limits) -> Result<()> {
    let mut found = IndexFacts::default();
    found.add_boxes(&index.bytes, 0)?;
    if found.tracks > limits.max_tracks {
        return Err(Error::new(
            ErrorKind::LimitExceeded,
            "too_many_tracks",
            "The file has more tracks than a recording can have.",
        ));
    }
    if found.pixels > limits.max_pixels {
        return Err(crate::gst::too_many_pixels());
    }
    if found.is_encrypted {
        return Err(crate::gst::encrypted());
    }
    Ok(())
}

/// What the index declares.
#[derive(Default)]
struct IndexFacts {
    tracks: u32,
    /// Pixels of the largest frame.
    pixels: u64,
    is_encrypted: bool,
}

impl IndexFacts {
    /// Adds what boxes declare. Recursion is no deeper than in real files.
    fn add_boxes(&mut self, boxes: &[u8], depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(Error::damaged_file());
        }
        for (kind, content) in walk(boxes) {
            match &kind {
                b"trak" => self.tracks += 1,
                b"stsd" => self.add_sample_entries(content),
                _ => {}
            }
            if CONTAINER_BOXES.contains(&&kind) {
                self.add_boxes(content, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Adds what sample entries declare: frame size and encryption.
    fn add_sample_entries(&mut self, content: &[u8]) {
        for (kind, entry) in walk(content.get(8..).unwrap_or_default()) {
            // Common encryption, FairPlay, and Audible's audiobooks.
            self.is_encrypted |= matches!(&kind, b"encv" | b"enca" | b"drmi" | b"drms" | b"aavd");
            // A visual sample entry has its width and height at bytes 24 and 26.
            if let (Some(width), Some(height)) = (u16_at(entry, 24), u16_at(entry, 26))
                && is_visual(&kind)
            {
                self.pixels = self.pixels.max(u64::from(width) * u64::from(height));
            }
        }
    }
}

fn is_visual(kind: &[u8; 4]) -> bool {
    matches!(
        kind,
        b"avc1"
            | b"avc3"
            | b"hvc1"
            | b"hev1"
            | b"mp4v"
            | b"s263"
            | b"av01"
            | b"vp08"
            | b"vp09"
            | b"jpeg"
            | b"mjpa"
            | b"mjpb"
            | b"apch"
            | b"apcn"
            | b"apcs"
            | b"apco"
            | b"ap4h"
            | b"dvh1"
            | b"dvhe"
            | b"vvc1"
            | b"encv"
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::mp4::movie_index::MovieIndex;
    use crate::source::Bytes;

    fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32 + 8).to_be_bytes()[..], kind, content].concat()
    }

    fn code(bytes: Vec<u8>) -> &'static str {
        MovieIndex::read(&Bytes(bytes))
            .and_then(|index| check(&index, &Limits::default()))
            .map_or_else(|e| e.code, |()| "fine")
    }

    fn movie(kind: &[u8; 4], width: u16, height: u16) -> Vec<u8> {
        let mut entry = vec![0; 24];
        entry.extend(width.to_be_bytes());
        entry.extend(height.to_be_bytes());
        entry.extend([0; 50]);
        let mut stsd = vec![0, 0, 0, 0, 0, 0, 0, 1];
        stsd.extend(boxed(kind, &entry));
        [b"stsd", b"stbl", b"minf", b"mdia", b"trak", b"moov"]
            .into_iter()
            .fold(stsd, |content, kind| boxed(kind, &content))
    }

    #[test]
    fn a_file_without_its_index_is_cut_off() {
        assert_eq!(code(boxed(b"ftyp", b"isom")), "truncated_no_index");
        assert_eq!(code(boxed(b"mdat", &[0; 100])), "truncated_no_index");
        let mut half = boxed(b"moov", &[0; 100]);
        half.truncate(60);
        assert_eq!(code(half), "truncated_no_index");
    }

    #[test]
    fn what_an_index_declares_is_checked_against_the_limits() {
        assert_eq!(code(movie(b"avc1", 1920, 1080)), "fine");
        assert_eq!(code(movie(b"avc1", 65_535, 65_535)), "too_many_pixels");
        for kind in [b"encv", b"enca", b"drmi", b"drms", b"aavd"] {
            assert_eq!(code(movie(kind, 320, 240)), "encrypted");
        }
        let tracks: Vec<u8> = (0..40).flat_map(|_| boxed(b"trak", &[])).collect();
        assert_eq!(code(boxed(b"moov", &tracks)), "too_many_tracks");
        let deep = (0..500).fold(Vec::new(), |content, _| boxed(b"moov", &content));
        assert_eq!(code(deep), "decode_failed");
    }
}
