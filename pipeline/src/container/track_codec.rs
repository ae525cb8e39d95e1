//! The codecs of tracks by their container, for what demuxers do not read. Everything here comes
//! from the file and may be wrong.

use std::io;

use chalkstream_formats::boxes::{find, split, u32_at};

use super::ebml::{MatroskaHeader, TRACK_ENTRY, TRACK_TYPE, VIDEO, child, children, text, unsigned};
use crate::source::{ReadAt, read_full};

/// Most bytes read of the list of an AVI's streams, in which an index may follow each.
const MAX_LIST_BYTES: u64 = 1 << 20;

const CODEC_ID: u32 = 0x86;
const CODEC_PRIVATE: u32 = 0x63a2;
const DEFAULT_DURATION: u32 = 0x23_e383;
const PIXEL_WIDTH: u32 = 0xb0;
const PIXEL_HEIGHT: u32 = 0xba;
const DISPLAY_WIDTH: u32 = 0x54b0;
const DISPLAY_HEIGHT: u32 = 0x54ba;
const DISPLAY_UNIT: u32 = 0x54b2;
const UNCOMPRESSED_FOURCC: u32 = 0x2e_b524;

/// The codec of one track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codec {
    /// Whether it is a video codec.
    pub is_video: bool,
    /// Four-character code; for Matroska's own names the start of the name.
    pub fourcc: [u8; 4],
    /// Name in Matroska; empty elsewhere.
    pub name: String,
    /// Size of the stored frames, in pixels.
    pub size: (u32, u32),
    /// Aspect ratio of a pixel, width to height; 0 if not known.
    pub pixel: (u32, u32),
    /// Bits of a pixel or sample; 0 if not known.
    pub depth: u32,
    /// Declared duration of a frame, in ns.
    pub frame_ns: Option<u64>,
    /// Whether audio samples are stored least significant byte first, if that is declared.
    pub is_little_endian: Option<bool>,
    /// Private data for the decoder.
    pub private: Vec<u8>,
}

/// Little-endian 16-bit number at an offset.
fn u16_le(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u16::from_le_bytes(bytes.get(offset..offset + 2)?.try_into().ok()?).into())
}

/// Little-endian 32-bit number at an offset.
fn u32_le(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?))
}

impl Codec {
    /// The codec of the first entry of an MP4's sample descriptions (QuickTime File Format, "Sample
    /// Description Atoms").
    pub fn from_sample_entry(list: &[u8], handler: [u8; 4]) -> Option<Self> {
        let (fourcc, entry, _) = split(list)?;
        match &handler {
            b"vide" => {
                let (size, depth) = (u32_at(entry, 24)?, u32_at(entry, 72)? & 0xffff);
                let private = entry.get(78..).and_then(|boxes| find(boxes, b"glbl")).unwrap_or_default();
                Some(Self {
                    is_video: true,
                    fourcc,
                    size: (size >> 16, size & 0xffff),
                    // Grayscale depths are stored with 32 added.
                    depth: if depth > 32 { depth - 32 } else { depth },
                    private: private.to_vec(),
                    ..Self::default()
                })
            }
            b"soun" => {
                // Version 1 has 16 bytes more, version 2 has 36 more.
                let header = match u32_at(entry, 8)? >> 16 {
                    0 => 28,
                    1 => 44,
                    _ => 64,
                };
                let boxes = entry.get(header..).unwrap_or_default();
                let wave = find(boxes, b"wave").unwrap_or(boxes);
                let byte_order = find(wave, b"enda").and_then(|order| order.get(..2));
                let is_little_endian = byte_order.map(|order| order[1] == 1);
                Some(Self { fourcc, is_little_endian, ..Self::default() })
            }
            _ => None,
        }
    }

    /// The codec of a BITMAPINFOHEADER and what follows it.
    fn from_bitmap_header(header: &[u8]) -> Option<Self> {
        let size_bytes = u32_le(header, 0)?.max(40) as usize;
        // Negative if rows are stored from top to bottom.
        let height = (u32_le(header, 8)? as i32).unsigned_abs();
        Some(Self {
            is_video: true,
            fourcc: header.get(16..20)?.try_into().ok()?,
            size: (u32_le(header, 4)?, height),
            depth: u16_le(header, 14)?,
            // Some writers include it in the header's size, others do not.
            private: header.get(40.min(size_bytes)..).unwrap_or_default().to_vec(),
            ..Self::default()
        })
    }
}

/// The codecs of an AVI's video and audio streams, in the order of the file.
pub fn read_avi(source: &dyn ReadAt) -> io::Result<Vec<Codec>> {
    let mut list = vec![0; MAX_LIST_BYTES.min(source.size_bytes()) as usize];
    let read = read_full(source, 0, &mut list)?;
    list.truncate(read);
    let mut found = Vec::new();
    // After the header of the RIFF come lists. Those of the AVI's header are entered.
    let mut rest = list.get(12..).unwrap_or_default();
    let mut stream_header: Option<&[u8]> = None;
    while let Some((name, size)) = rest.get(..4).zip(u32_le(rest, 4)) {
        let kind = rest.get(8..12).unwrap_or_default();
        if name == b"LIST" && (kind == b"hdrl" || kind == b"strl") {
            rest = &rest[12..];
            continue;
        }
        if name == b"LIST" && kind == b"movi" {
            break;
        }
        let after = rest.get(8..).unwrap_or_default();
        let content = &after[..after.len().min(size as usize)];
        match (name, stream_header) {
            (b"strh", _) => stream_header = Some(content),
            (b"strf", Some(stream)) if stream.starts_with(b"vids") => {
                let frame_ns = u32_le(stream, 20).zip(u32_le(stream, 24)).and_then(|(scale, rate)| {
                    (u64::from(scale) * 1_000_000_000).checked_div(u64::from(rate))
                });
                found.extend(Codec::from_bitmap_header(content).map(|codec| Codec { frame_ns, ..codec }));
            }
            _ => {}
        }
        rest = after.get((size as usize).next_multiple_of(2)..).unwrap_or_default();
    }
    Ok(found)
}

/// The codecs of a Matroska's video and audio tracks, in the order of the file.
pub fn read_matroska(source: &dyn ReadAt) -> io::Result<Vec<Codec>> {
    let header = MatroskaHeader::read(source)?;
    let entries = children(&header.tracks).filter(|(id, _)| *id == TRACK_ENTRY);
    Ok(entries.filter_map(|(_, entry)| from_track_entry(entry)).collect())
}

/// The codec of a Matroska's track.
fn from_track_entry(entry: &[u8]) -> Option<Codec> {
    let is_video = match child(entry, TRACK_TYPE).map(unsigned)? {
        1 => true,
        2 => false,
        _ => return None,
    };
    let name = text(child(entry, CODEC_ID)?).to_owned();
    let private = child(entry, CODEC_PRIVATE).unwrap_or_default();
    let video = child(entry, VIDEO).unwrap_or_default();
    let number = |id| child(video, id).map_or(0, unsigned).try_into().unwrap_or(0);
    let private_codec = match name.as_str() {
        "V_MS/VFW/FOURCC" => Codec::from_bitmap_header(private),
        "V_QUICKTIME" => Codec::from_sample_entry(private, *b"vide"),
        _ => None,
    };
    let start_of_name = |name: &str| {
        let mut fourcc = [b' '; 4];
        let bytes = name.get(2..).unwrap_or_default().bytes();
        fourcc.iter_mut().zip(bytes).for_each(|(char, byte)| *char = byte);
        fourcc
    };
    let codec = private_codec.unwrap_or_else(|| Codec {
        fourcc: match child(video, UNCOMPRESSED_FOURCC).and_then(|fourcc| fourcc.try_into().ok()) {
            Some(fourcc) if name == "V_UNCOMPRESSED" => fourcc,
            _ if name == "V_PRORES" => private.first_chunk().copied().unwrap_or_default(),
            _ => start_of_name(&name),
        },
        private: private.to_vec(),
        ..Codec::default()
    });
    let size: (u32, u32) = (number(PIXEL_WIDTH), number(PIXEL_HEIGHT));
    let display: (u32, u32) = (number(DISPLAY_WIDTH), number(DISPLAY_HEIGHT));
    let is_in_pixels = number(DISPLAY_UNIT) == 0_u32;
    let pixel = (display.0.saturating_mul(size.1), display.1.saturating_mul(size.0));
    Some(Codec {
        is_video,
        name,
        size,
        pixel: if is_in_pixels { pixel } else { (0, 0) },
        frame_ns: child(entry, DEFAULT_DURATION).map(unsigned),
        ..codec
    })
}
