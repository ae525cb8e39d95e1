//! What of a recording can't be read, in a sentence that names its codec and says what to do.

use super::choose;
use super::scanned::Scanned;
use crate::error::Error;
use crate::media::Warning;
use crate::mp4::movie::Movie;

/// Code of a codec without a decoder.
const UNSUPPORTED_CODEC: &str = "unsupported_codec";

/// A kind of track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Video.
    Video,
    /// Audio.
    Audio,
}

impl Kind {
    fn name(self) -> &'static str {
        if self == Self::Video { "video" } else { "audio" }
    }

    fn other(self) -> &'static str {
        if self == Self::Video { "audio" } else { "video" }
    }

    fn remedy(self) -> &'static str {
        if self == Self::Video { "MP4 with H.264" } else { "MP4 with AAC" }
    }

    /// The warning that the tracks of a kind can't be read: for the reason in `error`, the first one in the codec `label`.
    pub fn warning(self, error: Option<&Error>, label: Option<&str>) -> Warning {
        let code = error.map_or(UNSUPPORTED_CODEC, |error| error.code);
        let (name, other, remedy) = (self.name(), self.other(), self.remedy());
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
    pub fn refusal(self, error: Error, label: Option<&str>) -> Error {
        let (Some(label), UNSUPPORTED_CODEC) = (label, error.code) else { return error };
        let (name, remedy) = (self.name(), self.remedy());
        Error::new(
            error.kind,
            error.code,
            format!(
                "The {name} is in {label}, a codec that can't be read here. \
                 Please convert the recording to {remedy} and upload that."
            ),
        )
    }

    /// The codec of a track that the demuxer passed over, or of which no packet has a time; `None` if there is no such track.
    pub fn passed_over(self, tracks: &[Scanned], movie: &Movie) -> Option<Option<String>> {
        let is_video = self == Self::Video;
        let without_time = tracks.iter().find(|track| {
            track.picture == is_video
                && track.start_ns.is_none()
                && track.packets > 0
                && !choose::is_still(track)
        });
        if let Some(track) = without_time {
            return Some(track.codec_label.clone());
        }
        let handler = if is_video { b"vide" } else { b"soun" };
        let is_seen = |id: u32| tracks.iter().any(|track| track.number == Some(id));
        let mut listed = movie.tracks.iter().filter(|track| track.handler == *handler);
        let unseen = listed.find(|track| track.has_samples() && !is_seen(track.id))?;
        Some(unseen.codec.as_ref().and_then(|codec| codec.label()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_codec_and_the_remedy_are_named() {
        let unsupported = crate::gst::unsupported();
        let said = Kind::Video.warning(Some(&unsupported), Some("Ut Video"));
        assert_eq!(said.code, "unsupported_codec");
        assert_eq!(
            said.message,
            "The video is in Ut Video, a codec that can't be read here; only the audio is used. \
             To have both, please convert the recording to MP4 with H.264 and upload that."
        );
        assert!(Kind::Audio.warning(None, None).message.starts_with("The audio is in a codec that can't"));
        let damaged = Error::input("decode_failed", "The file is damaged.");
        let said = Kind::Video.warning(Some(&damaged), Some("\"cvid\""));
        assert_eq!(said.message, "The video can't be read; only the audio is used.");
        assert!(Kind::Audio.refusal(unsupported, Some("\"sac3\"")).message.contains("in \"sac3\", a codec"));
        assert_eq!(Kind::Video.refusal(damaged, Some("\"cvid\"")).message, "The file is damaged.");
    }

    #[test]
    fn a_track_without_a_time_was_passed_over() {
        let track = Scanned { packets: 9, codec_label: Some("\"X\"".into()), ..Scanned::default() };
        let movie = Movie::default();
        let over = |kind: Kind, track: &Scanned| kind.passed_over(std::slice::from_ref(track), &movie);
        assert_eq!(over(Kind::Audio, &track), Some(Some("\"X\"".into())));
        assert_eq!(over(Kind::Video, &track), None);
        // A track that a recorder declares and leaves empty is none.
        assert_eq!(over(Kind::Audio, &Scanned { packets: 0, ..track.clone() }), None);
        assert_eq!(over(Kind::Audio, &Scanned { start_ns: Some(0), ..track }), None);
    }
}
