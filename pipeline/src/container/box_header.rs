//! Headers of MP4 boxes (ISO/IEC 14496-12, 4.2) that are read from a file, one at a time.

use chalkstream_formats::boxes::{BoxType, HEADER_BYTES, u32_at, u64_at};

/// Bytes of a header with a 64-bit size.
pub const MAX_HEADER_BYTES: usize = 16;

/// Type and size of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoxHeader {
    /// Its type.
    pub kind: BoxType,
    /// Its size with the header, in bytes. 0 means up to the end of the file; other sizes below 8
    /// are damage.
    pub size_bytes: u64,
}

impl BoxHeader {
    /// Parses up to [`MAX_HEADER_BYTES`] from the start of a box; `None` if there are fewer than 8.
    /// A 64-bit size that is cut off stays 1, its mark.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let kind = bytes.get(4..HEADER_BYTES)?.try_into().ok()?;
        let size_bytes = match u32_at(bytes, 0)? {
            1 => u64_at(bytes, HEADER_BYTES).unwrap_or(1),
            size => size.into(),
        };
        Some(Self { kind, size_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_32_or_64_bits() {
        let parse = |bytes: &[u8]| BoxHeader::parse(bytes).map(|header| (header.kind, header.size_bytes));
        assert_eq!(parse(b"\0\0\0\x10free12345678"), Some((*b"free", 16)));
        assert_eq!(parse(b"\0\0\0\x01mdat\0\0\0\x01\0\0\0\x02"), Some((*b"mdat", (1 << 32) + 2)));
        assert_eq!(parse(b"\0\0\0\x01mdat\0\0"), Some((*b"mdat", 1)), "cut off");
        assert_eq!(parse(b"\0\0\0\0mdat"), Some((*b"mdat", 0)), "to the end");
        assert_eq!(parse(b"\0\0\0\x08fre"), None);
    }
}
