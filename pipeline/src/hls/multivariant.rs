//! The multivariant playlist: all renditions that a player may choose from.

use std::fmt::Write;

use super::language;
use crate::media::Hdr;
use crate::report::{AudioRenditionReport, VideoRenditionReport};

/// The audio rendition of the weak line, and of listening without video.
const SMALL_AUDIO: &str = "a32";
/// The audio rendition of every other video rendition.
const FULL_AUDIO: &str = "a96";

/// The contents of a multivariant playlist. URIs are relative to it.
#[derive(Clone, Debug, Default)]
pub struct Multivariant<'a> {
    /// The video renditions.
    pub videos: Vec<VideoEntry<'a>>,
    /// The audio renditions.
    pub audio: Vec<AudioEntry<'a>>,
    /// Language tag of the audio.
    pub language: Option<&'a str>,
    /// Captions, one entry a language.
    pub subtitles: Vec<SubtitlesEntry<'a>>,
    /// Renditions of keyframes alone, for scrubbing.
    pub iframes: Vec<VideoEntry<'a>>,
    /// Whether the media playlists still grow. A player then begins at the start, not at their end.
    pub is_live: bool,
}

/// One video rendition.
#[derive(Clone, Debug)]
pub struct VideoEntry<'a> {
    /// The rendition as made.
    pub report: &'a VideoRenditionReport,
    /// URI of its media playlist.
    pub uri: String,
    /// The lines that it is for.
    pub tier: Tier,
    /// Its dynamic range, if players choose by it.
    pub hdr: Option<Hdr>,
}

/// The lines that a video rendition is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// The weak line: moving video with the smaller audio. Native players begin with it.
    WeakLine,
    /// Lines too weak even for that: stills with the smaller audio.
    Stills,
    /// All other lines.
    Full,
}

/// One audio rendition.
#[derive(Clone, Debug)]
pub struct AudioEntry<'a> {
    /// The rendition as made.
    pub report: &'a AudioRenditionReport,
    /// URI of its media playlist.
    pub uri: String,
}

/// Captions in one language.
#[derive(Clone, Debug)]
pub struct SubtitlesEntry<'a> {
    /// Language tag.
    pub language: &'a str,
    /// URI of their media playlist.
    pub uri: String,
}

/// Writes a multivariant playlist: the weak line first, because native players start there, then
/// rising bitrates, and audio alone last.
pub fn multivariant(parts: &Multivariant<'_>) -> String {
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    if parts.is_live {
        text.push_str("#EXT-X-START:TIME-OFFSET=0\n");
    }
    let spoken = language::tag(parts.language);
    for AudioEntry { report, uri } in &parts.audio {
        // Each group has one rendition, all of one name, so that a player keeps its choice when it
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
    videos.sort_by_key(|v| (v.tier != Tier::WeakLine, v.report.bandwidth_bps));
    for video in &videos {
        let full = video.tier == Tier::Full;
        let audio = audio_for(&parts.audio, if full { FULL_AUDIO } else { SMALL_AUDIO });
        variant(&mut text, Some(video), audio.map(|a| a.report), has_subtitles);
        let _ = writeln!(text, "{}", video.uri);
    }
    let mut audio_only: Vec<&AudioEntry<'_>> = if videos.is_empty() {
        parts.audio.iter().collect()
    } else {
        audio_for(&parts.audio, SMALL_AUDIO).into_iter().collect()
    };
    audio_only.sort_by_key(|a| a.report.bandwidth_bps);
    for audio in audio_only {
        variant(&mut text, None, Some(audio.report), has_subtitles);
        let _ = writeln!(text, "{}", audio.uri);
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

/// Writes the line of one variant. Its bandwidth is that of video and audio together.
fn variant(
    text: &mut String,
    entry: Option<&VideoEntry<'_>>,
    audio: Option<&AudioRenditionReport>,
    has_subtitles: bool,
) {
    let video = entry.map(|entry| entry.report);
    let peak = video.map_or(0, |v| v.bandwidth_bps) + audio.map_or(0, |a| a.bandwidth_bps);
    let mean = video.map_or(0, |v| v.average_bandwidth_bps) + audio.map_or(0, |a| a.average_bandwidth_bps);
    let codecs: Vec<&str> =
        video.map(|v| v.codecs.as_str()).into_iter().chain(audio.map(|a| a.codecs.as_str())).collect();
    let _ = write!(
        text,
        "#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={mean},CODECS=\"{}\"",
        codecs.join(",")
    );
    if let Some(video) = video {
        let _ = write!(
            text,
            ",RESOLUTION={}x{},FRAME-RATE={:.3}",
            video.width,
            video.height,
            video.frame_rate.as_f64()
        );
    }
    if let Some(hdr) = entry.and_then(|entry| entry.hdr) {
        let range = match hdr {
            Hdr::None => "SDR",
            Hdr::Pq => "PQ",
            Hdr::Hlg => "HLG",
        };
        let _ = write!(text, ",VIDEO-RANGE={range}");
    }
    if let Some(audio) = audio {
        let _ = write!(text, ",AUDIO=\"{}\"", audio.name);
    }
    if has_subtitles {
        text.push_str(",SUBTITLES=\"subs\"");
    }
    if video.is_some() {
        text.push_str(",CLOSED-CAPTIONS=NONE");
    }
    text.push('\n');
}

/// Returns the named audio rendition, or else the first.
fn audio_for<'a>(audio: &'a [AudioEntry<'a>], name: &str) -> Option<&'a AudioEntry<'a>> {
    audio.iter().find(|a| a.report.name == name).or(audio.first())
}
