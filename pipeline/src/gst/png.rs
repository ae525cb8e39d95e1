//! Brings frames of PNG to what the decoder can read: it stops at a first one that is damaged, and
//! misplaces samples of 16 bits.

use std::io::Cursor;

use gstreamer as gst;
use gstreamer::prelude::*;
use image::codecs::png::{CompressionType, FilterType, PngDecoder, PngEncoder};
use image::{DynamicImage, ImageDecoder, Limits};

/// The first bytes of every PNG file (PNG specification, 5.2).
const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Size of a chunk's length, type and checksum.
const CHUNK_OVERHEAD_BYTES: usize = 12;
/// Most memory that a frame of 16 bits takes, in bytes.
const MAX_DEEP_FRAME_BYTES: u64 = 256 << 20;

/// Drops packets with unreadable frames before a decoder of PNG, and calls `dropped` for each.
/// Samples of 16 bits become samples of eight.
pub fn prepare_frames(decoder: &gst::Element, dropped: impl Fn() + Send + Sync + 'static) {
    let Some(sink) = decoder.static_pad("sink") else { return };
    sink.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data else { return gst::PadProbeReturn::Ok };
        let (is_readable, is_deep) = match buffer.map_readable() {
            Ok(data) => (is_intact(&data), is_deep(&data)),
            Err(_) => (false, false),
        };
        let prepared = match (is_readable, is_deep) {
            (true, true) => narrowed(buffer).map(|narrow| *buffer = narrow),
            (is_readable, _) => is_readable.then_some(()),
        };
        if prepared.is_some() {
            return gst::PadProbeReturn::Ok;
        }
        dropped();
        gst::PadProbeReturn::Drop
    });
}

/// Whether samples have 16 bits.
fn is_deep(data: &[u8]) -> bool {
    // The bit depth follows the width and height in the header, the first chunk (PNG specification,
    // 11.2.1).
    data.get(24) == Some(&16)
}

/// A packet with the same frame in samples of eight bits.
fn narrowed(packet: &gst::Buffer) -> Option<gst::Buffer> {
    let data = packet.map_readable().ok()?;
    let deep = DynamicImage::from_decoder(bounded_decoder(&data)?).ok()?;
    let narrow = match deep {
        DynamicImage::ImageLuma16(_) => DynamicImage::ImageLuma8(deep.to_luma8()),
        DynamicImage::ImageLumaA16(_) | DynamicImage::ImageRgba16(_) => deep.to_rgba8().into(),
        _ => deep.to_rgb8().into(),
    };
    let mut file = Vec::new();
    let encoder = PngEncoder::new_with_quality(&mut file, CompressionType::Fast, FilterType::NoFilter);
    narrow.write_with_encoder(encoder).ok()?;
    let mut replaced = gst::Buffer::from_mut_slice(file);
    let copied = gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS;
    packet.copy_into(replaced.make_mut(), copied, ..).ok()?;
    Some(replaced)
}

/// A decoder of a frame; `None` if the header declares more than `MAX_DEEP_FRAME_BYTES`.
fn bounded_decoder(data: &[u8]) -> Option<PngDecoder<Cursor<&[u8]>>> {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DEEP_FRAME_BYTES);
    let decoder = PngDecoder::with_limits(Cursor::new(data), limits.clone()).ok()?;
    // The decoder holds its own buffers to the limit, but not the image.
    limits.reserve(decoder.total_bytes()).ok()?;
    Some(decoder)
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
    fn frames_that_declare_too_much_memory_are_not_decoded() {
        let chunk = |kind: &[u8; 4], content: &[u8]| {
            let named = [&kind[..], content].concat();
            let length = (content.len() as u32).to_be_bytes();
            [&length[..], &named, &crc32fast::hash(&named).to_be_bytes()].concat()
        };
        let declared = |side: u32| {
            let header = [&side.to_be_bytes()[..], &side.to_be_bytes(), &[16, 6, 0, 0, 0]].concat();
            [SIGNATURE, &chunk(b"IHDR", &header), &chunk(b"IDAT", &[]), &chunk(b"IEND", &[])].concat()
        };
        assert!(bounded_decoder(&declared(4096)).is_some());
        for side in [8192, 60_000, i32::MAX as u32] {
            assert!(bounded_decoder(&declared(side)).is_none(), "{side}");
        }
    }

    #[test]
    fn frames_with_errors_or_without_an_end_are_damaged() {
        let mut file = Cursor::new(Vec::new());
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
