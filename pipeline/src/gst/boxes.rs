//! The boxes of an MP4's index, read before and beside the demuxer. Everything here is from the file and may lie: only
//! lengths that fit into what is there are followed.

use std::io;
use std::sync::Arc;

use super::length::Length;
use super::matrix;
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

/// The first box: its type, content, and what follows it.
pub fn split(boxes: &[u8]) -> Option<([u8; 4], &[u8], &[u8])> {
    let head = boxes.get(..8)?;
    let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let kind = [head[4], head[5], head[6], head[7]];
    let size = if size == 0 { boxes.len() } else { size };
    if size < 8 || size > boxes.len() {
        return None;
    }
    Some((kind, &boxes[8..size], &boxes[size..]))
}

/// The content of the first box of a type.
fn find<'a>(boxes: &'a [u8], wanted: &[u8; 4]) -> Option<&'a [u8]> {
    let mut rest = boxes;
    while let Some((kind, content, next)) = split(rest) {
        if &kind == wanted {
            return Some(content);
        }
        rest = next;
    }
    None
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
    /// What its edit list presents, where that is one part of the track.
    pub edit: Option<Edit>,
    /// Whether samples of its picture use their full range, where it says so.
    pub full_range: Option<bool>,
    /// How long all that its edit list presents is, in ns; none where there is no list, or where it says «all».
    edited_ns: Option<u64>,
    /// Where the length of its media is told.
    length: Option<Length>,
    /// Where the `trak` box's type stands in the file.
    kind_offset: u64,
    /// Where the `edts` box's type stands, if we apply the edit ourselves.
    edits_offset: Option<u64>,
}

/// The part of a track that is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Media time presented first, in ns.
    pub start_ns: i64,
    /// When it is presented, in ns.
    pub delay_ns: i64,
    /// How much is presented, in ns; none for all.
    pub length_ns: Option<i64>,
}

impl Edit {
    /// Presentation time of a media time, in ns; negative or past the end for what is not presented.
    pub fn presented(&self, media_ns: i64) -> i64 {
        media_ns.saturating_sub(self.start_ns).saturating_add(self.delay_ns)
    }

    /// First and last presentation time, in ns.
    pub fn bounds(&self) -> (i64, i64) {
        (self.delay_ns, self.length_ns.map_or(i64::MAX, |length| self.delay_ns.saturating_add(length)))
    }
}

/// The tracks of a file, in its order, and what the demuxer is not to see.
#[derive(Clone, Debug, Default)]
pub struct Movie {
    /// The tracks.
    pub tracks: Vec<Track>,
    /// Where its length is told.
    length: Option<Length>,
    /// What makes the index readable, where it is not as it stands.
    repairs: Vec<Patch>,
    /// What keeps the demuxer from leaving short tracks out.
    unhidden: Vec<Patch>,
}

/// A day, in ns.
const DAY_NS: u64 = 86_400_000_000_000;

/// Bytes that stand in for the file's own.
pub(super) type Patch = (u64, Vec<u8>);

/// Reads the tracks.
pub fn movie(index: &Index) -> Movie {
    let place = |part: &[u8]| index.offset + (part.as_ptr() as usize - index.bytes.as_ptr() as usize) as u64;
    let length = find(&index.bytes, b"mvhd").and_then(|head| Length::read(head, place(head)));
    let tracks = tracks(index);
    let mut repairs = index.repairs();
    // A movie that is said to be thousands of hours long is refused by the demuxer, whatever its tracks say.
    let longest = tracks.iter().filter_map(Track::told_ns).max();
    let mut movie_ns = length.and_then(|length| length.told_ns);
    if let (Some(length), Some(longest)) = (length, longest)
        && movie_ns.is_none_or(|told| told > longest.saturating_mul(100).saturating_add(DAY_NS))
    {
        repairs.push(length.telling(longest));
        movie_ns = Some(longest);
    }
    let unhidden = unhidden(&tracks, movie_ns.unwrap_or(0));
    Movie { tracks, length, repairs, unhidden }
}

/// The demuxer takes a track of less than a fifth of the movie for a preview. The only picture or sound there is is told
/// to be a quarter; a picture of less than a second may well be a cover.
fn unhidden(tracks: &[Track], movie_ns: u64) -> Vec<Patch> {
    let only = |track: &Track| tracks.iter().filter(|other| other.handler == track.handler).count() == 1;
    let least_ns = |track: &Track| match &track.handler {
        b"soun" => Some(1),
        b"vide" => Some(1_000_000_000),
        _ => None,
    };
    let quarter_ns = movie_ns / 4;
    tracks
        .iter()
        .filter(|track| only(track))
        .filter_map(|track| Some((track.length?, track.told_ns()?, least_ns(track)?)))
        .filter(|(_, told_ns, least_ns)| (*least_ns..quarter_ns).contains(told_ns))
        .filter(|(length, ..)| length.holds(quarter_ns))
        .map(|(length, ..)| length.telling(quarter_ns))
        .collect()
}

impl Track {
    /// How long the media of the track is said to be, in ns; none where that is not told.
    pub fn told_ns(&self) -> Option<u64> {
        self.length.and_then(|length| length.told_ns)
    }

    /// How long it is said to be presented, in ns.
    pub fn presented_ns(&self) -> Option<u64> {
        let one = self.edit.and_then(|edit| u64::try_from(edit.length_ns?.checked_add(edit.delay_ns)?).ok());
        // A list of several parts may show one twice; of a recording nobody does.
        let several = self.edited_ns.map(|ns| self.told_ns().map_or(ns, |told| told.min(ns)));
        one.or(several).or(self.told_ns())
    }
}

impl Movie {
    /// The file as its demuxer can read it, and whether that differs from how it stands.
    pub fn readable(&self, source: Source) -> (Source, bool) {
        let patches = [&self.repairs[..], &self.unhidden].concat();
        if patches.is_empty() {
            return (source, false);
        }
        (Arc::new(Patched { inner: source, patches }), !self.repairs.is_empty())
    }

    /// The lengths of the movie and of one track made twice and a second longer than the track is. The demuxer drops
    /// what is presented, in media time, after either: the ends of recordings trimmed by an edit list, and the last
    /// frames where they are presented later than decoded. Reordering moves a frame by no more than all frames
    /// last, which at 1/4 frame/s and five frames is nearly that. The demuxer takes a track of less than a fifth of
    /// the movie for a thumbnail.
    fn stretched(&self, id: u32) -> Vec<Patch> {
        let own = self.tracks.iter().find(|t| t.id == id).and_then(|t| t.length);
        let Some(told_ns) = own.and_then(|own| own.told_ns) else { return Vec::new() };
        let ns = told_ns.saturating_mul(2).saturating_add(1_000_000_000);
        own.iter().chain(&self.length).map(|length| length.telling(ns)).collect()
    }
}

fn tracks(index: &Index) -> Vec<Track> {
    let mut found = Vec::new();
    let head = find(&index.bytes, b"mvhd");
    let (timescale, turned) = (head.and_then(timescale), head.map_or(matrix::UPRIGHT, matrix::of_movie));
    let mut rest = &index.bytes[..];
    while let Some((kind, content, next)) = split(rest) {
        if &kind == b"trak" {
            let at = index.bytes.len() - rest.len();
            if let Some(track) = track(content, index.offset + at as u64 + 4, timescale, turned) {
                found.push(track);
            }
        }
        rest = next;
    }
    found
}

/// A big-endian word at a place.
pub fn word(content: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(content.get(at..at + 4)?.try_into().ok()?))
}

/// Ticks per second in `mvhd` or `mdhd`, whose times have eight bytes in version 1.
pub(super) fn timescale(head: &[u8]) -> Option<u32> {
    word(head, if *head.first()? == 1 { 20 } else { 12 }).filter(|&ticks| ticks > 0)
}

/// How long all parts of an edit list are, in ns; none where one is as long as there is something to present.
fn edited_ns(list: &[u8], movie: u32) -> Option<u64> {
    let wide = *list.first()? == 1;
    let entries = list.get(8..)?.chunks_exact(if wide { 20 } else { 12 }).take(word(list, 4)? as usize);
    let length = |entry: &[u8]| {
        Some(if wide {
            u64::from(word(entry, 0)?) << 32 | u64::from(word(entry, 4)?)
        } else {
            word(entry, 0)?.into()
        })
    };
    let ticks = entries
        .map(|entry| length(entry).filter(|&ticks| ticks > 0))
        .try_fold(0, |sum: u64, ticks| sum.checked_add(ticks?))?;
    u64::try_from(u128::from(ticks) * 1_000_000_000 / u128::from(movie)).ok().filter(|&ns| ns > 0)
}

/// An edit list that presents one part of the track, perhaps later than at once. Others are left to the demuxer.
fn edit(list: &[u8], movie: u32, media: u32) -> Option<Edit> {
    let wide = *list.first()? == 1;
    let (size, count) = (if wide { 20 } else { 12 }, word(list, 4)? as usize);
    let ns =
        |value: i64, ticks: u32| i64::try_from(i128::from(value) * 1_000_000_000 / i128::from(ticks)).ok();
    let mut delay_ns = 0;
    for place in 0..count.min(64) {
        let entry = list.get(8 + place * size..8 + (place + 1) * size)?;
        let long = |at: usize| Some(i64::from(word(entry, at)?) << 32 | i64::from(word(entry, at + 4)?));
        let (length, start) = if wide {
            (long(0)?, long(8)?)
        } else {
            (i64::from(word(entry, 0)?), i64::from(word(entry, 4)? as i32))
        };
        if start < 0 {
            delay_ns = ns(length, movie)?.checked_add(delay_ns)?;
            continue;
        }
        let last = place + 1 == count;
        let length_ns = if length == 0 { None } else { Some(ns(length, movie)?) };
        return last.then_some(Edit { start_ns: ns(start, media)?, delay_ns, length_ns });
    }
    None
}

fn track(content: &[u8], kind_offset: u64, movie: Option<u32>, turned: matrix::Matrix) -> Option<Track> {
    let head = find(content, b"tkhd")?;
    // Version 1 has times of eight bytes.
    let wide = *head.first()? == 1;
    let (id, at) = if wide { (word(head, 20)?, 52) } else { (word(head, 12)?, 40) };
    let (rotation_degrees, mirrored) = matrix::turn(matrix::both(matrix::of(head, at)?, turned));
    let media = find(content, b"mdia")?;
    let handler = find(media, b"hdlr")?.get(8..12)?.try_into().ok()?;
    let edits = find(content, b"edts");
    let list = edits.and_then(|edits| find(edits, b"elst"));
    let edit = list.and_then(|list| edit(list, movie?, timescale(find(media, b"mdhd")?)?));
    let edited_ns = list.and_then(|list| edited_ns(list, movie?));
    let place = |part: &[u8]| kind_offset + 4 + (part.as_ptr() as usize - content.as_ptr() as usize) as u64;
    // A box's content begins four bytes after its type.
    let edits_offset = edits.filter(|_| edit.is_some()).map(|edits| place(edits) - 4);
    let length = find(media, b"mdhd").and_then(|head| Length::read(head, place(head)));
    let full_range = full_range(media);
    Some(Track {
        id,
        handler,
        rotation_degrees,
        mirrored,
        edit,
        full_range,
        edited_ns,
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

/// The file with one of its tracks only, and that without its edit list if it has an [`Edit`]: the others' boxes are
/// called `free`. The demuxer then reads no byte of the other tracks. And it cannot end the track early: it compares
/// media time with the movie's length, so of a recording trimmed by an edit list it leaves out the end.
pub fn only(source: Source, movie: &Movie, id: u32) -> Source {
    let free = |at: u64| (at, b"free".to_vec());
    let others = movie.tracks.iter().filter(|t| t.id != id).map(|t| free(t.kind_offset));
    let own = movie.tracks.iter().filter(|t| t.id == id).filter_map(|t| t.edits_offset).map(free);
    // The later of two for the same place stands.
    let repairs = movie.repairs.iter().cloned();
    let patches = repairs.chain(others).chain(own).chain(movie.stretched(id)).collect();
    Arc::new(Patched { inner: source, patches })
}

/// The `place`th track of a handler.
pub fn nth<'a>(tracks: &'a [Track], handler: &[u8; 4], place: u32) -> Option<&'a Track> {
    tracks.iter().filter(|t| &t.handler == handler).nth(place as usize)
}

/// A source in which some bytes read differently.
struct Patched {
    inner: Source,
    patches: Vec<Patch>,
}

impl ReadAt for Patched {
    fn size_bytes(&self) -> u64 {
        self.inner.size_bytes()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read_at(offset, buf)?;
        for (at, bytes) in &self.patches {
            for (place, byte) in bytes.iter().enumerate() {
                let at = at + place as u64;
                if at >= offset && at < offset + read as u64 {
                    buf[(at - offset) as usize] = *byte;
                }
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_lists_of_one_part_are_understood() {
        let list = |entries: &[(u32, i32)]| {
            let mut bytes = vec![0, 0, 0, 0];
            bytes.extend((entries.len() as u32).to_be_bytes());
            for (length, start) in entries {
                bytes.extend(length.to_be_bytes());
                bytes.extend(start.to_be_bytes());
                bytes.extend(0x1_0000_u32.to_be_bytes());
            }
            edit(&bytes, 600, 1000)
        };
        let second = 1_000_000_000;
        let plain = Edit { start_ns: 4 * second, delay_ns: 0, length_ns: Some(10 * second) };
        assert_eq!(list(&[(6000, 4000)]), Some(plain));
        assert_eq!(list(&[(300, -1), (6000, 4000)]), Some(Edit { delay_ns: second / 2, ..plain }));
        assert_eq!(list(&[(0, 0)]), Some(Edit { start_ns: 0, delay_ns: 0, length_ns: None }));
        assert_eq!(list(&[(600, 0), (600, 2000)]), None);
        assert_eq!(plain.presented(5 * second), second);
        assert_eq!(edit(&[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], 600, 600), None);
    }

    #[test]
    fn edit_lists_of_centuries_are_not_believed() {
        // Version 1: lengths and times of eight bytes.
        let mut bytes = vec![1, 0, 0, 0, 0, 0, 0, 3];
        for (length, start) in [(i64::MAX / 1_000_000_000, -1_i64), (i64::MAX / 1_000_000_000, -1), (1, 0)] {
            bytes.extend([&length.to_be_bytes()[..], &start.to_be_bytes(), &[0, 1, 0, 0]].concat());
        }
        assert_eq!(edit(&bytes, 1, 1000), None);
        bytes[8..16].fill(0xff);
        assert_eq!(edited_ns(&bytes, 1), None);
    }
}
