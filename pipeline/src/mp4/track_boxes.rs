//! The boxes of one track, for serving its samples.

use chalkstream_formats::boxes::{find, find_path, u32_at, walk};

use super::edit_list::Edit;
use super::movie::Movie;
use super::movie_index::MovieIndex;

/// The boxes of a track.
pub struct TrackBoxes<'a> {
    /// Content of its sample tables, `stbl`.
    pub stbl: &'a [u8],
    /// Ticks per second.
    pub timescale: u32,
    /// The edit list, if it presents one part of the track at its own speed.
    pub edit: Option<Edit>,
    /// Whether the edit list presents several parts of the track, or at another speed.
    pub is_edited: bool,
    /// Whether its samples are in this very file.
    pub is_self_contained: bool,
}

impl<'a> TrackBoxes<'a> {
    /// Finds the boxes of a track by its index among those of a handler, counted from 0.
    pub fn find(index: &'a MovieIndex, movie: &Movie, handler: &[u8; 4], track_index: u32) -> Option<Self> {
        let track = movie.nth_track(handler, track_index)?;
        let (_, trak) = walk(&index.bytes)
            .find(|(kind, content)| kind == b"trak" && track_id(content) == Some(track.id))?;
        let media = find(trak, b"mdia")?;
        let header = find(media, b"mdhd")?;
        let timescale = u32_at(header, if *header.first()? == 1 { 20 } else { 12 })?;
        let minf = find(media, b"minf")?;
        let list = find_path(trak, &[b"edts", b"elst"]);
        let is_edited = list.is_some_and(|list| {
            let has_entries = u32_at(list, 4).is_some_and(|count| count > 0);
            has_entries && (track.edit.is_none() || !is_at_normal_speed(list))
        });
        let references = find_path(minf, &[b"dinf", b"dref"]);
        // Flag 1 of the only entry. A missing box means the same.
        let is_self_contained = references
            .is_none_or(|list| u32_at(list, 4) == Some(1) && u32_at(list, 16).is_some_and(|f| f & 1 == 1));
        Some(Self { stbl: find(minf, b"stbl")?, timescale, edit: track.edit, is_edited, is_self_contained })
    }
}

fn track_id(trak: &[u8]) -> Option<u32> {
    let head = find(trak, b"tkhd")?;
    u32_at(head, if *head.first()? == 1 { 20 } else { 12 })
}

/// Whether every entry of an edit list plays at a speed of one, or is empty.
fn is_at_normal_speed(list: &[u8]) -> bool {
    let size = if list.first() == Some(&1) { 20 } else { 12 };
    list.get(8..).unwrap_or_default().chunks_exact(size).all(|entry| {
        let start_is_none = u32_at(entry, size - 8) == Some(u32::MAX);
        start_is_none || u32_at(entry, size - 4) == Some(0x1_0000)
    })
}
