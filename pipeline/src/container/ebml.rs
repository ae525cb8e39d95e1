//! The elements of a Matroska or WebM file (RFC 8794, RFC 9559): as much of reading them as is
//! needed to know what the demuxer does not read.

use std::io;

use crate::source::{ReadAt, read_full};

/// Most bytes of one element that are read: tracks and tags are small.
const MAX_ELEMENT_BYTES: u64 = 1 << 20;
/// Most elements looked at before the first cluster.
const MAX_ELEMENTS: usize = 64;

pub(crate) const EBML: u32 = 0x1a45_dfa3;
pub(crate) const SEGMENT: u32 = 0x1853_8067;
pub(crate) const CLUSTER: u32 = 0x1f43_b675;
pub(crate) const SEEK_HEAD: u32 = 0x114d_9b74;
pub(crate) const SEEK: u32 = 0x4dbb;
pub(crate) const SEEK_ID: u32 = 0x53ab;
pub(crate) const SEEK_POSITION: u32 = 0x53ac;
pub(crate) const TRACKS: u32 = 0x1654_ae6b;
pub(crate) const TAGS: u32 = 0x1254_c367;
/// One track in [`Front::tracks`].
pub const TRACK_ENTRY: u32 = 0xae;
/// Its type: 1 is video, 2 audio.
pub const TRACK_TYPE: u32 = 0x83;
/// What it says of its frames.
pub const VIDEO: u32 = 0xe0;

/// What precedes the packets of a file, or is pointed to from there.
#[derive(Debug, Default)]
pub struct Front {
    /// The content of `Tracks`.
    pub tracks: Vec<u8>,
    /// Where that begins in the file.
    pub tracks_at: u64,
    /// The content of `Tags`.
    pub tags: Vec<u8>,
}

/// Reads the tracks and tags of a file.
pub fn front(source: &dyn ReadAt) -> io::Result<Front> {
    let (mut tracks, mut tracks_at, mut tags) = (Vec::new(), 0, Vec::new());
    let Some((SEGMENT, _, segment_at)) = after_header(source)? else { return Ok(Front::default()) };
    let (mut at, mut places) = (segment_at, Vec::new());
    for _ in 0..MAX_ELEMENTS {
        let Some((id, size, data_at)) = head(source, at)? else { break };
        match id {
            CLUSTER => break,
            TRACKS if tracks.is_empty() => {
                (tracks, tracks_at) = (data(source, data_at, size)?, data_at);
            }
            TAGS if tags.is_empty() => tags = data(source, data_at, size)?,
            SEEK_HEAD => places.extend(seek_places(&data(source, data_at, size)?)),
            _ => {}
        }
        at = data_at.saturating_add(size);
    }
    for (id, place) in places.into_iter().take(MAX_ELEMENTS) {
        let missing = match id {
            TRACKS if tracks.is_empty() => &mut tracks,
            TAGS if tags.is_empty() => &mut tags,
            _ => continue,
        };
        if let Some((found, size, data_at)) = head(source, segment_at.saturating_add(place))?
            && found == id
        {
            *missing = data(source, data_at, size)?;
            tracks_at = if id == TRACKS { data_at } else { tracks_at };
        }
    }
    Ok(Front { tracks, tracks_at, tags })
}

/// The head of the element behind the EBML header.
fn after_header(source: &dyn ReadAt) -> io::Result<Option<(u32, u64, u64)>> {
    match head(source, 0)? {
        Some((EBML, size, data_at)) => head(source, data_at.saturating_add(size)),
        _ => Ok(None),
    }
}

/// An element's identifier, its size in bytes, and where its data begins. An unknown size is the
/// rest of the file.
fn head(source: &dyn ReadAt, at: u64) -> io::Result<Option<(u32, u64, u64)>> {
    let mut bytes = [0; 12];
    let read = read_full(source, at, &mut bytes)?;
    Ok(parse_head(&bytes[..read]).map(|(id, size, length)| {
        let data_at = at + length as u64;
        (id, size.unwrap_or(source.size_bytes().saturating_sub(data_at)), data_at)
    }))
}

fn data(source: &dyn ReadAt, at: u64, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; size.min(MAX_ELEMENT_BYTES) as usize];
    let read = read_full(source, at, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Identifier, size (`None` if unknown) and length of an element's head (RFC 8794, 4 to 6).
fn parse_head(bytes: &[u8]) -> Option<(u32, Option<u64>, usize)> {
    let id_length = bytes.first()?.leading_zeros() as usize + 1;
    let id = (id_length <= 4).then(|| bytes.get(..id_length))??;
    let id = id.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
    let rest = &bytes[id_length..];
    let size_length = rest.first()?.leading_zeros() as usize + 1;
    let size = (size_length <= 8).then(|| rest.get(..size_length))??;
    let size = size.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let most = (1_u64 << (7 * size_length)) - 1;
    let size = size & most;
    Some((id, (size != most).then_some(size), id_length + size_length))
}

/// The elements in an element's data; the last one may be cut off.
pub fn children(mut bytes: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    std::iter::from_fn(move || {
        let (id, size, length) = parse_head(bytes)?;
        let rest = &bytes[length..];
        let size =
            size.map_or(rest.len(), |size| usize::try_from(size).unwrap_or(usize::MAX).min(rest.len()));
        let (data, after) = rest.split_at(size);
        bytes = after;
        Some((id, data))
    })
}

/// The first element of an identifier in an element's data.
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

fn seek_places(seek_head: &[u8]) -> Vec<(u32, u64)> {
    let seeks = children(seek_head).filter(|(id, _)| *id == SEEK);
    let place = |data| Some((unsigned(child(data, SEEK_ID)?) as u32, unsigned(child(data, SEEK_POSITION)?)));
    seeks.filter_map(|(_, data)| place(data)).collect()
}
