//! The boxes of an MP4's index, read before and beside the demuxer. Everything here is from the file and may lie: only
//! lengths that fit into what is there are followed.

use chalkstream_formats::boxes::{find, split, u32_at};

use super::duration::{DeclaredDuration, timescale};
use super::edit_list::TrackTiming;
pub use super::edit_list::{Edit, EditList};
use super::patch::{Patch, patched};
use super::{duration, matrix};
use crate::container::track_codec::Codec;
use crate::error::{Error, Result};
use crate::source::{ReadAt, Source, read_full};

/// Largest index read, in bytes. An index of six hours with many tracks is far below.
const LARGEST_INDEX: u64 = 96 << 20;
/// Most boxes on the top level. A fragmented recording has two a fragment.
const MOST_BOXES: usize = 400_000;

/// An MP4's index: the content of `moov`.
pub struct Index {
    /// Where the content begins in the file.
    pub offset: u64,
    /// The content.
    pub bytes: Vec<u8>,
    /// Where its box begins in the file, if the file ends inside it.
    cut_at: Option<u64>,
}

impl Index {
    /// What makes an index that the file ends inside readable: its box ends with the file, and what is left of the
    /// last track is free space. None if no track is whole.
    fn repairs(&self) -> Vec<Patch> {
        let Some(start) = self.cut_at else { return Vec::new() };
        let (mut rest, mut tracks) = (&self.bytes[..], 0);
        while let Some((kind, _, next)) = split(rest) {
            tracks += usize::from(&kind == b"trak");
            rest = next;
        }
        let Ok(size) = u32::try_from(self.bytes.len() + 8) else { return Vec::new() };
        let torn = self.bytes.len() - rest.len();
        let left = rest.len() as u32;
        if tracks == 0 || (1..8).contains(&left) {
            return Vec::new();
        }
        let mut patches = vec![(start, size.to_be_bytes().to_vec())];
        if left > 0 {
            let free = [&left.to_be_bytes()[..], b"free"].concat();
            patches.push((self.offset + torn as u64, free));
        }
        patches
    }

    /// Whether the file ends inside the index.
    pub fn is_cut(&self) -> bool {
        self.cut_at.is_some()
    }
}

/// Reads the index; a file without one, or with a part of one, is cut off.
pub fn read_index(source: &dyn ReadAt) -> Result<Index> {
    let end = source.size_bytes();
    let mut at = 0;
    for _ in 0..MOST_BOXES {
        let mut head = [0; 16];
        let read = read_full(source, at, &mut head)?;
        if read < 8 {
            break;
        }
        let word = |from: usize| {
            head[from..from + 4].iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte))
        };
        let (size, header) = match word(0) {
            0 => (end - at, 8),
            1 if read == 16 => (word(8) << 32 | word(12), 16),
            size => (size, 8),
        };
        if size < header {
            break;
        }
        if &head[4..8] == b"moov" {
            if size > LARGEST_INDEX {
                return Err(Error::input("decode_failed", "The file is damaged, so it can't be played."));
            }
            let offset = at + header;
            let mut bytes = vec![0; (size - header).min(end.saturating_sub(offset)) as usize];
            let read = read_full(source, offset, &mut bytes)?;
            bytes.truncate(read);
            let whole = read as u64 == size - header;
            let index = Index { offset, bytes, cut_at: (!whole && header == 8).then_some(at) };
            // Of an index that ends early the whole tracks are used.
            return if whole || !index.repairs().is_empty() { Ok(index) } else { Err(cut_off()) };
        }
        at = match at.checked_add(size) {
            Some(next) if next < end => next,
            _ => break,
        };
    }
    Err(cut_off())
}

fn cut_off() -> Error {
    Error::input(
        "truncated_no_index",
        "The file is cut off: its index is missing, so it can't be played. Please upload it again, or copy it from \
         the camera again.",
    )
}

/// A track as the index has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// Its number in the file.
    pub id: u32,
    /// `vide`, `soun` or another handler.
    pub handler: [u8; 4],
    /// Clockwise turn that makes the picture upright, after mirroring.
    pub rotation_degrees: u16,
    /// Whether it is mirrored left to right first.
    pub mirrored: bool,
    /// What its edit list presents, where that is one part of the track at its own speed.
    pub edit: Option<Edit>,
    /// All that its edit list presents; `None` without a list to follow.
    pub edits: Option<EditList>,
    /// Whether samples of its picture use their full range, where it says so.
    pub full_range: Option<bool>,
    /// What its sample description says of its codec.
    pub codec: Option<Codec>,
    /// Where its samples end by its sample tables, in ns; `None` if they are not all in the index.
    samples_ns: Option<u64>,
    /// Where the length of its media is declared.
    length: Option<DeclaredDuration>,
    /// Where the `trak` box's type stands in the file.
    kind_offset: u64,
    /// Where the `edts` box's type stands: edits are applied behind the demuxer.
    edits_offset: Option<u64>,
}

/// The tracks of a file, in its order, and what the demuxer is not to see.
#[derive(Clone, Debug, Default)]
pub struct Movie {
    /// The tracks.
    pub tracks: Vec<Track>,
    /// Where its length is declared.
    length: Option<DeclaredDuration>,
    /// Whether its samples are in fragments.
    fragmented: bool,
    /// What makes the index readable, where it is not as it stands.
    repairs: Vec<Patch>,
    /// What keeps the demuxer from leaving out tracks, or their ends.
    unhidden: Vec<Patch>,
}

/// Reads the tracks.
pub fn read_movie(index: &Index) -> Movie {
    let place = |part: &[u8]| index.offset + (part.as_ptr() as usize - index.bytes.as_ptr() as usize) as u64;
    let length = find(&index.bytes, b"mvhd").and_then(|head| DeclaredDuration::read(head, place(head)));
    let fragmented = find(&index.bytes, b"mvex").is_some();
    let tracks = tracks(index, fragmented);
    let mut repairs = index.repairs();
    let mut unhidden = Vec::new();
    // What the headers say counts only where the sample tables do not say it. The demuxer refuses a movie of thousands
    // of hours, and leaves out what is past the end that a header claims.
    let longest = tracks.iter().filter_map(|track| track.media_ns().max(track.presented_ns())).max();
    let mut movie_ns = length.and_then(|length| length.declared_ns);
    if let (Some(length), Some(longest)) = (length, longest) {
        if length.is_absurd(longest) {
            repairs.push(length.declaring(longest));
            movie_ns = Some(longest);
        } else if !fragmented && length.is_far_from(longest) {
            unhidden.push(length.declaring(longest));
            movie_ns = Some(longest);
        }
    }
    for (length, samples_ns) in tracks.iter().filter_map(|track| Some((track.length?, track.samples_ns?))) {
        if length.is_far_from(samples_ns) && length.holds(samples_ns) {
            unhidden.push(length.declaring(samples_ns));
        }
    }
    unhidden.extend(previews(&tracks, movie_ns.unwrap_or(0)));
    Movie { tracks, length, fragmented, repairs, unhidden }
}

/// The demuxer leaves out a track of less than a fifth of the movie, which it takes for a preview. Where no track of a
/// kind is longer, all are declared to be a quarter of it: a still frame under a lesson's audio lasts as little as 10 ms.
fn previews(tracks: &[Track], movie_ns: u64) -> Vec<Patch> {
    let quarter_ns = movie_ns / 4;
    let is_short = |track: &Track| track.media_ns().is_some_and(|ns| (1..quarter_ns).contains(&ns));
    let is_media = |track: &Track| matches!(&track.handler, b"vide" | b"soun");
    let has_longer = |kind: [u8; 4]| tracks.iter().any(|track| track.handler == kind && !is_short(track));
    tracks
        .iter()
        .filter(|track| is_media(track) && !has_longer(track.handler))
        .filter_map(|track| track.length)
        .filter(|length| length.holds(quarter_ns))
        .map(|length| length.declaring(quarter_ns))
        .collect()
}

impl Track {
    /// Whether it has samples, by its sample tables; in fragments it may.
    pub fn has_samples(&self) -> bool {
        self.samples_ns.is_none_or(|ns| ns > 0)
    }

    /// How long the media of the track is, in ns: by its samples, else by its header; `None` if neither says it.
    pub fn media_ns(&self) -> Option<u64> {
        self.samples_ns.or(self.length.and_then(|length| length.declared_ns))
    }

    /// How long it is presented by its samples and its edit list, in ns; `None` if its samples are not in the index.
    pub fn presented_ns(&self) -> Option<u64> {
        let media_ns = i64::try_from(self.samples_ns?).ok()?;
        let presented = self.edits.as_ref().map_or(media_ns, |edits| edits.end_ns(media_ns));
        u64::try_from(presented).ok()
    }
}

impl Movie {
    /// The codecs of all tracks of video and audio, in the order of the file.
    pub fn codecs(&self) -> impl Iterator<Item = Codec> {
        self.tracks.iter().filter_map(|track| track.codec.clone())
    }

    /// The file as its demuxer can read it, and whether that differs from how it stands.
    pub fn repaired(&self, source: Source) -> (Source, bool) {
        let patches = [&self.repairs[..], &self.unhidden].concat();
        if patches.is_empty() {
            return (source, false);
        }
        (patched(source, patches), !self.repairs.is_empty())
    }

    /// The lengths of the movie and of one track made twice and a second longer than the track is. The demuxer drops
    /// what is presented, in media time, after either: the ends of recordings trimmed by an edit list, and the last
    /// frames where they are presented later than decoded. Reordering moves a frame by no more than all frames
    /// last, which at 1/4 frame/s and five frames is nearly that. The demuxer takes a track of less than a fifth of
    /// the movie for a thumbnail.
    fn extend_durations(&self, id: u32) -> Vec<Patch> {
        let Some(track) = self.tracks.iter().find(|t| t.id == id) else { return Vec::new() };
        let own = track.length;
        // Of fragments no header knows the length; the demuxer finds it where none claims to.
        if self.fragmented && track.samples_ns.is_none() {
            return own.iter().chain(&self.length).map(DeclaredDuration::undeclared).collect();
        }
        let Some(declared_ns) = track.media_ns() else { return Vec::new() };
        let ns = declared_ns.saturating_mul(2).saturating_add(1_000_000_000);
        own.iter().chain(&self.length).map(|length| length.declaring(ns)).collect()
    }
}

fn tracks(index: &Index, fragmented: bool) -> Vec<Track> {
    let mut found = Vec::new();
    let head = find(&index.bytes, b"mvhd");
    let (timescale, turned) =
        (head.and_then(timescale), head.map_or(matrix::UPRIGHT, matrix::read_movie_matrix));
    let mut rest = &index.bytes[..];
    while let Some((kind, content, next)) = split(rest) {
        if &kind == b"trak" {
            let at = index.bytes.len() - rest.len();
            if let Some(mut track) = track(content, index.offset + at as u64 + 4, timescale, turned) {
                track.samples_ns = track.samples_ns.filter(|_| !fragmented);
                found.push(track);
            }
        }
        rest = next;
    }
    found
}

fn track(content: &[u8], kind_offset: u64, movie: Option<u32>, turned: matrix::Matrix) -> Option<Track> {
    let head = find(content, b"tkhd")?;
    // Version 1 has times of eight bytes.
    let wide = *head.first()? == 1;
    let (id, at) = if wide { (u32_at(head, 20)?, 52) } else { (u32_at(head, 12)?, 40) };
    let (rotation_degrees, mirrored) =
        matrix::rotation(matrix::compose(matrix::read_matrix(head, at)?, turned));
    let media = find(content, b"mdia")?;
    let handler = find(media, b"hdlr")?.get(8..12)?.try_into().ok()?;
    let place = |part: &[u8]| kind_offset + 4 + (part.as_ptr() as usize - content.as_ptr() as usize) as u64;
    let length = find(media, b"mdhd").and_then(|head| DeclaredDuration::read(head, place(head)));
    let media_timescale = timescale(find(media, b"mdhd")?)?;
    let samples_ns = find(media, b"minf")
        .and_then(|minf| find(minf, b"stbl"))
        .and_then(|stbl| duration::samples_ns(stbl, media_timescale));
    let header_ns = movie.and_then(|movie| duration::header_ns(head, movie));
    let edits_box = find(content, b"edts");
    let edits = edits_box.and_then(|edits| find(edits, b"elst")).and_then(|list| {
        let media_end_ns = samples_ns.and_then(|ns| i64::try_from(ns).ok());
        let media_header_ns =
            length.and_then(|length| length.declared_ns).and_then(|ns| i64::try_from(ns).ok());
        let movie_timescale = movie?;
        let facts =
            TrackTiming { movie_timescale, media_timescale, media_end_ns, header_ns, media_header_ns };
        EditList::read(list, facts)
    });
    // A box's content begins four bytes after its type.
    let edits_offset = edits_box.map(|edits| place(edits) - 4);
    let full_range = full_range(media);
    let codec = find(media, b"minf")
        .and_then(|minf| find(minf, b"stbl"))
        .and_then(|stbl| find(stbl, b"stsd"))
        .and_then(|list| Codec::from_sample_entry(list.get(8..)?, handler));
    Some(Track {
        id,
        handler,
        rotation_degrees,
        mirrored,
        edit: edits.as_ref().and_then(EditList::single),
        edits,
        full_range,
        codec,
        samples_ns,
        length,
        kind_offset,
        edits_offset,
    })
}

/// The last word of the colour box of the first picture's description, which the demuxer does not read.
fn full_range(media: &[u8]) -> Option<bool> {
    let descriptions = find(find(find(media, b"minf")?, b"stbl")?, b"stsd")?;
    let (_, entry, _) = split(descriptions.get(8..)?)?;
    let colours = find(entry.get(78..)?, b"colr")?;
    (colours.starts_with(b"nclx")).then_some(colours.get(10)? >> 7 == 1)
}

/// The file with one of its tracks only, and that without its edit list: the others' boxes are called `free`. The demuxer then reads no byte of the other tracks. And it cannot end the track early: it compares
/// media time with the movie's length, so of a recording trimmed by an edit list it leaves out the end.
pub fn isolate_track(source: Source, movie: &Movie, id: u32) -> Source {
    let free = |at: u64| (at, b"free".to_vec());
    let others = movie.tracks.iter().filter(|t| t.id != id).map(|t| free(t.kind_offset));
    let own = movie.tracks.iter().filter(|t| t.id == id).filter_map(|t| t.edits_offset).map(free);
    // The later of two for the same place stands.
    let repairs = movie.repairs.iter().cloned();
    let patches = repairs.chain(others).chain(own).chain(movie.extend_durations(id)).collect();
    patched(source, patches)
}

/// An MP4 with the wanted track only, which of its kind that then is, and what its index says of it.
pub fn open_track(source: Source, handler: &[u8; 4], place: u32) -> Result<(Source, u32, Option<Track>)> {
    let movie = read_movie(&read_index(source.as_ref())?);
    Ok(match nth_track(&movie.tracks, handler, place) {
        Some(track) => (isolate_track(source, &movie, track.id), 0, Some(track.clone())),
        None => (movie.repaired(source).0, place, None),
    })
}

/// The `place`th track of a handler.
pub fn nth_track<'a>(tracks: &'a [Track], handler: &[u8; 4], place: u32) -> Option<&'a Track> {
    tracks.iter().filter(|t| &t.handler == handler).nth(place as usize)
}
