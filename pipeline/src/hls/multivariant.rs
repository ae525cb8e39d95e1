//! The multivariant playlist: what a player may choose from.

use std::fmt::Write;

use super::language;
use crate::sound::{AudioReport, SoundReport};
use crate::transcode::{RenditionReport, TranscodeReport};

/// The rendition for the weakest line, which gets the smallest sound.
const WEAK_LINE: &str = "v240";
/// The sound of the weak line, and of listening alone.
const SMALL_SOUND: &str = "a32";
/// The sound of every other rendition.
const FULL_SOUND: &str = "a96";

/// What a multivariant playlist is made of. A report's paths (`video/v240/index.m3u8`) become URIs by replacing their
/// first folder with the group's base.
#[derive(Clone, Copy, Debug)]
pub struct Multivariant<'a> {
    /// The picture, where there is one.
    pub video: Option<&'a TranscodeReport>,
    /// The sound, where there is some.
    pub sound: Option<&'a SoundReport>,
    /// Captions, one a language.
    pub subtitles: &'a [Subtitles<'a>],
    /// Replaces `video/`; ends with `/` unless empty.
    pub video_base: &'a str,
    /// Replaces `audio/`.
    pub audio_base: &'a str,
    /// Replaces `subtitles/`.
    pub subtitles_base: &'a str,
    /// Replaces `iframes/`.
    pub iframes_base: &'a str,
}

/// Captions in one language.
#[derive(Clone, Copy, Debug)]
pub struct Subtitles<'a> {
    /// Language tag.
    pub language: &'a str,
    /// Path of the media playlist, as reported.
    pub playlist: &'a str,
}

/// The text of a multivariant playlist: the weak line first, since native players start there, then rising, and the
/// sound alone last.
pub fn multivariant(parts: &Multivariant<'_>) -> String {
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    let sounds: &[AudioReport] = parts.sound.map_or(&[], |s| &s.renditions);
    let spoken = language::tag(parts.sound.and_then(|s| s.language.as_deref()));
    for sound in sounds {
        // Both groups hold the same rendition under the same name, so that a player keeps its choice when it
        // changes the group.
        let _ = writeln!(
            text,
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{}\",NAME=\"{}\",LANGUAGE=\"{spoken}\",DEFAULT=YES,\
             AUTOSELECT=YES,CHANNELS=\"{}\",URI=\"{}\"",
            sound.name,
            if spoken == "und" { "Original" } else { language::name(spoken) },
            sound.channels,
            uri(parts.audio_base, &sound.playlist),
        );
    }
    for subtitles in parts.subtitles {
        let tag = language::tag(Some(subtitles.language));
        let _ = writeln!(
            text,
            "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"subs\",NAME=\"{}\",LANGUAGE=\"{tag}\",DEFAULT=NO,\
             AUTOSELECT=YES,FORCED=NO,URI=\"{}\"",
            if tag == "und" { "Captions" } else { language::name(tag) },
            uri(parts.subtitles_base, subtitles.playlist),
        );
    }
    let has_subtitles = !parts.subtitles.is_empty();

    let mut pictures: Vec<&RenditionReport> =
        parts.video.map_or_else(Vec::new, |v| v.renditions.iter().collect());
    pictures.sort_by_key(|p| p.bandwidth_bps);
    for picture in &pictures {
        let sound = sound_for(sounds, if picture.name == WEAK_LINE { SMALL_SOUND } else { FULL_SOUND });
        variant(&mut text, Some(picture), sound, has_subtitles);
        let _ = writeln!(text, "{}", uri(parts.video_base, &picture.playlist));
    }
    let mut alone: Vec<&AudioReport> = if pictures.is_empty() {
        sounds.iter().collect()
    } else {
        sound_for(sounds, SMALL_SOUND).into_iter().collect()
    };
    alone.sort_by_key(|s| s.bandwidth_bps);
    for sound in alone {
        variant(&mut text, None, Some(sound), has_subtitles);
        let _ = writeln!(text, "{}", uri(parts.audio_base, &sound.playlist));
    }
    for iframes in parts.video.into_iter().flat_map(|v| v.iframes.iter().chain(&v.trickplay)) {
        let _ = writeln!(
            text,
            "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{}\",RESOLUTION={}x{},\
             URI=\"{}\"",
            iframes.bandwidth_bps,
            iframes.average_bandwidth_bps,
            iframes.codecs,
            iframes.width,
            iframes.height,
            uri(parts.iframes_base, &iframes.playlist),
        );
    }
    text
}

/// The line of one variant: what it needs is its picture and its sound together.
fn variant(
    text: &mut String,
    picture: Option<&RenditionReport>,
    sound: Option<&AudioReport>,
    has_subtitles: bool,
) {
    let peak = picture.map_or(0, |p| p.bandwidth_bps) + sound.map_or(0, |s| s.bandwidth_bps);
    let mean = picture.map_or(0, |p| p.average_bandwidth_bps) + sound.map_or(0, |s| s.average_bandwidth_bps);
    let codecs: Vec<&str> =
        picture.map(|p| p.codecs.as_str()).into_iter().chain(sound.map(|s| s.codecs.as_str())).collect();
    let _ = write!(
        text,
        "#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={mean},CODECS=\"{}\"",
        codecs.join(",")
    );
    if let Some(picture) = picture {
        let _ = write!(
            text,
            ",RESOLUTION={}x{},FRAME-RATE={:.3}",
            picture.width,
            picture.height,
            picture.frame_rate.as_f64()
        );
    }
    if let Some(sound) = sound {
        let _ = write!(text, ",AUDIO=\"{}\"", sound.name);
    }
    if has_subtitles {
        text.push_str(",SUBTITLES=\"subs\"");
    }
    if picture.is_some() {
        text.push_str(",CLOSED-CAPTIONS=NONE");
    }
    text.push('\n');
}

/// The named sound, or whichever there is.
fn sound_for<'a>(sounds: &'a [AudioReport], name: &str) -> Option<&'a AudioReport> {
    sounds.iter().find(|s| s.name == name).or(sounds.first())
}

/// `path` with its first folder replaced by `base`.
fn uri(base: &str, path: &str) -> String {
    format!("{base}{}", path.split_once('/').map_or(path, |(_, rest)| rest))
}
