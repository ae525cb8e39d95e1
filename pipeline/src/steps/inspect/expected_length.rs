//! Last stage: whether a recording is as long as its file says.

use super::findings::Findings;
use super::inspection::Inspection;
use crate::container::ending::Ending;
use crate::error::Result;
use crate::media::{MediaInfo, Warning, is_short};

/// Declared lengths above this are not those of recordings.
const MAX_PLAUSIBLE_MS: u64 = 7 * 86_400_000;

/// The warning that the end of the recording is missing; `None` if nothing says so.
pub fn shortfall(
    inspection: &Inspection<'_>,
    findings: &Findings<'_>,
    media: &MediaInfo,
) -> Result<Option<Warning>> {
    let ending = Ending::read(inspection.source.as_ref(), inspection.container)?;
    Ok(match expected_ms(findings, media, ending) {
        Some(expected_ms) if is_short(media.duration_ms, expected_ms) => {
            Some(Warning::cut_short("recording", media.duration_ms, expected_ms))
        }
        _ if ending == Ending::Incomplete => Some(Warning::not_closed()),
        _ => None,
    })
}

/// The length that the file declares, in ms; `None` if that says nothing.
///
/// Only a file that was read to its end is compared. Of others, the steps that decode find the end.
/// A file that is intact and closed is as long as its packets are, whatever it declares.
fn expected_ms(findings: &Findings<'_>, media: &MediaInfo, ending: Ending) -> Option<u64> {
    let scan = findings.scan;
    if !scan.is_complete && scan.error.is_none() {
        return None;
    }
    let declared_ns = match media.container.as_str() {
        "mp4" => presented_ns(findings, media),
        // Read or worked out by the demuxer.
        "matroska" | "avi" | "flv" | "asf" | "wav" | "flac" => {
            scan.declared_ns.filter(|_| ending != Ending::Complete || scan.error.is_some())
        }
        _ => None,
    };
    declared_ns.map(|ns| ns / 1_000_000).filter(|&ms| ms < MAX_PLAUSIBLE_MS)
}

/// The length of an MP4 by the sample tables of its chosen tracks, in ns.
fn presented_ns(findings: &Findings<'_>, media: &MediaInfo) -> Option<u64> {
    let movie = &findings.index.movie;
    let presented_ns =
        |handler: &[u8; 4], index: Option<u32>| movie.nth_track(handler, index?)?.presented_ns();
    let video_ns = presented_ns(b"vide", media.video.as_ref().map(|v| v.stream_index));
    let audio_ns = presented_ns(b"soun", media.audio.as_ref().map(|a| a.stream_index));
    let gap_ns = media.video_gap.map_or(0, |gap| gap.length_ns.unsigned_abs());
    let end_ns = video_ns.map(|ns| ns.saturating_sub(gap_ns)).max(audio_ns)?;
    // The common timeline begins with what is presented first.
    Some(end_ns.saturating_sub(u64::try_from(media.origin_ns).unwrap_or(0)))
}
