//! The recording in a motion photo, which phones make: an MP4 after a JPEG, or in a box of a HEIC.

use std::io;
use std::ops::Range;

use super::box_header::{BoxHeader, MAX_HEADER_BYTES};
use crate::source::{ByteRange, ReadAt, read_full};

/// Most bytes of a photo that are searched.
const MAX_SEARCH_BYTES: u64 = 64 << 20;
/// Bytes that are read at once.
const READ_BYTES: usize = 256 << 10;
/// Most positions that look like the start of a recording.
const MAX_STARTS: u32 = 64;
/// Most boxes read, of all that may be recordings.
const MAX_BOXES: u32 = 4096;
/// Largest first box of a recording: a handful of brands.
const MAX_FTYP_BYTES: u64 = 4096;

/// Position of the recording; `None` if the file is no photo, or one without a recording.
pub fn find_recording(source: &dyn ReadAt) -> io::Result<Option<ByteRange>> {
    let mut front = [0; 12];
    read_full(source, 0, &mut front)?;
    if !front.starts_with(b"\xff\xd8\xff") && !is_still_image(&front) {
        return Ok(None);
    }
    let (mut buffer, mut starts, mut boxes) = (vec![0; READ_BYTES], 0, 0..MAX_BOXES);
    // Skips the first box of a HEIC, which is an `ftyp` of its own.
    let mut offset = 8;
    while offset < MAX_SEARCH_BYTES.min(source.size_bytes()) {
        let read = read_full(source, offset, &mut buffer)?;
        let types = buffer[..read].windows(4).enumerate();
        for (position, _) in types.filter(|(_, kind)| kind == b"ftyp") {
            starts += 1;
            if let Some(found) = read_movie(source, offset + position as u64 - 4, &mut boxes)? {
                return Ok(Some(found));
            }
            if starts == MAX_STARTS {
                return Ok(None);
            }
        }
        if read < READ_BYTES {
            break;
        }
        // The type may lie across two reads.
        offset += (read - 3) as u64;
    }
    Ok(None)
}

/// The run of boxes at `begins_at`, if they are a movie. The last one may be cut off.
fn read_movie(source: &dyn ReadAt, begins_at: u64, boxes: &mut Range<u32>) -> io::Result<Option<ByteRange>> {
    let end = source.size_bytes();
    let (mut offset, mut has_index, mut has_media) = (begins_at, false, false);
    for _ in boxes {
        let mut bytes = [0; MAX_HEADER_BYTES];
        let read = read_full(source, offset, &mut bytes)?;
        let Some(header) = BoxHeader::parse(&bytes).filter(|_| read >= 8) else { break };
        let (kind, left) = (&header.kind, end - offset);
        let size = if header.size_bytes == 0 { left } else { header.size_bytes };
        let is_known = match kind {
            b"ftyp" => offset == begins_at && size <= MAX_FTYP_BYTES,
            b"moov" | b"moof" | b"mdat" | b"free" | b"skip" | b"wide" | b"uuid" | b"meta" | b"udta"
            | b"mfra" | b"sidx" => offset > begins_at,
            _ => false,
        };
        let is_cut = size > left;
        if !is_known || size < 8 || (is_cut && kind != b"mdat") {
            break;
        }
        has_index |= kind == b"moov";
        has_media |= matches!(kind, b"mdat" | b"moof");
        offset += size.min(left);
    }
    Ok((has_index && has_media).then_some(ByteRange { begins_at, size_bytes: offset - begins_at }))
}

/// Whether a file is a still image in ISO boxes: HEIC, AVIF.
pub fn is_still_image(front: &[u8]) -> bool {
    front.get(4..8) == Some(b"ftyp")
        && matches!(front.get(8..12), Some(b"heic" | b"heix" | b"heim" | b"heis" | b"mif1" | b"avif"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::source::Bytes;

    const PHOTO: &[u8] = b"\xff\xd8\xff\xe0 a photo";

    fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32 + 8).to_be_bytes()[..], kind, content].concat()
    }

    fn movie() -> Vec<u8> {
        [boxed(b"ftyp", b"isomisom"), boxed(b"mdat", b"samples"), boxed(b"moov", b"index")].concat()
    }

    fn found(file: &[u8]) -> Option<(u64, u64)> {
        find_recording(&Bytes(file.to_vec())).unwrap().map(|found| (found.begins_at, found.size_bytes))
    }

    #[test]
    fn a_photo_gives_its_recording_without_what_follows() {
        let photo = [&b"\xff\xd8\xff\xe1 a photo, which says ftyp somewhere \xff\xd9"[..], &movie()].concat();
        let at = (photo.len() - movie().len()) as u64;
        assert_eq!(found(&photo), Some((at, movie().len() as u64)));
        let followed = [&photo[..], b"\0\0\x81\x0a MotionPhoto_Data SEFT"].concat();
        assert_eq!(found(&followed), Some((at, movie().len() as u64)));
    }

    #[test]
    fn the_front_may_lie_across_two_reads() {
        for before in READ_BYTES - 8..READ_BYTES + 24 {
            let photo = [&b"\xff\xd8\xff"[..], &vec![b'f'; before], &movie()].concat();
            assert_eq!(found(&photo), Some((before as u64 + 3, movie().len() as u64)), "{before}");
        }
    }

    #[test]
    fn a_heic_keeps_it_in_a_box() {
        let heic = [boxed(b"ftyp", b"heic\0\0\0\0mif1"), boxed(b"mdat", b"image"), boxed(b"mpvd", &movie())];
        let at = heic.concat().len() - movie().len();
        assert_eq!(found(&heic.concat()), Some((at as u64, movie().len() as u64)));
    }

    #[test]
    fn other_files_have_none() {
        assert_eq!(found(b""), None);
        assert_eq!(found(PHOTO), None);
        assert_eq!(found(&movie()), None, "a recording is no photo");
        let front = [PHOTO, &boxed(b"ftyp", b"isomisom")].concat();
        assert_eq!(found(&front), None, "a front alone is no recording");
        let cut = [PHOTO, &movie()].concat();
        assert_eq!(found(&cut[..cut.len() - 3]), None, "its index is missing");
    }

    #[test]
    fn a_recording_that_is_cut_off_lasts_to_the_end() {
        let parts = [boxed(b"ftyp", b"isomisom"), boxed(b"moov", b"index"), boxed(b"mdat", b"samples")];
        let (at, photo) = (PHOTO.len() as u64, [PHOTO, &parts.concat()].concat());
        assert_eq!(found(&photo[..photo.len() - 3]), Some((at, photo.len() as u64 - 3 - at)));
    }
}
