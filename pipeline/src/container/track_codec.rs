//! What a container itself says of its tracks' codecs, read beside the demuxer. Everything here is from the file and may
//! be wrong.

use std::io;

use chalkstream_formats::boxes::{find, split, u32_at};

use super::ebml::{self, TRACK_ENTRY, TRACK_TYPE, VIDEO, child, children, text, unsigned};

use crate::source::{ReadAt, read_full};

/// Most bytes read of the list of an AVI's streams: an index may follow each of them there.
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
    /// Whether it is of video.
    pub is_video: bool,
    /// Its four-character code; for Matroska's own names the start of the name.
    pub fourcc: [u8; 4],
    /// Matroska's name of it.
    pub name: String,
    /// Size of the stored frames, in pixels.
    pub size: (u32, u32),
    /// Shape of a pixel, width to height; 0 if not known.
    pub pixel: (u32, u32),
    /// Bits of a pixel or sample; 0 if not known.
    pub depth: u32,
    /// How long a frame lasts, in ns, if that is declared.
    pub frame_ns: Option<u64>,
    /// Whether samples of audio are stored with the least significant byte first, if that is declared.
    pub is_little_endian: Option<bool>,
    /// What a decoder has to know.
    pub private: Vec<u8>,
}

/// A number of two bytes, the least significant first.
fn short(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?).into())
}

/// A number of four bytes, the least significant first.
fn long(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

impl Codec {
    /// From the first entry of an MP4's sample descriptions (QuickTime File Format, "Sample Description Atoms").
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
                    // Above 32 it says grey as well.
                    depth: if depth > 32 { depth - 32 } else { depth },
                    private: private.to_vec(),
                    ..Self::default()
                })
            }
            b"soun" => {
                // Version 1 has 16 bytes more, version 2 has 36.
                let head = match u32_at(entry, 8)? >> 16 {
                    0 => 28,
                    1 => 44,
                    _ => 64,
                };
                let boxes = entry.get(head..).unwrap_or_default();
                let wave = find(boxes, b"wave").unwrap_or(boxes);
                let order = find(wave, b"enda").and_then(|order| order.get(..2));
                let is_little_endian = order.map(|order| order[1] == 1);
                Some(Self { fourcc, is_little_endian, ..Self::default() })
            }
            _ => None,
        }
    }

    /// From a BITMAPINFOHEADER and what follows it.
    fn of_bitmap(header: &[u8]) -> Option<Self> {
        let size_bytes = long(header, 0)?.max(40) as usize;
        // Negative where rows are stored from top to bottom.
        let height = (long(header, 8)? as i32).unsigned_abs();
        Some(Self {
            is_video: true,
            fourcc: header.get(16..20)?.try_into().ok()?,
            size: (long(header, 4)?, height),
            depth: short(header, 14)?,
            // Some writers count it in the header's size, others do not.
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
    // RIFF, its size and kind come first; then lists, of which those of the header are opened.
    let mut rest = list.get(12..).unwrap_or_default();
    let mut head: Option<&[u8]> = None;
    while let Some((name, size)) = rest.get(..4).zip(long(rest, 4)) {
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
        match (name, head) {
            (b"strh", _) => head = Some(content),
            (b"strf", Some(stream)) if stream.starts_with(b"vids") => {
                let frame_ns = long(stream, 20).zip(long(stream, 24)).and_then(|(scale, rate)| {
                    (u64::from(scale) * 1_000_000_000).checked_div(u64::from(rate))
                });
                found.extend(Codec::of_bitmap(content).map(|codec| Codec { frame_ns, ..codec }));
            }
            _ => {}
        }
        rest = after.get((size as usize).next_multiple_of(2)..).unwrap_or_default();
    }
    Ok(found)
}

/// The codecs of a Matroska's video and audio tracks, in the order of the file.
pub fn read_matroska(source: &dyn ReadAt) -> io::Result<Vec<Codec>> {
    let front = ebml::front(source)?;
    let entries = children(&front.tracks).filter(|(id, _)| *id == TRACK_ENTRY);
    Ok(entries.filter_map(|(_, entry)| of_track(entry)).collect())
}

fn of_track(entry: &[u8]) -> Option<Codec> {
    let is_video = match child(entry, TRACK_TYPE).map(unsigned)? {
        1 => true,
        2 => false,
        _ => return None,
    };
    let name = text(child(entry, CODEC_ID)?).to_owned();
    let private = child(entry, CODEC_PRIVATE).unwrap_or_default();
    let video = child(entry, VIDEO).unwrap_or_default();
    let number = |id| child(video, id).map_or(0, unsigned).try_into().unwrap_or(0);
    let of_private = match name.as_str() {
        "V_MS/VFW/FOURCC" => Codec::of_bitmap(private),
        "V_QUICKTIME" => Codec::from_sample_entry(private, *b"vide"),
        _ => None,
    };
    let own = |name: &str| {
        let mut fourcc = [b' '; 4];
        let bytes = name.get(2..).unwrap_or_default().bytes();
        fourcc.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
        fourcc
    };
    let codec = of_private.unwrap_or_else(|| Codec {
        fourcc: match child(video, UNCOMPRESSED_FOURCC).and_then(|fourcc| fourcc.try_into().ok()) {
            Some(fourcc) if name == "V_UNCOMPRESSED" => fourcc,
            _ if name == "V_PRORES" => private.first_chunk().copied().unwrap_or_default(),
            _ => own(&name),
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
