//! The files of the transcript: for programs, for players and for readers.

use std::fmt::Write;

use serde::Serialize;

use super::cues::{self, Cue};
use crate::captions::{self, srt, vtt};
use crate::context::StepContext;
use crate::error::{Error, Result};
use crate::hls::{MediaPlaylist, PlaylistSegment, media_playlist};

/// Length of a subtitle segment, in ms.
const SEGMENT_MS: u64 = 60_000;
/// Minimum pause at which the plain text starts a new paragraph, in ms.
const MIN_PARAGRAPH_PAUSE_MS: u64 = 2_000;
/// States that caption time equals media time: our media starts at 0 (RFC 8216, section 3.5).
const TIME_MAP: &str = "X-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000";

/// The format of `transcript.json`.
#[derive(Debug, Serialize)]
pub struct Transcript<'a> {
    /// Version of the format.
    pub version: u32,
    /// Language, as a tag.
    pub language: &'a str,
    /// Name of the model that made it.
    pub model: &'a str,
    /// Length of the recording, in ms.
    pub duration_ms: u64,
    /// The cues.
    pub cues: &'a [Cue],
}

/// Paths of the files, relative to the step's folder.
#[derive(Debug)]
pub struct TranscriptFiles {
    /// Path of transcript.json.
    pub json: String,
    /// Path of the WebVTT captions.
    pub vtt: String,
    /// Path of the SRT captions.
    pub srt: String,
    /// Path of the plain text.
    pub text: String,
    /// Path of the subtitles media playlist; `None` without cues.
    pub subtitles: Option<String>,
}

/// Writes and announces all files. Without cues it leaves out the subtitles rendition only.
pub fn write_files(
    transcript: &Transcript<'_>,
    uses_spaces: bool,
    ctx: &StepContext,
) -> Result<TranscriptFiles> {
    let language = transcript.language;
    let captions: Vec<_> = transcript.cues.iter().map(|cue| cues::to_caption(cue, uses_spaces)).collect();
    let json = serde_json::to_vec(transcript)
        .map_err(|e| Error::internal("the transcript could not be written").with_source(e))?;
    let mut files = TranscriptFiles {
        json: "transcript/transcript.json".into(),
        vtt: format!("transcript/captions.{language}.vtt"),
        srt: format!("transcript/captions.{language}.srt"),
        text: format!("transcript/transcript.{language}.txt"),
        subtitles: None,
    };
    if !captions.is_empty() {
        let folder = format!("subtitles/{language}");
        let segments = subtitle_segments(&captions, transcript.duration_ms);
        for (segment, text) in &segments {
            ctx.write_output(&format!("{folder}/{}", segment.uri), text.as_bytes())?;
        }
        let segments: Vec<_> = segments.into_iter().map(|(segment, _)| segment).collect();
        let playlist = media_playlist(&MediaPlaylist {
            timescale: 1000,
            target_duration_s: SEGMENT_MS / 1000,
            init_uri: None,
            iframes_only: false,
            segments: &segments,
        });
        let path = format!("{folder}/index.m3u8");
        ctx.write_output(&path, playlist.as_bytes())?;
        files.subtitles = Some(path);
    }
    ctx.write_output(&files.vtt, vtt::write(None, &captions).as_bytes())?;
    ctx.write_output(&files.srt, srt::write(&captions).as_bytes())?;
    ctx.write_output(&files.text, plain_text(transcript.cues, uses_spaces).as_bytes())?;
    ctx.write_output(&files.json, &json)?;
    Ok(files)
}

/// Makes subtitle segments over the full duration, empty ones too.
///
/// A cue that crosses a boundary is in both segments with its own times, as the HLS specification
/// requires.
fn subtitle_segments(captions: &[captions::Caption], duration_ms: u64) -> Vec<(PlaylistSegment, String)> {
    let count = duration_ms.div_ceil(SEGMENT_MS).max(1);
    let mut out = Vec::new();
    for number in 0..count {
        let (from, to) = (number * SEGMENT_MS, ((number + 1) * SEGMENT_MS).min(duration_ms));
        // Cues are in order and do not overlap, so a binary search finds both ends.
        let first = captions.partition_point(|cue| cue.end_ms <= from);
        let last = captions.partition_point(|cue| cue.start_ms < to).max(first);
        let text = vtt::write(Some(TIME_MAP), &captions[first..last]);
        let segment = PlaylistSegment {
            uri: format!("{:05}.vtt", number + 1),
            duration_ticks: to - from,
            byte_range: None,
        };
        out.push((segment, text));
    }
    out
}

/// Returns the text alone, with a new paragraph after each long pause.
fn plain_text(cues: &[Cue], uses_spaces: bool) -> String {
    let mut out = String::new();
    let mut previous_end_ms = None;
    for cue in cues {
        let (first, last) = (&cue.words[0], &cue.words[cue.words.len() - 1]);
        let between = match previous_end_ms {
            None => "",
            Some(ms) if first.start_ms.saturating_sub(ms) >= MIN_PARAGRAPH_PAUSE_MS => "\n\n",
            _ if uses_spaces => " ",
            _ => "",
        };
        // Writing to a string cannot fail.
        let _ = write!(out, "{between}{}", cue.text);
        previous_end_ms = Some(last.end_ms);
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::speech::words::Word;

    fn caption(start_ms: u64, end_ms: u64) -> captions::Caption {
        captions::Caption { start_ms, end_ms, text: "x".into() }
    }

    #[test]
    fn segments_cover_the_recording_and_a_cue_over_a_boundary_is_in_both() {
        let captions = [caption(0, 1000), caption(59_500, 60_500), caption(185_000, 185_500)];
        let segments = subtitle_segments(&captions, 185_600);
        let durations: Vec<_> = segments.iter().map(|(s, _)| s.duration_ticks).collect();
        assert_eq!(durations, [60_000, 60_000, 60_000, 5_600]);
        let cues: Vec<_> = segments.iter().map(|(_, text)| text.matches("-->").count()).collect();
        assert_eq!(cues, [2, 1, 0, 1]);
        assert!(segments[2].1.starts_with("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n"));
        assert!(segments[1].1.contains("00:00:59.500 --> 00:01:00.500"));
        assert_eq!((segments[0].0.uri.as_str(), segments[3].0.uri.as_str()), ("00001.vtt", "00004.vtt"));
    }

    #[test]
    fn plain_text_has_paragraphs() {
        let cue = |id: u32, start_ms: u64, text: &str| {
            let word =
                Word { start_ms, end_ms: start_ms + 500, text: text.into(), probability: 1.0, doubt: 0.0 };
            Cue {
                id,
                start_ms,
                end_ms: start_ms + 900,
                text: text.into(),
                doubt: 0.0,
                words: vec![word],
                exchange_at: None,
            }
        };
        let cues = [cue(1, 0, "One."), cue(2, 1500, "Two."), cue(3, 9000, "Three.")];
        assert_eq!(plain_text(&cues, true), "One. Two.\n\nThree.\n");
        assert_eq!(plain_text(&[], true), "");
    }
}
