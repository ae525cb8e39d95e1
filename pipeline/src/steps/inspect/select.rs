//! Fifth stage: the first video and the first audio candidate that decode.

use super::activity;
use super::choose::{self, Candidates, Ranking};
use super::inspection::Inspection;
use super::probe::{self, AudioProbe, VideoProbe};
use super::scan::Scan;
use super::scanned_track::ScannedTrack;
use super::unreadable::{defer_unless_fatal, nothing_playable, refusal};
use crate::error::{Error, Result};
use crate::gst::TrackKind;

/// The tracks that are used. One of the two is there.
pub struct ChosenTracks<'a> {
    /// The video track, and what its frames are.
    pub video: Option<(&'a ScannedTrack, VideoProbe)>,
    /// The audio track, and what its samples are.
    pub audio: Option<(&'a ScannedTrack, AudioProbe)>,
    /// The order of the audio candidates.
    pub audio_ranking: Ranking<'a>,
    /// Why the first candidate that was passed over cannot be decoded.
    pub failure: Option<Error>,
}

/// Decodes candidates in order until one of each kind succeeds; an error if none does.
pub fn first_decodable<'a>(
    inspection: &Inspection<'_>,
    candidates: &Candidates<'a>,
    scan: &Scan,
) -> Result<ChosenTracks<'a>> {
    let mut failure = None;
    let videos = &candidates.videos;
    let video = first(videos, TrackKind::Video, &mut failure, |track| probe::video(inspection, track))?;
    let audio_ranking = rank_audio(inspection, &candidates.audios, scan)?;
    let ranked = &audio_ranking.tracks;
    let audio = first(ranked, TrackKind::Audio, &mut failure, |track| probe::audio(inspection, track))?;
    if video.is_none() && audio.is_none() {
        return Err(failure.unwrap_or_else(|| nothing_playable(None)));
    }
    Ok(ChosenTracks { video, audio, audio_ranking, failure })
}

/// The first track that `probe` can decode.
fn first<'a, T>(
    tracks: &[&'a ScannedTrack],
    kind: TrackKind,
    failure: &mut Option<Error>,
    probe: impl Fn(&ScannedTrack) -> Result<T>,
) -> Result<Option<(&'a ScannedTrack, T)>> {
    for &track in tracks {
        match probe(track) {
            Ok(probed) => return Ok(Some((track, probed))),
            Err(error) => {
                let refusal = refusal(kind, error, track.codec_label.as_deref());
                defer_unless_fatal(refusal, failure)?;
            }
        }
    }
    Ok(None)
}

/// Orders audio candidates by their speech. A single one is not measured.
fn rank_audio<'a>(
    inspection: &Inspection<'_>,
    tracks: &[&'a ScannedTrack],
    scan: &Scan,
) -> Result<Ranking<'a>> {
    let mut activity = Vec::new();
    if tracks.len() > 1 {
        let longest_ns = tracks.iter().map(|track| track.end_ns).max().unwrap_or(0);
        let declared_ns = scan.declared_ns.filter(|_| !scan.is_complete);
        let declared_ns = declared_ns.and_then(|ns| i64::try_from(ns).ok()).unwrap_or(0);
        activity = activity::measure(inspection, tracks, longest_ns.max(declared_ns))?;
    }
    Ok(choose::rank_by_speech(tracks, &activity))
}
