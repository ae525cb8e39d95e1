//! Drops PNG frames that the decoder cannot read: the first one would end the video.

use gstreamer as gst;
use gstreamer::prelude::*;

/// The first bytes of every PNG file (PNG specification, 5.2).
const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Size of a chunk's length, type and checksum.
const CHUNK_OVERHEAD_BYTES: usize = 12;

/// Drops packets with unreadable frames before a decoder of PNG, and calls `dropped` for each.
pub fn drop_damaged(decoder: &gst::Element, dropped: impl Fn() + Send + Sync + 'static) {
    let Some(sink) = decoder.static_pad("sink") else { return };
    sink.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let is_readable = |buffer: &gst::Buffer| {
            buffer.map_readable().is_ok_and(|data| is_intact(&data) && !is_deep(&data))
        };
        if info.buffer().is_none_or(is_readable) {
            return gst::PadProbeReturn::Ok;
        }
        dropped();
        gst::PadProbeReturn::Drop
    });
}

/// Whether samples have 16 bits: the decoder swaps their colours.
fn is_deep(data: &[u8]) -> bool {
    // The bit depth follows the width and height in the header, the first chunk (PNG specification,
    // 11.2.1).
    data.get(24) == Some(&16)
}

/// Whether an image is complete and the chunks needed to decode it have the right checksums.
fn is_intact(data: &[u8]) -> bool {
    let Some(mut rest) = data.strip_prefix(SIGNATURE) else { return false };
    while let Some((head, _)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*head) as usize;
        let Some((chunk, after)) =
            length.checked_add(CHUNK_OVERHEAD_BYTES).and_then(|size| rest.split_at_checked(size))
        else {
            return false;
        };
        let (body, checksum) = chunk[4..].split_at(4 + length);
        // Chunks whose type starts with a small letter may be ignored.
        let is_needed = body[0].is_ascii_uppercase();
        if is_needed && crc32fast::hash(body).to_be_bytes() != checksum {
            return false;
        }
        if &body[..4] == b"IEND" {
            return true;
        }
        rest = after;
    }
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn frames_with_errors_or_without_an_end_are_damaged() {
        let mut file = std::io::Cursor::new(Vec::new());
        image::RgbImage::new(16, 16).write_to(&mut file, image::ImageFormat::Png).unwrap();
        let png = file.into_inner();
        assert!(is_intact(&png));
        assert!(is_intact(&[&png[..], &[0; 3]].concat()), "padding after the end");
        for end in 0..png.len() {
            assert!(!is_intact(&png[..end]), "cut off after {end} bytes");
        }
        for index in 0..png.len() {
            let mut damaged = png.clone();
            damaged[index] ^= 0x10;
            assert!(!is_intact(&damaged), "an error at byte {index}");
        }
    }
}
