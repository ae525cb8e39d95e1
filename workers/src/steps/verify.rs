//! Checks that several kinds of steps share. No step succeeds on its own word: what it reports must
//! be among what it made, complete and of the right duration.

use chalkstream_pipeline::media::{MediaInfo, Warning};
use chalkstream_pipeline::steps::transcode::TranscodeReport;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::outputs::CollectedOutputs;

/// Rounding between a playlist's EXTINF values and a report in ms.
const ROUNDING_MS: u64 = 50;
/// Most that renditions of one track may end apart: a frame of the slowest (15 frames a second).
const MAX_FRAME_MS: u64 = 100;
/// Most that a track may end before or after what the file's own index said.
const MAX_INDEX_ERROR_MS: u64 = 2_000;

/// Reads a report as the type that its step wrote.
pub fn read<T: DeserializeOwned>(report: &Value) -> Result<T, String> {
    T::deserialize(report).map_err(|error| format!("the report cannot be read: {error}"))
}

/// No output is empty, except without speech: then a transcript's text and its subtitles for
/// players without headers are empty files.
pub fn no_empty_files(outputs: &CollectedOutputs) -> Result<(), String> {
    let may_be_empty = |path: &str| path.starts_with("transcript/");
    let mut empty = outputs.files.iter().filter(|(path, facts)| facts.size_bytes == 0 && !may_be_empty(path));
    empty.next().map_or(Ok(()), |(path, _)| Err(format!("{path} is empty")))
}

/// An output was made.
pub fn made(path: &str, outputs: &CollectedOutputs) -> Result<(), String> {
    if outputs.files.contains_key(path) { Ok(()) } else { Err(format!("{path} was reported, but not made")) }
}

/// All media playlists are complete.
pub fn playlists(outputs: &CollectedOutputs) -> Result<(), String> {
    outputs.playlists.iter().try_for_each(|(path, text)| complete(path, text, outputs))
}

/// A media playlist has an end, and everything that it names was made.
pub fn complete(path: &str, text: &str, outputs: &CollectedOutputs) -> Result<(), String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mapped = text.lines().filter_map(|line| {
        let uri = line.strip_prefix("#EXT-X-MAP:")?.split_once("URI=\"")?.1;
        uri.split_once('"').map(|(uri, _)| uri)
    });
    let segments = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    for uri in mapped.chain(segments) {
        made(&format!("{folder}/{uri}"), outputs)?;
    }
    ended(path, text)
}

/// A media playlist has an end.
pub fn ended(path: &str, text: &str) -> Result<(), String> {
    if text.lines().any(|line| line == "#EXT-X-ENDLIST") { Ok(()) } else { Err(format!("{path} has no end")) }
}

/// The duration that a media playlist adds up to, in ms.
fn playlist_ms(text: &str) -> u64 {
    let seconds: f64 = text
        .lines()
        .filter_map(|line| line.strip_prefix("#EXTINF:")?.split(',').next()?.trim().parse::<f64>().ok())
        .sum();
    (seconds * 1000.0).round() as u64
}

/// A rendition's playlist was made, and is as long as the report says.
pub fn rendition(playlist: &str, duration_ms: u64, outputs: &CollectedOutputs) -> Result<(), String> {
    let text =
        outputs.playlists.get(playlist).ok_or_else(|| format!("{playlist} was reported, but not made"))?;
    let played_ms = playlist_ms(text);
    if played_ms.abs_diff(duration_ms) > ROUNDING_MS {
        return Err(format!("{playlist} plays {played_ms} ms, {duration_ms} ms were reported"));
    }
    Ok(())
}

/// There is a rendition of a track, and all of them, given by name, playlist and duration, are as
/// long as the track.
pub fn renditions<'a>(
    track: &str,
    renditions: impl Iterator<Item = (&'a str, &'a str, u64)>,
    track_ms: u64,
    outputs: &CollectedOutputs,
) -> Result<(), String> {
    let mut count = 0;
    for (name, playlist, duration_ms) in renditions {
        count += 1;
        rendition(playlist, duration_ms, outputs)?;
        if duration_ms.abs_diff(track_ms) > MAX_FRAME_MS {
            return Err(format!("{name} is {duration_ms} ms long, the {track} {track_ms} ms"));
        }
    }
    if count == 0 { Err("there is no rendition".into()) } else { Ok(()) }
}

/// The renditions of a ladder, or of a part of one.
pub fn transcode(
    report: &Value,
    outputs: &CollectedOutputs,
    media: Option<&MediaInfo>,
) -> Result<(), String> {
    playlists(outputs)?;
    let report: TranscodeReport = read(report)?;
    let made_renditions = report.renditions.iter();
    let made_renditions = made_renditions.map(|made| (&*made.name, &*made.playlist, made.duration_ms));
    renditions("video", made_renditions, report.duration_ms, outputs)?;
    for iframes in report.iframes.iter().chain(&report.trickplay) {
        made(&iframes.playlist, outputs)?;
    }
    let expected_ms = media.and_then(|media| media.video.as_ref()).map(|track| track.end_ms);
    duration("video", expected_ms, report.duration_ms, !report.warnings.is_empty())
}

/// Whether the file is known to hold less than it should.
pub fn is_lossy(media: &MediaInfo) -> bool {
    media.warnings.iter().any(Warning::is_loss)
}

/// A track is no shorter than `inspect` said, unless a warning says why. A longer one lost nothing:
/// some containers have no index, and `inspect` guessed.
pub fn duration(track: &str, expected_ms: Option<u64>, made_ms: u64, is_warned: bool) -> Result<(), String> {
    let Some(expected_ms) = expected_ms else { return Ok(()) };
    if !is_warned && made_ms + tolerance_ms(expected_ms) < expected_ms {
        return Err(format!("the {track} is {made_ms} ms long, the recording's {expected_ms} ms"));
    }
    Ok(())
}

/// How far a track may be from what `inspect` said, in ms.
fn tolerance_ms(expected_ms: u64) -> u64 {
    MAX_INDEX_ERROR_MS.max(expected_ms / 50)
}

/// Audio and video agree: they end as far apart as the tracks of the source do, unless a warning
/// says that one of them does not.
pub fn agreement(
    media: &MediaInfo,
    video_ms: Option<u64>,
    audio_ms: Option<u64>,
    is_warned: bool,
) -> Result<(), String> {
    let (Some(video_ms), Some(audio_ms)) = (video_ms, audio_ms) else { return Ok(()) };
    let (Some(video), Some(audio)) = (&media.video, &media.audio) else { return Ok(()) };
    let tolerance_ms = tolerance_ms(media.duration_ms);
    // `inspect` guessed what turned out longer; there is nothing to compare with.
    let is_guessed = video_ms > video.end_ms + tolerance_ms || audio_ms > audio.end_ms + tolerance_ms;
    let apart_ms = (video_ms as i64 - audio_ms as i64) - (video.end_ms as i64 - audio.end_ms as i64);
    if !is_warned && !is_guessed && apart_ms.unsigned_abs() > tolerance_ms {
        return Err(format!("the video is {video_ms} ms long, the audio {audio_ms} ms"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chalkstream_store::ObjectFacts;
    use serde_json::json;

    use super::*;
    use crate::steps::StepKind;

    const PLAYLIST: &str = "#EXTM3U\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:3.200,\n00001.m4s\n#EXTINF:1.000,\n00002.m4s\n#EXT-X-ENDLIST\n";

    fn outputs(paths: &[&str]) -> CollectedOutputs {
        let facts = ObjectFacts { size_bytes: 10, sha256: String::new() };
        let mut outputs = CollectedOutputs::default();
        for path in paths {
            outputs.files.insert((*path).into(), facts.clone());
        }
        outputs.playlists.insert("video/v240/index.m3u8".into(), PLAYLIST.into());
        outputs
    }

    fn report(duration_ms: u64) -> Value {
        json!({
            "renditions": [{
                "name": "v240", "width": 426, "height": 240, "frame_rate": {"num": 15, "den": 1},
                "codecs": "avc1.4d400d", "bandwidth_bps": 1, "average_bandwidth_bps": 1,
                "playlist": "video/v240/index.m3u8", "segments": 2, "duration_ms": duration_ms
            }],
            "iframes": null, "trickplay": null, "duration_ms": duration_ms, "warnings": []
        })
    }

    const ALL: &[&str] =
        &["video/v240/index.m3u8", "video/v240/init.mp4", "video/v240/00001.m4s", "video/v240/00002.m4s"];

    #[test]
    fn a_whole_rendition_passes() {
        StepKind::WeakLine.verify(&report(4200), &outputs(ALL), None).unwrap();
    }

    #[test]
    fn a_missing_segment_or_an_empty_one_does_not() {
        let error = StepKind::WeakLine.verify(&report(4200), &outputs(&ALL[..3]), None).unwrap_err();
        assert!(error.contains("00002.m4s"), "{error}");
        let mut empty = outputs(ALL);
        empty.files.get_mut("video/v240/00001.m4s").unwrap().size_bytes = 0;
        assert!(StepKind::WeakLine.verify(&report(4200), &empty, None).is_err());
    }

    #[test]
    fn a_packaged_source_has_its_playlists_and_indexes_and_no_segments() {
        let report = |segments: u32| {
            json!({
                "video": {
                    "name": "source", "width": 1920, "height": 1080, "frame_rate": {"num": 30, "den": 1},
                    "codecs": "avc1.640028", "bandwidth_bps": 1, "average_bandwidth_bps": 1,
                    "playlist": "source/video/index.m3u8", "segments": segments, "duration_ms": 4200
                },
                "audio": null, "declined": null, "duration_ms": 4200
            })
        };
        let mut made = outputs(&["source/video/index.m3u8", "index/video"]);
        made.playlists = [("source/video/index.m3u8".into(), PLAYLIST.into())].into();
        made.files.get_mut("index/video").unwrap().size_bytes = 1000;
        StepKind::SourceRendition.verify(&report(2), &made, None).unwrap();
        assert!(StepKind::SourceRendition.verify(&report(3), &made, None).is_err());
        let mut open = made.clone();
        open.playlists.insert("source/video/index.m3u8".into(), PLAYLIST.replace("#EXT-X-ENDLIST\n", ""));
        assert!(StepKind::SourceRendition.verify(&report(2), &open, None).is_err());
        made.files.remove("index/video");
        assert!(
            StepKind::SourceRendition.verify(&report(2), &made, None).unwrap_err().contains("index/video")
        );

        let declined = json!({
            "video": null, "audio": null, "duration_ms": 0,
            "declined": { "code": "turned", "message": "The picture is stored turned." }
        });
        StepKind::SourceRendition.verify(&declined, &CollectedOutputs::default(), None).unwrap();
        assert!(
            StepKind::SourceRendition.verify(&declined, &made, None).is_err(),
            "declined, and something made"
        );
    }

    #[test]
    fn a_silent_lesson_has_an_empty_transcript() {
        let report = json!({
            "language": "en", "model": "tiny.en", "cues": 0, "words": 0, "speech_ms": 0,
            "json": "transcript/transcript.json", "vtt": "transcript/captions.en.vtt",
            "srt": "transcript/captions.en.srt", "text": "transcript/transcript.en.txt", "subtitles": null
        });
        let mut made = outputs(&["transcript/transcript.json", "transcript/captions.en.vtt"]);
        made.playlists.clear();
        let empty = ObjectFacts { size_bytes: 0, sha256: String::new() };
        for path in ["transcript/captions.en.srt", "transcript/transcript.en.txt"] {
            made.files.insert(path.into(), empty.clone());
        }
        StepKind::Transcribe.verify(&report, &made, None).unwrap();
    }

    #[test]
    fn a_track_may_be_longer_than_it_was_guessed_and_not_shorter() {
        assert!(duration("audio", Some(33), 10_010, false).is_ok());
        assert!(duration("audio", Some(60_000), 40_000, false).is_err());
        assert!(duration("audio", Some(60_000), 40_000, true).is_ok(), "a warning says why");
    }

    #[test]
    fn a_length_that_was_made_up_does_not() {
        assert!(StepKind::WeakLine.verify(&report(9000), &outputs(ALL), None).is_err());
    }

    #[test]
    fn a_playlist_without_an_end_does_not() {
        let mut open = outputs(ALL);
        open.playlists.insert("video/v240/index.m3u8".into(), PLAYLIST.replace("#EXT-X-ENDLIST\n", ""));
        assert!(StepKind::WeakLine.verify(&report(4200), &open, None).is_err());
    }
}
