//! The elements of a Matroska or WebM file (RFC 8794, RFC 9559), as far as is needed to learn what
//! the demuxer does not read.

use std::io;

use crate::source::{ReadAt, read_full};

/// Most bytes of one element that are read: tracks and tags are small.
const MAX_ELEMENT_BYTES: u64 = 1 << 20;
/// Most elements read before the first cluster.
const MAX_ELEMENTS: usize = 64;
/// Longest header of an element.
pub const MAX_HEADER_BYTES: usize = 12;

pub(crate) const EBML: u32 = 0x1a45_dfa3;
pub(crate) const SEGMENT: u32 = 0x1853_8067;
pub(crate) const INFO: u32 = 0x1549_a966;
pub(crate) const CLUSTER: u32 = 0x1f43_b675;
pub(crate) const VOID: u32 = 0xec;
pub(crate) const SEEK_HEAD: u32 = 0x114d_9b74;
pub(crate) const SEEK: u32 = 0x4dbb;
pub(crate) const SEEK_ID: u32 = 0x53ab;
pub(crate) const SEEK_POSITION: u32 = 0x53ac;
pub(crate) const TRACKS: u32 = 0x1654_ae6b;
pub(crate) const TAGS: u32 = 0x1254_c367;
/// One track in [`MatroskaHeader::tracks`].
pub const TRACK_ENTRY: u32 = 0xae;
/// Type of a track: 1 is video, 2 audio.
pub const TRACK_TYPE: u32 = 0x83;
/// Properties of a track's frames.
pub const VIDEO: u32 = 0xe0;

/// The tracks and tags of a file.
#[derive(Debug, Default)]
pub struct MatroskaHeader {
    /// Data of `Tracks`.
    pub tracks: Vec<u8>,
    /// Offset of that in the file.
    pub tracks_offset: u64,
    /// Data of `Tags`.
    pub tags: Vec<u8>,
}

impl MatroskaHeader {
    /// Reads what precedes the packets of a file, or is pointed to from there.
    pub fn read(source: &dyn ReadAt) -> io::Result<Self> {
        let mut found = Self::default();
        let Some((SEGMENT, _, segment_offset)) = after_ebml_header(source)? else { return Ok(found) };
        let (mut offset, mut seeks) = (segment_offset, Vec::new());
        for _ in 0..MAX_ELEMENTS {
            let Some((id, size, data_offset)) = read_header(source, offset)? else { break };
            match id {
                CLUSTER => break,
                SEEK_HEAD => seeks.extend(seek_positions(&read_data(source, data_offset, size)?)),
                _ => found.add(source, id, size, data_offset)?,
            }
            offset = data_offset.saturating_add(size);
        }
        for (wanted, position) in seeks.into_iter().take(MAX_ELEMENTS) {
            if found.is_missing(wanted)
                && let Some((id, size, data_offset)) =
                    read_header(source, segment_offset.saturating_add(position))?
                && id == wanted
            {
                found.add(source, id, size, data_offset)?;
            }
        }
        Ok(found)
    }

    fn is_missing(&self, id: u32) -> bool {
        match id {
            TRACKS => self.tracks.is_empty(),
            TAGS => self.tags.is_empty(),
            _ => false,
        }
    }

    /// Reads an element if it is one that is missing.
    fn add(&mut self, source: &dyn ReadAt, id: u32, size: u64, data_offset: u64) -> io::Result<()> {
        if !self.is_missing(id) {
            return Ok(());
        }
        let data = read_data(source, data_offset, size)?;
        if id == TRACKS {
            (self.tracks, self.tracks_offset) = (data, data_offset);
        } else {
            self.tags = data;
        }
        Ok(())
    }
}

/// The header of the element after the EBML header.
fn after_ebml_header(source: &dyn ReadAt) -> io::Result<Option<(u32, u64, u64)>> {
    match read_header(source, 0)? {
        Some((EBML, size, data_offset)) => read_header(source, data_offset.saturating_add(size)),
        _ => Ok(None),
    }
}

/// An element's ID, its size in bytes, and the offset of its data. An unknown size is the rest of
/// the file.
fn read_header(source: &dyn ReadAt, offset: u64) -> io::Result<Option<(u32, u64, u64)>> {
    Ok(ElementHeader::read(source, offset)?.map(|header| {
        let data_offset = offset + header.length as u64;
        let rest = source.size_bytes().saturating_sub(data_offset);
        (header.id, header.size.unwrap_or(rest), data_offset)
    }))
}

fn read_data(source: &dyn ReadAt, offset: u64, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; size.min(MAX_ELEMENT_BYTES) as usize];
    let read = read_full(source, offset, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// The header of an element (RFC 8794, 4 to 6).
#[derive(Clone, Copy, Debug)]
pub struct ElementHeader {
    /// ID, with its marker bit.
    pub id: u32,
    /// Size of the data in bytes; `None` if unknown.
    pub size: Option<u64>,
    /// Length of the header in bytes.
    pub length: usize,
}

impl ElementHeader {
    /// Reads the header at an offset; `None` if there is none.
    pub fn read(source: &dyn ReadAt, offset: u64) -> io::Result<Option<Self>> {
        let mut bytes = [0; MAX_HEADER_BYTES];
        let read = read_full(source, offset, &mut bytes)?;
        Ok(Self::parse(&bytes[..read]))
    }

    /// Parses the header at the start of these bytes; `None` if there is none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let id_length = bytes.first()?.leading_zeros() as usize + 1;
        let id = (id_length <= 4).then(|| bytes.get(..id_length))??;
        let rest = &bytes[id_length..];
        let size_length = rest.first()?.leading_zeros() as usize + 1;
        let size = (size_length <= 8).then(|| rest.get(..size_length))??;
        let unknown = (1_u64 << (7 * size_length)) - 1;
        let size = unsigned(size) & unknown;
        Some(Self {
            id: unsigned(id) as u32,
            size: (size != unknown).then_some(size),
            length: id_length + size_length,
        })
    }
}

/// The elements in an element's data; the last one may be cut off.
pub fn children(mut bytes: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    std::iter::from_fn(move || {
        let header = ElementHeader::parse(bytes)?;
        let rest = &bytes[header.length..];
        let size = header.size.map_or(rest.len(), |size| size.min(rest.len() as u64) as usize);
        let (data, after) = rest.split_at(size);
        bytes = after;
        Some((header.id, data))
    })
}

/// Data of the first element of an ID in an element's data.
pub fn child(bytes: &[u8], wanted: u32) -> Option<&[u8]> {
    children(bytes).find(|(id, _)| *id == wanted).map(|(_, data)| data)
}

/// An unsigned number.
pub fn unsigned(data: &[u8]) -> u64 {
    data.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// A floating-point number.
pub fn float(data: &[u8]) -> f64 {
    match *data {
        [a, b, c, d] => f32::from_be_bytes([a, b, c, d]).into(),
        [a, b, c, d, e, f, g, h] => f64::from_be_bytes([a, b, c, d, e, f, g, h]),
        _ => 0.0,
    }
}

/// A text.
pub fn text(data: &[u8]) -> &str {
    std::str::from_utf8(data).unwrap_or_default().trim_end_matches('\0')
}

/// IDs and positions in the data of a `SeekHead`.
fn seek_positions(seek_head: &[u8]) -> Vec<(u32, u64)> {
    let seeks = children(seek_head).filter(|(id, _)| *id == SEEK);
    let entry = |data| Some((unsigned(child(data, SEEK_ID)?) as u32, unsigned(child(data, SEEK_POSITION)?)));
    seeks.filter_map(|(_, data)| entry(data)).collect()
}
