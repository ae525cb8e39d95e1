//! Third stage: what the container knows better than its demuxer about the tracks of the scan.

use super::inspection::Inspection;
use super::mp4_index::Mp4Index;
use super::scan::{self, Scan};
use super::scanned_track::{MAX_TIMES, ScannedTrack};
use crate::container::{fragment_tail, matroska_orientation};
use crate::error::{Error, ErrorKind, Result};
use crate::gst::{TrackCodecs, has_regular_frames, is_bare_video};
use crate::limits::MAX_FULL_SCAN_BYTES;
use crate::media::Rational;
use crate::mp4::sample_times;
use crate::mp4::track::MovieTrack;
use crate::source::Source;

/// Frame rate of a bare video stream that does not state one: most such streams are from
/// surveillance cameras.
const DEFAULT_BARE_RATE: Rational = Rational::new(25, 1);

/// Returns the tracks of a scan with times, codecs and orientations from the container.
pub fn refine(inspection: &Inspection<'_>, index: &Mp4Index, scan: &mut Scan) -> Result<Vec<ScannedTrack>> {
    let mut tracks = scan.media_tracks();
    set_even_times(inspection, scan, &mut tracks);
    for track in &mut tracks {
        refine_from_index(inspection, index, track)?;
    }
    label_codecs(inspection, index, &mut tracks)?;
    if inspection.container == "matroska" {
        let turns = matroska_orientation::turns(inspection.source.as_ref())?;
        for track in tracks.iter_mut().filter(|track| track.is_video) {
            track.container_turn = turns.get(track.index as usize).copied().unwrap_or_default();
        }
    }
    if tracks.len() as u32 > inspection.request.limits.max_tracks {
        return Err(Error::new(
            ErrorKind::LimitExceeded,
            "too_many_tracks",
            "The file has more tracks than a recording can have.",
        ));
    }
    Ok(tracks)
}

/// Gives times to the frames of containers that have none, and a length to a bare stream.
fn set_even_times(inspection: &Inspection<'_>, scan: &mut Scan, tracks: &mut [ScannedTrack]) {
    if !has_regular_frames(inspection.container) {
        return;
    }
    for track in tracks.iter_mut().filter(|track| track.is_video) {
        let rate = track.declared_rate().unwrap_or(DEFAULT_BARE_RATE);
        let length_ns = track.set_even_times(rate, inspection.source.size_bytes(), scan.is_complete);
        scan.declared_ns = length_ns.filter(|_| is_bare_video(inspection.container)).or(scan.declared_ns);
    }
}

/// Corrects a track by the index of an MP4: its number among its kind, its orientation, and its
/// times.
fn refine_from_index(inspection: &Inspection<'_>, index: &Mp4Index, track: &mut ScannedTrack) -> Result<()> {
    let listed = &index.movie.tracks;
    let Some(own) = listed.iter().find(|t| Some(t.id) == track.track_id) else { return Ok(()) };
    let before = listed.iter().take_while(|t| t.id != own.id);
    track.index = before.filter(|t| t.handler == own.handler).count() as u32;
    let flip = if own.mirrored { "flip-" } else { "" };
    track.orientation_tag = Some(format!("{flip}rotate-{}", own.rotation_degrees));
    let alone = match scan_from_tables(inspection, index, own) {
        Some(scan) => scan,
        None => scan_alone(inspection, index, own)?,
    };
    if let Some(media) = alone.track(track.track_id) {
        track.replace_times(media, alone.is_complete, own.edits.as_ref());
    }
    Ok(())
}

/// The scan of a track by its sample tables. Only for a large file: it is not read to its end, but
/// its tables say where that is.
fn scan_from_tables(inspection: &Inspection<'_>, index: &Mp4Index, track: &MovieTrack) -> Option<Scan> {
    let size_bytes = inspection.source.size_bytes();
    let table = index.index.as_ref().filter(|_| size_bytes > MAX_FULL_SCAN_BYTES)?;
    let times = sample_times::sample_times(table, &index.movie, track, size_bytes, MAX_TIMES)?;
    Some(Scan::from_sample_times(Some(track.id), times))
}

/// Scans one track without its edit list.
fn scan_alone(inspection: &Inspection<'_>, index: &Mp4Index, track: &MovieTrack) -> Result<Scan> {
    let source = &inspection.source;
    let scan_track = |file: Source, max_bytes| {
        let alone = index.movie.isolate_track(file, track.id);
        scan::scan_track(alone, max_bytes, inspection.clock, inspection.ctx)
    };
    let mut scan = scan_track(source.clone(), scan::max_read_bytes(source.size_bytes()))?;
    if !scan.is_complete
        && let Some(view) = fragment_tail::sparse_view(source)?
    {
        scan.extend_ends(&scan_track(view, u64::MAX)?);
    }
    Ok(scan)
}

/// Names the codecs, and corrects the caps of those that the demuxer does not know.
fn label_codecs(inspection: &Inspection<'_>, index: &Mp4Index, tracks: &mut [ScannedTrack]) -> Result<()> {
    let codecs = match inspection.container {
        "mp4" => index.movie.codecs().collect(),
        container => TrackCodecs::read(inspection.source.as_ref(), container)?,
    };
    for track in tracks {
        let Some(caps) = &track.caps else { continue };
        track.codec_label = codecs.label(caps, track.index as usize);
        track.caps = codecs.corrected_caps(caps, track.index as usize).or(track.caps.take());
    }
    Ok(())
}
