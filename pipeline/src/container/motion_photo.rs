//! The recording that phones keep inside a photo («motion photo»): an MP4 behind a JPEG, or in a box of a HEIC.

use std::io;
use std::ops::Range;

use crate::source::{ByteRange, ReadAt, read_full};

/// Most of a photo that is searched, in bytes.
const SEARCHED: u64 = 64 << 20;
/// How much of it is read at a time, in bytes.
const READ: usize = 256 << 10;
/// Most places that look like the front of a recording.
const MOST_FRONTS: u32 = 64;
/// Most boxes looked at, of all that may be recordings.
const MOST_BOXES: u32 = 4096;
/// Largest first box: a handful of brands.
const LARGEST_FRONT: u64 = 4096;

/// Where the recording is; none where the file is no photo, or one without.
pub fn recording(source: &dyn ReadAt) -> io::Result<Option<ByteRange>> {
    let mut front = [0; 12];
    read_full(source, 0, &mut front)?;
    if !front.starts_with(b"\xff\xd8\xff") && !is_still_image(&front) {
        return Ok(None);
    }
    let (mut buffer, mut fronts, mut boxes) = (vec![0; READ], 0, 0..MOST_BOXES);
    // A HEIC's own first box is passed over.
    let mut at = 8;
    while at < SEARCHED.min(source.size_bytes()) {
        let read = read_full(source, at, &mut buffer)?;
        for place in buffer[..read].windows(4).enumerate().filter(|(_, kind)| kind == b"ftyp").map(|(p, _)| p)
        {
            fronts += 1;
            if let Some(found) = movie(source, at + place as u64 - 4, &mut boxes)? {
                return Ok(Some(found));
            }
            if fronts == MOST_FRONTS {
                return Ok(None);
            }
        }
        if read < READ {
            break;
        }
        // The type may lie across two reads.
        at += (read - 3) as u64;
    }
    Ok(None)
}

/// The run of boxes that begins at `begins_at`, where it is a movie; its last one may be cut.
fn movie(source: &dyn ReadAt, begins_at: u64, boxes: &mut Range<u32>) -> io::Result<Option<ByteRange>> {
    let end = source.size_bytes();
    let (mut at, mut index, mut media) = (begins_at, false, false);
    for _ in boxes {
        let mut head = [0; 16];
        let read = read_full(source, at, &mut head)?;
        let (short, kind, long) = (&head[..4], &head[4..8], &head[8..]);
        let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        let size = match number(short) {
            0 => end - at,
            1 => number(long),
            size => size,
        };
        let known = match kind {
            b"ftyp" => at == begins_at && size <= LARGEST_FRONT,
            b"moov" | b"moof" | b"mdat" | b"free" | b"skip" | b"wide" | b"uuid" | b"meta" | b"udta"
            | b"mfra" | b"sidx" => at > begins_at,
            _ => false,
        };
        let whole = size <= end - at;
        if read < 8 || !known || size < 8 || (!whole && kind != b"mdat") {
            break;
        }
        index |= kind == b"moov";
        media |= matches!(kind, b"mdat" | b"moof");
        at += size.min(end - at);
    }
    Ok((index && media).then_some(ByteRange { begins_at, size_bytes: at - begins_at }))
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

    const PICTURE: &[u8] = b"\xff\xd8\xff\xe0 a picture";

    fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32 + 8).to_be_bytes()[..], kind, content].concat()
    }

    fn movie() -> Vec<u8> {
        [boxed(b"ftyp", b"isomisom"), boxed(b"mdat", b"pictures"), boxed(b"moov", b"index")].concat()
    }

    fn found(file: &[u8]) -> Option<(u64, u64)> {
        recording(&Bytes(file.to_vec())).unwrap().map(|found| (found.begins_at, found.size_bytes))
    }

    #[test]
    fn a_photo_gives_its_recording_without_what_follows() {
        let photo =
            [&b"\xff\xd8\xff\xe1 a picture, which says ftyp somewhere \xff\xd9"[..], &movie()].concat();
        let at = (photo.len() - movie().len()) as u64;
        assert_eq!(found(&photo), Some((at, movie().len() as u64)));
        let followed = [&photo[..], b"\0\0\x81\x0a MotionPhoto_Data SEFT"].concat();
        assert_eq!(found(&followed), Some((at, movie().len() as u64)));
    }

    #[test]
    fn the_front_may_lie_across_two_reads() {
        for before in READ - 8..READ + 24 {
            let photo = [&b"\xff\xd8\xff"[..], &vec![b'f'; before], &movie()].concat();
            assert_eq!(found(&photo), Some((before as u64 + 3, movie().len() as u64)), "{before}");
        }
    }

    #[test]
    fn a_heic_keeps_it_in_a_box() {
        let heic =
            [boxed(b"ftyp", b"heic\0\0\0\0mif1"), boxed(b"mdat", b"picture"), boxed(b"mpvd", &movie())];
        let at = heic.concat().len() - movie().len();
        assert_eq!(found(&heic.concat()), Some((at as u64, movie().len() as u64)));
    }

    #[test]
    fn others_have_none() {
        assert_eq!(found(b""), None);
        assert_eq!(found(PICTURE), None);
        assert_eq!(found(&movie()), None, "a recording is no photo");
        let front = [PICTURE, &boxed(b"ftyp", b"isomisom")].concat();
        assert_eq!(found(&front), None, "a front alone is no recording");
        let cut = [PICTURE, &movie()].concat();
        assert_eq!(found(&cut[..cut.len() - 3]), None, "its index is missing");
    }

    #[test]
    fn of_a_recording_that_was_cut_there_is_what_is_there() {
        let parts = [boxed(b"ftyp", b"isomisom"), boxed(b"moov", b"index"), boxed(b"mdat", b"pictures")];
        let (at, photo) = (PICTURE.len() as u64, [PICTURE, &parts.concat()].concat());
        assert_eq!(found(&photo[..photo.len() - 3]), Some((at, photo.len() as u64 - 3 - at)));
    }
}
