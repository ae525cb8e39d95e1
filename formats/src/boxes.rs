//! Boxes of an MP4 file (ISO/IEC 14496-12, 4.2), read from bytes in memory.
//!
//! The bytes come from an uploaded file and may lie, so only a box that fits into what is there is
//! followed.

/// Bytes of a box header with a 32-bit size.
pub const HEADER_BYTES: usize = 8;

/// Type of a box: four characters.
pub type BoxType = [u8; 4];

/// Splits the first box off: its type, its content, and the bytes after it.
///
/// A size of 0 means that the box lasts to the end. `None` if no complete box is left. Boxes with a
/// 64-bit size hold media data, which is never in memory: they count as incomplete.
pub fn split(boxes: &[u8]) -> Option<(BoxType, &[u8], &[u8])> {
    let header = boxes.get(..HEADER_BYTES)?;
    let size = match u32_at(header, 0)? {
        0 => boxes.len(),
        size => size as usize,
    };
    if size < HEADER_BYTES || size > boxes.len() {
        return None;
    }
    let kind = [header[4], header[5], header[6], header[7]];
    Some((kind, &boxes[HEADER_BYTES..size], &boxes[size..]))
}

/// Walks over the complete boxes: type and content of each, in order.
pub fn walk(boxes: &[u8]) -> impl Iterator<Item = (BoxType, &[u8])> {
    let mut rest = boxes;
    std::iter::from_fn(move || {
        let (kind, content, after) = split(rest)?;
        rest = after;
        Some((kind, content))
    })
}

/// Content of the first box of a type; `None` if there is none.
pub fn find<'a>(boxes: &'a [u8], kind: &BoxType) -> Option<&'a [u8]> {
    walk(boxes).find(|(found, _)| found == kind).map(|(_, content)| content)
}

/// Content of the box at the end of a path of types, one inside the other.
pub fn find_path<'a>(boxes: &'a [u8], path: &[&BoxType]) -> Option<&'a [u8]> {
    path.iter().try_fold(boxes, |content, kind| find(content, kind))
}

/// Big-endian 16-bit number at an offset; `None` past the end.
pub fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    array_at(bytes, offset).map(u16::from_be_bytes)
}

/// Big-endian 32-bit number at an offset; `None` past the end.
pub fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    array_at(bytes, offset).map(u32::from_be_bytes)
}

/// Big-endian 64-bit number at an offset; `None` past the end.
pub fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    array_at(bytes, offset).map(u64::from_be_bytes)
}

fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..offset.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &BoxType, content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32 + 8).to_be_bytes()[..], kind, content].concat()
    }

    #[test]
    fn boxes_are_walked_and_found() {
        let bytes = [boxed(b"ftyp", b"isom"), boxed(b"moov", &boxed(b"mvhd", b"head"))].concat();
        let kinds: Vec<BoxType> = walk(&bytes).map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [*b"ftyp", *b"moov"]);
        assert_eq!(find(&bytes, b"ftyp"), Some(&b"isom"[..]));
        assert_eq!(find(&bytes, b"mdat"), None);
        assert_eq!(find_path(&bytes, &[b"moov", b"mvhd"]), Some(&b"head"[..]));
        assert_eq!(find_path(&bytes, &[b"moov", b"trak"]), None);
    }

    #[test]
    fn sizes_that_do_not_fit_end_the_walk() {
        for size in [1_u32, 7, 13, u32::MAX] {
            let mut bytes = boxed(b"free", b"1234");
            bytes[..4].copy_from_slice(&size.to_be_bytes());
            assert_eq!(split(&bytes), None, "{size}");
        }
        assert_eq!(split(b"\0\0\0\x08fre"), None, "half a header");
        let to_the_end = b"\0\0\0\0mdatrest";
        assert_eq!(split(to_the_end), Some((*b"mdat", &b"rest"[..], &b""[..])));
    }

    #[test]
    fn numbers_past_the_end_are_none() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(u16_at(&bytes, 6), Some(0x0708));
        assert_eq!(u32_at(&bytes, 4), Some(0x0506_0708));
        assert_eq!(u64_at(&bytes, 0), Some(0x0102_0304_0506_0708));
        assert_eq!(u32_at(&bytes, 5), None);
        assert_eq!(u64_at(&bytes, usize::MAX), None);
    }
}
