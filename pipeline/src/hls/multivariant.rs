//! The multivariant playlist: what a player may choose from.

use std::fmt::Write;

use super::language;
use crate::media::Hdr;
use crate::report::{AudioRenditionReport, VideoRenditionReport};

/// The sound of the weak line, and of listening alone.
const SMALL_SOUND: &str = "a32";
/// The sound of every other rendition.
const FULL_SOUND: &str = "a96";

/// What a multivariant playlist is made of. URIs are relative to it.
#[derive(Clone, Debug, Default)]
pub struct Multivariant<'a> {
    /// The pictures.
    pub videos: Vec<VideoEntry<'a>>,
    /// The sound, in each of its renditions.
    pub audio: Vec<AudioEntry<'a>>,
    /// Language the sound says it is in.
    pub language: Option<&'a str>,
    /// Captions, one a language.
    pub subtitles: Vec<SubtitlesEntry<'a>>,
    /// Pictures for seeking: keyframes alone.
    pub iframes: Vec<VideoEntry<'a>>,
    /// Whether the media playlists still grow: a player then begins at the beginning, not at their end.
    pub is_live: bool,
}

/// One rendition of the picture.
#[derive(Clone, Debug)]
pub struct VideoEntry<'a> {
    /// What was made.
    pub report: &'a VideoRenditionReport,
    /// Its media playlist.
    pub uri: String,
    /// Where it stands.
    pub tier: Tier,
    /// Its range of brightness, where players are to choose by it.
    pub hdr: Option<Hdr>,
}

/// For whom a picture is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// The weak line: moves, and has the small sound. Native players begin with it.
    WeakLine,
    /// A line too weak even for that: still pictures with the small sound.
    Stills,
    /// Everyone else.
    Full,
}

/// One rendition of the sound.
#[derive(Clone, Debug)]
pub struct AudioEntry<'a> {
    /// What was made.
    pub report: &'a AudioRenditionReport,
    /// Its media playlist.
    pub uri: String,
}

/// Captions in one language.
#[derive(Clone, Debug)]
pub struct SubtitlesEntry<'a> {
    /// Language tag.
    pub language: &'a str,
    /// Their media playlist.
    pub uri: String,
}

/// The text of a multivariant playlist: the weak line first, since native players start there, then rising, and the
/// sound alone last.
pub fn multivariant(parts: &Multivariant<'_>) -> String {
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    if parts.is_live {
        text.push_str("#EXT-X-START:TIME-OFFSET=0\n");
    }
    let spoken = language::tag(parts.language);
    for AudioEntry { report, uri } in &parts.audio {
        // Both groups hold the same rendition under the same name, so that a player keeps its choice when it
        // changes the group.
        let _ = writeln!(
            text,
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{}\",NAME=\"{}\",LANGUAGE=\"{spoken}\",DEFAULT=YES,\
             AUTOSELECT=YES,CHANNELS=\"{}\",URI=\"{uri}\"",
            report.name,
            if spoken == "und" { "Original" } else { language::name(spoken) },
            report.channels,
        );
    }
    for SubtitlesEntry { language, uri } in &parts.subtitles {
        let tag = language::tag(Some(language));
        let _ = writeln!(
            text,
            "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"subs\",NAME=\"{}\",LANGUAGE=\"{tag}\",DEFAULT=NO,\
             AUTOSELECT=YES,FORCED=NO,URI=\"{uri}\"",
            if tag == "und" { "Captions" } else { language::name(tag) },
        );
    }
    let has_subtitles = !parts.subtitles.is_empty();

    let mut videos: Vec<&VideoEntry<'_>> = parts.videos.iter().collect();
    videos.sort_by_key(|p| (p.tier != Tier::WeakLine, p.report.bandwidth_bps));
    for picture in &videos {
        let full = picture.tier == Tier::Full;
        let sound = sound_for(&parts.audio, if full { FULL_SOUND } else { SMALL_SOUND });
        variant(&mut text, Some(picture), sound.map(|s| s.report), has_subtitles);
        let _ = writeln!(text, "{}", picture.uri);
    }
    let mut alone: Vec<&AudioEntry<'_>> = if videos.is_empty() {
        parts.audio.iter().collect()
    } else {
        sound_for(&parts.audio, SMALL_SOUND).into_iter().collect()
    };
    alone.sort_by_key(|s| s.report.bandwidth_bps);
    for sound in alone {
        variant(&mut text, None, Some(sound.report), has_subtitles);
        let _ = writeln!(text, "{}", sound.uri);
    }
    for VideoEntry { report, uri, .. } in &parts.iframes {
        let _ = writeln!(
            text,
            "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{}\",RESOLUTION={}x{},\
             URI=\"{uri}\"",
            report.bandwidth_bps, report.average_bandwidth_bps, report.codecs, report.width, report.height,
        );
    }
    text
}

/// The line of one variant: what it needs is its picture and its sound together.
fn variant(
    text: &mut String,
    shown: Option<&VideoEntry<'_>>,
    sound: Option<&AudioRenditionReport>,
    has_subtitles: bool,
) {
    let picture = shown.map(|shown| shown.report);
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
    if let Some(hdr) = shown.and_then(|shown| shown.hdr) {
        let range = match hdr {
            Hdr::None => "SDR",
            Hdr::Pq => "PQ",
            Hdr::Hlg => "HLG",
        };
        let _ = write!(text, ",VIDEO-RANGE={range}");
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
fn sound_for<'a>(audio: &'a [AudioEntry<'a>], name: &str) -> Option<&'a AudioEntry<'a>> {
    audio.iter().find(|s| s.report.name == name).or(audio.first())
}
