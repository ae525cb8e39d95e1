//! The movie in an MP4's index, and the file changed so that the demuxer reads it completely.
//!
//! The index is read before the demuxer reads it. Everything in it is from the file and may lie.

use chalkstream_formats::boxes::find;

use super::duration::DeclaredDuration;
use super::movie_index::MovieIndex;
use super::patch::{Patch, patched};
use super::track::{MovieTrack, read_tracks};
use crate::container::track_codec::Codec;
use crate::error::Result;
use crate::source::Source;

/// The tracks of a file, in its order, and the patches that the demuxer needs.
#[derive(Clone, Debug, Default)]
pub struct Movie {
    /// The tracks.
    pub tracks: Vec<MovieTrack>,
    /// The declared duration of the movie.
    duration: Option<DeclaredDuration>,
    /// Whether samples are in fragments.
    is_fragmented: bool,
    /// Patches without which the index is unreadable.
    repairs: Vec<Patch>,
    /// Patches without which the demuxer leaves out tracks or their ends.
    unhide_patches: Vec<Patch>,
}

impl Movie {
    /// Reads the movie.
    pub fn parse(index: &MovieIndex) -> Self {
        let duration = find(&index.bytes, b"mvhd")
            .and_then(|header| DeclaredDuration::read(header, index.offset_of(header)));
        let is_fragmented = find(&index.bytes, b"mvex").is_some();
        let tracks = read_tracks(index, is_fragmented);
        let mut repairs = index.repairs();
        let mut unhide_patches = Vec::new();
        // Sample tables take precedence over headers. The demuxer refuses a movie of thousands of
        // hours, and leaves out samples beyond the end that a header declares.
        let longest_ns = tracks.iter().filter_map(|track| track.media_ns().max(track.presented_ns())).max();
        let mut movie_ns = duration.and_then(|duration| duration.declared_ns);
        if let (Some(duration), Some(longest_ns)) = (duration, longest_ns) {
            if duration.is_absurd(longest_ns) {
                repairs.push(duration.patch_with(longest_ns));
                movie_ns = Some(longest_ns);
            } else if !is_fragmented && duration.is_far_from(longest_ns) {
                unhide_patches.push(duration.patch_with(longest_ns));
                movie_ns = Some(longest_ns);
            }
        }
        let durations = tracks.iter().filter_map(|track| Some((track.duration?, track.samples_end_ns?)));
        for (duration, samples_end_ns) in durations {
            if duration.is_far_from(samples_end_ns) && duration.can_hold(samples_end_ns) {
                unhide_patches.push(duration.patch_with(samples_end_ns));
            }
        }
        unhide_patches.extend(unhide_short_tracks(&tracks, movie_ns.unwrap_or(0)));
        Self { tracks, duration, is_fragmented, repairs, unhide_patches }
    }

    /// The codecs of all tracks of video and audio, in the order of the file.
    pub fn codecs(&self) -> impl Iterator<Item = Codec> {
        self.tracks.iter().filter_map(|track| track.codec.clone())
    }

    /// The track with an index among those of a handler, counted from 0.
    pub fn nth_track(&self, handler: &[u8; 4], index: u32) -> Option<&MovieTrack> {
        self.tracks.iter().filter(|track| &track.handler == handler).nth(index as usize)
    }

    /// Returns the file as its demuxer can read it, and whether it was unreadable before.
    pub fn repaired(&self, source: Source) -> (Source, bool) {
        let patches = [&self.repairs[..], &self.unhide_patches].concat();
        if patches.is_empty() {
            return (source, false);
        }
        (patched(source, patches), !self.repairs.is_empty())
    }

    /// Returns the file with only one of its tracks, and that without its edit list: the other
    /// boxes become `free`.
    ///
    /// The demuxer then reads no byte of the other tracks. It also cannot end the track early: it
    /// compares media time with the movie's duration, and so leaves out the end of a recording that
    /// was trimmed by an edit list.
    pub fn isolate_track(&self, source: Source, id: u32) -> Source {
        let free = |offset: u64| (offset, b"free".to_vec());
        let others = self.tracks.iter().filter(|t| t.id != id).map(|t| free(t.kind_offset));
        let own = self.tracks.iter().filter(|t| t.id == id).filter_map(|t| t.edits_offset).map(free);
        // Of two patches at the same offset, the later one wins.
        let repairs = self.repairs.iter().cloned();
        let patches = repairs.chain(others).chain(own).chain(self.extend_durations(id)).collect();
        patched(source, patches)
    }

    /// Patches that declare the movie and one track a second longer than twice the track.
    ///
    /// The demuxer drops what is presented, in media time, after either duration: the ends of
    /// recordings trimmed by an edit list, and last frames that are presented later than decoded.
    /// Reordering moves a frame by less than the duration of all frames, but at 1/4 frame/s and
    /// five frames by nearly that. Both durations are patched alike, because the demuxer takes a
    /// track of less than a fifth of the movie for a thumbnail.
    fn extend_durations(&self, id: u32) -> Vec<Patch> {
        let Some(track) = self.tracks.iter().find(|t| t.id == id) else { return Vec::new() };
        let durations = track.duration.iter().chain(&self.duration);
        // No header knows the duration of fragments. The demuxer finds it if none is declared.
        if self.is_fragmented && track.samples_end_ns.is_none() {
            return durations.map(DeclaredDuration::patch_with_none).collect();
        }
        let Some(media_ns) = track.media_ns() else { return Vec::new() };
        let ns = media_ns.saturating_mul(2).saturating_add(1_000_000_000);
        durations.map(|duration| duration.patch_with(ns)).collect()
    }
}

/// Patches that keep short tracks from being left out.
///
/// The demuxer takes a track of less than a fifth of the movie for a preview. If no track of a kind
/// is longer, all are declared as a quarter of the movie: a still frame under a lesson's audio
/// lasts as little as 10 ms.
fn unhide_short_tracks(tracks: &[MovieTrack], movie_ns: u64) -> Vec<Patch> {
    let quarter_ns = movie_ns / 4;
    let is_short = |track: &MovieTrack| track.media_ns().is_some_and(|ns| (1..quarter_ns).contains(&ns));
    let is_media = |track: &MovieTrack| matches!(&track.handler, b"vide" | b"soun");
    let has_longer = |kind: [u8; 4]| tracks.iter().any(|track| track.handler == kind && !is_short(track));
    tracks
        .iter()
        .filter(|track| is_media(track) && !has_longer(track.handler))
        .filter_map(|track| track.duration)
        .filter(|duration| duration.can_hold(quarter_ns))
        .map(|duration| duration.patch_with(quarter_ns))
        .collect()
}

/// Opens an MP4 with only the wanted track. Returns its new index among those of its kind, and the
/// track. If the track is not found, the file keeps all tracks.
pub fn open_track(
    source: Source,
    handler: &[u8; 4],
    index: u32,
) -> Result<(Source, u32, Option<MovieTrack>)> {
    let movie = Movie::parse(&MovieIndex::read(source.as_ref())?);
    Ok(match movie.nth_track(handler, index) {
        Some(track) => (movie.isolate_track(source, track.id), 0, Some(track.clone())),
        None => (movie.repaired(source).0, index, None),
    })
}
