//! What is odd about a recording, or missing from it.

use super::findings::Findings;
use super::inspection::Inspection;
use super::scan;
use super::scanned_track::ScannedTrack;
use super::unreadable;
use crate::container::integrity;
use crate::error::Result;
use crate::gst::{TrackKind, is_bare_video};
use crate::media::{ASSUMED_RATE, INSIDE_PHOTO, Warning};

/// Collects the warnings that do not depend on the times of the report.
pub fn collect(inspection: &Inspection<'_>, findings: &Findings<'_>) -> Result<Vec<Warning>> {
    let mut warnings = Vec::new();
    if inspection.within.is_some() {
        warnings.push(Warning::new(
            INSIDE_PHOTO,
            "This is a photo; the recording that is kept inside it is used.",
        ));
    }
    warnings.extend(findings.index.warning.clone());
    let has_no_rate = |track: &ScannedTrack| track.declared_rate().is_none();
    if is_bare_video(inspection.container) && findings.tracks.iter().all(has_no_rate) {
        warnings.push(Warning::new(
            ASSUMED_RATE,
            "This is a bare video stream that does not say its frame rate; 25 frames per second are assumed.",
        ));
    }
    warnings.extend(missing_kind(inspection, findings)?);
    let has_damaged_pages = inspection.container == "ogg"
        && integrity::ogg_is_damaged(
            inspection.source.as_ref(),
            scan::max_read_bytes(inspection.source.size_bytes()),
            inspection.ctx,
        )?;
    if findings.scan.error.is_some() || has_damaged_pages {
        warnings.push(Warning::new("damaged", "The file is damaged; what can be read of it is used."));
    }
    Ok(warnings)
}

/// The warning that the file has tracks of the kind that is not used, but none that can be read.
fn missing_kind(inspection: &Inspection<'_>, findings: &Findings<'_>) -> Result<Option<Warning>> {
    let chosen = findings.chosen;
    let (kind, candidates) = match (&chosen.video, &chosen.audio) {
        (None, _) => (TrackKind::Video, &findings.candidates.videos),
        (_, None) => (TrackKind::Audio, &findings.candidates.audios),
        _ => return Ok(None),
    };
    Ok(match candidates.first() {
        Some(track) => {
            let label = track.codec_label.as_deref();
            Some(unreadable::warning(kind, chosen.failure.as_ref(), label))
        }
        None => {
            let skipped = match unreadable::skipped_codec(kind, findings.tracks, &findings.index.movie) {
                None => unreadable::skipped_stream(kind, inspection)?,
                found => found,
            };
            skipped.map(|label| unreadable::warning(kind, None, label.as_deref()))
        }
    })
}
