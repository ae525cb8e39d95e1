//! Tracks that can't be read: warnings and refusals that name the codec and say what to do.

use super::inspection::Inspection;
use super::scanned_track::ScannedTrack;
use crate::container::mpegts;
use crate::error::{Error, ErrorKind, Result};
use crate::gst::{TrackKind, unsupported};
use crate::media::Warning;
use crate::mp4::movie::Movie;

/// Code of a codec without a decoder.
const UNSUPPORTED_CODEC: &str = "unsupported_codec";

/// Name of a kind, of the other kind, and the format to convert to.
fn names(kind: TrackKind) -> (&'static str, &'static str, &'static str) {
    match kind {
        TrackKind::Video => ("video", "audio", "MP4 with H.264"),
        TrackKind::Audio => ("audio", "video", "MP4 with AAC"),
    }
}

/// The warning that no track of a kind can be read: because of `error`, the first one in the codec
/// `label`.
pub fn warning(kind: TrackKind, error: Option<&Error>, label: Option<&str>) -> Warning {
    let code = error.map_or(UNSUPPORTED_CODEC, |error| error.code);
    let (name, other, remedy) = names(kind);
    if code != UNSUPPORTED_CODEC {
        return Warning::new(code, format!("The {name} can't be read; only the {other} is used."));
    }
    let codec = label.map_or("a codec".to_owned(), |label| format!("{label}, a codec"));
    Warning::new(
        code,
        format!(
            "The {name} is in {codec} that can't be read here; only the {other} is used. \
             To have both, please convert the recording to {remedy} and upload that."
        ),
    )
}

/// The refusal of a recording that has nothing else, with the name of its codec.
pub fn refusal(kind: TrackKind, error: Error, label: Option<&str>) -> Error {
    let (Some(label), UNSUPPORTED_CODEC) = (label, error.code) else { return error };
    let (name, _, remedy) = names(kind);
    Error::new(
        error.kind,
        error.code,
        format!(
            "The {name} is in {label}, a codec that can't be read here. \
             Please convert the recording to {remedy} and upload that."
        ),
    )
}

/// The codec of a track that the demuxer left out, or of which no packet has a time, if it has a
/// label; `None` if there is no such track.
pub fn skipped_codec(kind: TrackKind, tracks: &[ScannedTrack], movie: &Movie) -> Option<Option<String>> {
    let is_video = kind == TrackKind::Video;
    let without_time = tracks.iter().find(|track| {
        track.is_video == is_video && track.start_ns.is_none() && track.packets > 0 && !track.is_still()
    });
    if let Some(track) = without_time {
        return Some(track.codec_label.clone());
    }
    let handler = if is_video { b"vide" } else { b"soun" };
    let is_scanned = |id: u32| tracks.iter().any(|track| track.track_id == Some(id));
    let mut listed = movie.tracks.iter().filter(|track| track.handler == *handler);
    let skipped = listed.find(|track| track.has_samples() && !is_scanned(track.id))?;
    Some(skipped.codec.as_ref().and_then(|codec| codec.label()))
}

/// Like [`skipped_codec`], by the tables of a transport stream. Its demuxer leaves out streams of
/// types that it does not know.
pub fn skipped_stream(kind: TrackKind, inspection: &Inspection<'_>) -> Result<Option<Option<String>>> {
    if inspection.container != "mpegts" {
        return Ok(None);
    }
    let streams = mpegts::declared_streams(inspection.source.as_ref())?;
    let skipped = streams.iter().find(|stream| stream.is_video == (kind == TrackKind::Video));
    Ok(skipped.map(|stream| stream.label.map(str::to_owned)))
}

/// The refusal of a recording of which the demuxer found no track.
pub fn no_track(inspection: &Inspection<'_>, error: Option<Error>) -> Result<Error> {
    for kind in [TrackKind::Video, TrackKind::Audio] {
        if let Some(label) = skipped_stream(kind, inspection)? {
            return Ok(refusal(kind, unsupported(), label.as_deref()));
        }
    }
    Ok(nothing_playable(error))
}

/// Keeps the first failure: a track that cannot be read costs the file only if there is no other.
/// Returns an error that is not about the track, such as a broken limit.
pub fn defer_unless_fatal(error: Error, failure: &mut Option<Error>) -> Result<()> {
    let is_fatal = matches!(
        error.kind,
        ErrorKind::LimitExceeded | ErrorKind::Cancelled | ErrorKind::Dependency | ErrorKind::Internal
    );
    if is_fatal {
        return Err(error);
    }
    failure.get_or_insert(error);
    Ok(())
}

/// The refusal of a file without a track that can be used, by what went wrong when it was scanned.
pub fn nothing_playable(error: Option<Error>) -> Error {
    match error {
        Some(error) if error.kind != ErrorKind::Internal => error,
        Some(error) => Error::damaged_file().with_source(error.to_string()),
        None => Error::input("no_playable_track", "There is nothing in the file that can be played."),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_codec_and_the_remedy_are_named() {
        let unsupported = unsupported();
        let found = warning(TrackKind::Video, Some(&unsupported), Some("Ut Video"));
        assert_eq!(found.code, "unsupported_codec");
        assert_eq!(
            found.message,
            "The video is in Ut Video, a codec that can't be read here; only the audio is used. \
             To have both, please convert the recording to MP4 with H.264 and upload that."
        );
        assert!(
            warning(TrackKind::Audio, None, None).message.starts_with("The audio is in a codec that can't")
        );
        let damaged = Error::input("decode_failed", "The file is damaged.");
        let found = warning(TrackKind::Video, Some(&damaged), Some("\"cvid\""));
        assert_eq!(found.message, "The video can't be read; only the audio is used.");
        assert!(
            refusal(TrackKind::Audio, unsupported, Some("\"sac3\"")).message.contains("in \"sac3\", a codec")
        );
        assert_eq!(refusal(TrackKind::Video, damaged, Some("\"cvid\"")).message, "The file is damaged.");
    }

    #[test]
    fn a_track_without_a_time_was_skipped() {
        let track = ScannedTrack { packets: 9, codec_label: Some("\"X\"".into()), ..ScannedTrack::default() };
        let movie = Movie::default();
        let skipped =
            |kind: TrackKind, track: &ScannedTrack| skipped_codec(kind, std::slice::from_ref(track), &movie);
        assert_eq!(skipped(TrackKind::Audio, &track), Some(Some("\"X\"".into())));
        assert_eq!(skipped(TrackKind::Video, &track), None);
        // A track that a recorder declares and leaves empty does not count.
        assert_eq!(skipped(TrackKind::Audio, &ScannedTrack { packets: 0, ..track.clone() }), None);
        assert_eq!(skipped(TrackKind::Audio, &ScannedTrack { start_ns: Some(0), ..track }), None);
    }
}
