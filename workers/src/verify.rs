//! No step succeeds on its own word: what it reports must be among what it made, whole and of the right length.

use chalkstream_formats::source_index;
use chalkstream_pipeline::media::{MediaInfo, Warning};
use chalkstream_pipeline::package::PackageReport;
use chalkstream_pipeline::sound::SoundReport;
use chalkstream_pipeline::speech::TranscriptReport;
use chalkstream_pipeline::stills::StillsReport;
use chalkstream_pipeline::transcode::TranscodeReport;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::planner;
use crate::sink::Taken;

/// Rounding between a playlist's EXTINF values and a report in ms.
const ROUNDING_MS: u64 = 50;
/// Renditions of one picture may end a frame of the slowest apart (15 frames a second), and so may a track and its
/// source.
const FRAME_MS: u64 = 100;
/// A track may end this much before or after what the file's own index said, which need not be exact.
const INDEX_MS: u64 = 2_000;

/// What is wrong with a step's outputs; nothing where they are what the report says.
pub fn verify(step: &str, report: &Value, taken: &Taken, media: Option<&MediaInfo>) -> Result<(), String> {
    // Where nobody speaks, a transcript's text and its subtitles for players without headers are empty files.
    let may_be_empty = |path: &str| path.starts_with("transcript/");
    if let Some((path, _)) =
        taken.outputs.iter().find(|(path, facts)| facts.size_bytes == 0 && !may_be_empty(path))
    {
        return Err(format!("{path} is empty"));
    }
    for (path, text) in &taken.playlists {
        // The source's segments are joined by the server: they are no objects.
        match step == planner::PACKAGE_SOURCE && path.starts_with("source/") {
            true => ended(path, text)?,
            false => whole(path, text, taken)?,
        }
    }
    match step {
        planner::PACKAGE_SOURCE => package(&read(report)?, taken, media),
        planner::WEAK_LINE | planner::LADDER | planner::LADDER_TOP => transcode(&read(report)?, taken, media),
        planner::SOUND => sound(&read(report)?, taken, media),
        planner::STILLS => stills(&read(report)?, taken),
        planner::TRANSCRIBE => transcript(&read(report)?, taken),
        _ => Ok(()),
    }
}

fn read<T: DeserializeOwned>(report: &Value) -> Result<T, String> {
    T::deserialize(report).map_err(|error| format!("the report cannot be read: {error}"))
}

fn there(path: &str, taken: &Taken) -> Result<(), String> {
    if taken.outputs.contains_key(path) { Ok(()) } else { Err(format!("{path} was reported and not made")) }
}

/// A media playlist is finished, and everything it names was made.
fn whole(path: &str, text: &str, taken: &Taken) -> Result<(), String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mapped = text.lines().filter_map(|line| {
        let uri = line.strip_prefix("#EXT-X-MAP:")?.split_once("URI=\"")?.1;
        uri.split_once('"').map(|(uri, _)| uri)
    });
    let segments = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    for uri in mapped.chain(segments) {
        there(&format!("{folder}/{uri}"), taken)?;
    }
    ended(path, text)
}

fn ended(path: &str, text: &str) -> Result<(), String> {
    if text.lines().any(|line| line == "#EXT-X-ENDLIST") { Ok(()) } else { Err(format!("{path} has no end")) }
}

/// The length a media playlist adds up to, in ms.
fn length_ms(text: &str) -> u64 {
    let seconds: f64 = text
        .lines()
        .filter_map(|line| line.strip_prefix("#EXTINF:")?.split(',').next()?.trim().parse::<f64>().ok())
        .sum();
    (seconds * 1000.0).round() as u64
}

/// A rendition's playlist is there and as long as the report says.
fn rendition(playlist: &str, duration_ms: u64, taken: &Taken) -> Result<(), String> {
    let text =
        taken.playlists.get(playlist).ok_or_else(|| format!("{playlist} was reported and not made"))?;
    let played = length_ms(text);
    if played.abs_diff(duration_ms) > ROUNDING_MS {
        return Err(format!("{playlist} plays {played} ms, reported are {duration_ms}"));
    }
    Ok(())
}

fn transcode(report: &TranscodeReport, taken: &Taken, media: Option<&MediaInfo>) -> Result<(), String> {
    if report.renditions.is_empty() {
        return Err("there is no rendition".into());
    }
    for made in &report.renditions {
        rendition(&made.playlist, made.duration_ms, taken)?;
        if made.duration_ms.abs_diff(report.duration_ms) > FRAME_MS {
            return Err(format!(
                "{} is {} ms long, the picture {} ms",
                made.name, made.duration_ms, report.duration_ms
            ));
        }
    }
    for iframes in report.iframes.iter().chain(&report.trickplay) {
        there(&iframes.playlist, taken)?;
    }
    let expected = media.and_then(|media| media.video.as_ref()).map(|track| track.end_ms);
    length("picture", expected, report.duration_ms, !report.warnings.is_empty())
}

/// The source as a rendition: for each track a playlist and the index that its segments are joined from.
fn package(report: &PackageReport, taken: &Taken, media: Option<&MediaInfo>) -> Result<(), String> {
    let Some(video) = report.video.as_ref().or(report.hevc.as_ref().map(|hevc| &hevc.picture)) else {
        return match (&report.declined, &report.audio, taken.outputs.keys().next()) {
            (Some(_), None, None) => Ok(()),
            (Some(_), _, _) => Err("the source was declined and something made of it".into()),
            (None, _, _) => Err("the source was neither packaged nor declined".into()),
        };
    };
    let track = |name: &str, playlist: &str, segments: u32, duration_ms: u64| {
        rendition(playlist, duration_ms, taken)?;
        let index = format!("index/{name}");
        there(&index, taken)?;
        let named =
            taken.playlists[playlist].lines().filter(|line| line.starts_with("#EXTINF:")).count() as u64;
        let least = source_index::HEADER_BYTES as u64 + named * source_index::ENTRY_BYTES as u64;
        if named != u64::from(segments) || taken.outputs[&index].size_bytes <= least {
            return Err(format!("{playlist} names {named} segments, reported are {segments}"));
        }
        Ok(())
    };
    track("video", &video.playlist, video.segments, video.duration_ms)?;
    if let Some(audio) = &report.audio {
        track("audio", &audio.playlist, audio.segments, audio.duration_ms)?;
    }
    let expected = media.and_then(|media| media.video.as_ref()).map(|track| track.end_ms);
    length("picture", expected, report.duration_ms, media.is_some_and(lost))
}

fn sound(report: &SoundReport, taken: &Taken, media: Option<&MediaInfo>) -> Result<(), String> {
    if report.renditions.is_empty() {
        return Err("there is no rendition".into());
    }
    for made in &report.renditions {
        rendition(&made.playlist, made.duration_ms, taken)?;
        if made.duration_ms.abs_diff(report.duration_ms) > FRAME_MS {
            return Err(format!(
                "{} is {} ms long, the sound {} ms",
                made.name, made.duration_ms, report.duration_ms
            ));
        }
    }
    if report.speech.is_empty() {
        return Err("there is no sound for speech".into());
    }
    report.speech.iter().try_for_each(|part| there(part, taken))?;
    let warned = media.is_some_and(lost) || report.warnings.iter().any(Warning::of_loss);
    let expected = media.and_then(|media| media.audio.as_ref()).map(|track| track.end_ms);
    length("sound", expected, report.duration_ms, warned)
}

/// Whether the file is known to hold less than it should.
fn lost(media: &MediaInfo) -> bool {
    media.warnings.iter().any(Warning::of_loss)
}

/// A track is no shorter than `inspect` said, unless somebody has said why it is. A longer one lost nothing: some
/// containers have no index, and `inspect` guessed.
fn length(what: &str, expected: Option<u64>, made: u64, warned: bool) -> Result<(), String> {
    let Some(expected) = expected else { return Ok(()) };
    if !warned && made + allowed_ms(expected) < expected {
        return Err(format!("the {what} is {made} ms long, the recording's {expected} ms"));
    }
    Ok(())
}

fn stills(report: &StillsReport, taken: &Taken) -> Result<(), String> {
    there(&report.poster, taken)?;
    if let Some(made) = &report.rendition {
        rendition(&made.playlist, made.duration_ms, taken)?;
    }
    if let Some(storyboard) = &report.storyboard {
        there(&storyboard.vtt, taken)?;
        for sheet in &storyboard.sheets {
            there(sheet, taken)?;
        }
    }
    Ok(())
}

fn transcript(report: &TranscriptReport, taken: &Taken) -> Result<(), String> {
    for path in [&report.json, &report.vtt, &report.srt, &report.text] {
        there(path, taken)?;
    }
    report.subtitles.as_deref().map_or(Ok(()), |path| there(path, taken))
}

/// How far a track may be from what `inspect` said, in ms.
fn allowed_ms(expected: u64) -> u64 {
    INDEX_MS.max(expected / 50)
}

/// Sound and picture agree: they end as far apart as the source's tracks do, unless somebody has `warned` that one of
/// them does not.
pub fn agree(
    media: &MediaInfo,
    picture_ms: Option<u64>,
    sound_ms: Option<u64>,
    warned: bool,
) -> Result<(), String> {
    let (Some(picture), Some(sound)) = (picture_ms, sound_ms) else { return Ok(()) };
    let (Some(video), Some(audio)) = (&media.video, &media.audio) else { return Ok(()) };
    let allowed = allowed_ms(media.duration_ms);
    // What `inspect` found too short it guessed; there is nothing to compare with.
    let guessed = picture > video.end_ms + allowed || sound > audio.end_ms + allowed;
    let apart = (picture as i64 - sound as i64) - (video.end_ms as i64 - audio.end_ms as i64);
    if !warned && !guessed && apart.unsigned_abs() > allowed {
        return Err(format!("the picture is {picture} ms long, the sound {sound} ms"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chalkstream_store::ObjectFacts;
    use serde_json::json;

    use super::*;

    const PLAYLIST: &str = "#EXTM3U\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:3.200,\n00001.m4s\n#EXTINF:1.000,\n00002.m4s\n#EXT-X-ENDLIST\n";

    fn taken(paths: &[&str]) -> Taken {
        let facts = ObjectFacts { size_bytes: 10, sha256: String::new() };
        let mut taken = Taken::default();
        for path in paths {
            taken.outputs.insert((*path).into(), facts.clone());
        }
        taken.playlists.insert("video/v240/index.m3u8".into(), PLAYLIST.into());
        taken
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
        verify(planner::WEAK_LINE, &report(4200), &taken(ALL), None).unwrap();
    }

    #[test]
    fn a_missing_segment_or_an_empty_one_does_not() {
        let error = verify(planner::WEAK_LINE, &report(4200), &taken(&ALL[..3]), None).unwrap_err();
        assert!(error.contains("00002.m4s"), "{error}");
        let mut empty = taken(ALL);
        empty.outputs.get_mut("video/v240/00001.m4s").unwrap().size_bytes = 0;
        assert!(verify(planner::WEAK_LINE, &report(4200), &empty, None).is_err());
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
        let mut made = taken(&["source/video/index.m3u8", "index/video"]);
        made.playlists = [("source/video/index.m3u8".into(), PLAYLIST.into())].into();
        made.outputs.get_mut("index/video").unwrap().size_bytes = 1000;
        verify(planner::PACKAGE_SOURCE, &report(2), &made, None).unwrap();
        assert!(verify(planner::PACKAGE_SOURCE, &report(3), &made, None).is_err());
        let mut open = made.clone();
        open.playlists.insert("source/video/index.m3u8".into(), PLAYLIST.replace("#EXT-X-ENDLIST\n", ""));
        assert!(verify(planner::PACKAGE_SOURCE, &report(2), &open, None).is_err());
        made.outputs.remove("index/video");
        assert!(
            verify(planner::PACKAGE_SOURCE, &report(2), &made, None).unwrap_err().contains("index/video")
        );

        let declined = json!({
            "video": null, "audio": null, "duration_ms": 0,
            "declined": { "code": "turned", "message": "The picture is stored turned." }
        });
        verify(planner::PACKAGE_SOURCE, &declined, &Taken::default(), None).unwrap();
        assert!(
            verify(planner::PACKAGE_SOURCE, &declined, &made, None).is_err(),
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
        let mut made = taken(&["transcript/transcript.json", "transcript/captions.en.vtt"]);
        made.playlists.clear();
        let empty = ObjectFacts { size_bytes: 0, sha256: String::new() };
        for path in ["transcript/captions.en.srt", "transcript/transcript.en.txt"] {
            made.outputs.insert(path.into(), empty.clone());
        }
        verify(planner::TRANSCRIBE, &report, &made, None).unwrap();
    }

    #[test]
    fn a_track_may_be_longer_than_it_was_guessed_and_not_shorter() {
        assert!(length("sound", Some(33), 10_010, false).is_ok());
        assert!(length("sound", Some(60_000), 40_000, false).is_err());
        assert!(length("sound", Some(60_000), 40_000, true).is_ok(), "somebody has said why");
    }

    #[test]
    fn a_length_that_was_made_up_does_not() {
        assert!(verify(planner::WEAK_LINE, &report(9000), &taken(ALL), None).is_err());
    }

    #[test]
    fn a_playlist_without_an_end_does_not() {
        let mut open = taken(ALL);
        open.playlists.insert("video/v240/index.m3u8".into(), PLAYLIST.replace("#EXT-X-ENDLIST\n", ""));
        assert!(verify(planner::WEAK_LINE, &report(4200), &open, None).is_err());
    }
}
