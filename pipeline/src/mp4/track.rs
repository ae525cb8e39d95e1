//! A track in the index of an MP4.

use chalkstream_formats::boxes::{find, find_path, split, u32_at, walk};

use super::duration::{self, DeclaredDuration, timescale};
use super::edit_list::{Edit, EditList, TrackTiming};
use super::matrix::{self, Matrix};
use super::movie_index::MovieIndex;
use crate::container::track_codec::Codec;

/// A track as its boxes describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovieTrack {
    /// Number of the track in the file.
    pub id: u32,
    /// Handler: `vide`, `soun` or another one.
    pub handler: [u8; 4],
    /// Clockwise turn that makes frames upright, after mirroring.
    pub rotation_degrees: u16,
    /// Whether frames are mirrored left to right first.
    pub mirrored: bool,
    /// The edit list, if it presents one part of the track at its own speed.
    pub edit: Option<Edit>,
    /// The edit list; `None` if there is none, or if it is implausible.
    pub edits: Option<EditList>,
    /// Whether samples of video use their full range, if declared.
    pub full_range: Option<bool>,
    /// The codec, by the sample description.
    pub codec: Option<Codec>,
    /// End of the samples by the sample tables, in ns; `None` if they are not all in the index.
    pub(super) samples_end_ns: Option<u64>,
    /// The declared duration of the media.
    pub(super) duration: Option<DeclaredDuration>,
    /// Offset of the type of the `trak` box in the file.
    pub(super) kind_offset: u64,
    /// Offset of the type of the `edts` box in the file.
    pub(super) edits_offset: Option<u64>,
}

impl MovieTrack {
    /// Whether the track has samples, by its sample tables. In fragments it may have some.
    pub fn has_samples(&self) -> bool {
        self.samples_end_ns.is_none_or(|ns| ns > 0)
    }

    /// Duration of the media, in ns, by its samples or else by its header; `None` if neither has
    /// it.
    pub fn media_ns(&self) -> Option<u64> {
        self.samples_end_ns.or(self.duration.and_then(|duration| duration.declared_ns))
    }

    /// Presented duration by samples and edit list, in ns; `None` if the samples are not in the
    /// index.
    pub fn presented_ns(&self) -> Option<u64> {
        let media_ns = i64::try_from(self.samples_end_ns?).ok()?;
        let presented = self.edits.as_ref().map_or(media_ns, |edits| edits.end_ns(media_ns));
        u64::try_from(presented).ok()
    }
}

/// Reads the tracks of an index.
pub(super) fn read_tracks(index: &MovieIndex, is_fragmented: bool) -> Vec<MovieTrack> {
    let header = find(&index.bytes, b"mvhd");
    let movie_timescale = header.and_then(timescale);
    let movie_matrix = header.map_or(matrix::UPRIGHT, matrix::read_movie_matrix);
    let boxes = walk(&index.bytes).filter(|(kind, _)| kind == b"trak");
    boxes
        .filter_map(|(_, content)| read_track(index, content, movie_timescale, movie_matrix))
        .map(|track| MovieTrack { samples_end_ns: track.samples_end_ns.filter(|_| !is_fragmented), ..track })
        .collect()
}

fn read_track(
    index: &MovieIndex,
    content: &[u8],
    movie_timescale: Option<u32>,
    movie_matrix: Matrix,
) -> Option<MovieTrack> {
    let header = find(content, b"tkhd")?;
    // Version 1 has times of eight bytes.
    let (id, matrix_at) =
        if *header.first()? == 1 { (u32_at(header, 20)?, 52) } else { (u32_at(header, 12)?, 40) };
    let track_matrix = matrix::read_matrix(header, matrix_at)?;
    let (rotation_degrees, mirrored) = matrix::rotation(matrix::compose(track_matrix, movie_matrix));
    let media = find(content, b"mdia")?;
    let handler = find(media, b"hdlr")?.get(8..12)?.try_into().ok()?;
    let media_header = find(media, b"mdhd")?;
    let duration = DeclaredDuration::read(media_header, index.offset_of(media_header));
    let media_timescale = timescale(media_header)?;
    let tables = find_path(media, &[b"minf", b"stbl"]);
    let samples_end_ns = tables.and_then(|stbl| duration::samples_end_ns(stbl, media_timescale));
    let edits_box = find(content, b"edts");
    let edits = edits_box.and_then(|edits| find(edits, b"elst")).zip(movie_timescale);
    let edits = edits.and_then(|(list, movie_timescale)| {
        let timing = TrackTiming {
            movie_timescale,
            media_timescale,
            media_end_ns: samples_end_ns.and_then(|ns| i64::try_from(ns).ok()),
            header_ns: duration::track_header_ns(header, movie_timescale),
            media_header_ns: duration.and_then(|declared| i64::try_from(declared.declared_ns?).ok()),
        };
        EditList::parse(list, timing)
    });
    let descriptions = tables.and_then(|stbl| find(stbl, b"stsd")).and_then(|list| list.get(8..));
    // The type of a box is the four bytes before its content.
    let kind_offset = |content: &[u8]| index.offset_of(content) - 4;
    Some(MovieTrack {
        id,
        handler,
        rotation_degrees,
        mirrored,
        edit: edits.as_ref().and_then(EditList::single),
        edits,
        full_range: descriptions.and_then(full_range),
        codec: descriptions.and_then(|entries| Codec::from_sample_entry(entries, handler)),
        samples_end_ns,
        duration,
        kind_offset: kind_offset(content),
        edits_offset: edits_box.map(kind_offset),
    })
}

/// The range in the colour box of the first sample description, which the demuxer does not read.
fn full_range(descriptions: &[u8]) -> Option<bool> {
    let (_, entry, _) = split(descriptions)?;
    let colour = find(entry.get(78..)?, b"colr")?;
    (colour.starts_with(b"nclx")).then_some(colour.get(10)? >> 7 == 1)
}
