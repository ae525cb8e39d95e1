//! From a planned step and the settings to what a child is asked to do.

use std::path::PathBuf;
use std::time::Duration;

use chalkstream_config::Settings;
use chalkstream_pipeline::inspect::InspectRequest;
use chalkstream_pipeline::media::{Limits, MediaInfo, Warning};
use chalkstream_pipeline::model;
use chalkstream_pipeline::package::PackageReport;
use chalkstream_pipeline::sound::SoundReport;
use chalkstream_pipeline::speech::TranscribeRequest;
use chalkstream_pipeline::step::Step;
use chalkstream_pipeline::transcode::TranscodeReport;
use serde::Deserialize;
use serde_json::Value;

use crate::failure::StepFailure;
use crate::result::{Results, report};
use crate::{ladder, planner};

/// The limits a file is held to.
pub fn limits(settings: &Settings) -> Limits {
    Limits {
        max_pixels: settings.media.max_pixels,
        max_duration_ms: settings.media.max_duration_ms,
        max_tracks: settings.media.max_tracks,
    }
}

/// What a child is asked for. `input` is what the planner wrote, `results` those of the steps it needs.
pub fn step(name: &str, input: &Value, results: &Results, settings: &Settings) -> Result<Step, StepFailure> {
    match name {
        planner::INSPECT => {
            let vad_model_path = vad_model(settings);
            Ok(Step::Inspect(InspectRequest { limits: limits(settings), vad_model_path }))
        }
        planner::SOUND => {
            let mut step = Step::deserialize(input).map_err(StepFailure::ours)?;
            if let Step::Sound(request) = &mut step {
                request.vad_model_path = vad_model(settings);
            }
            Ok(step)
        }
        planner::TRANSCRIBE => {
            let sound: SoundReport = report(results, planner::SOUND)?
                .ok_or_else(|| StepFailure::ours("there is no sound to transcribe"))?;
            transcribe(&sound, inspected(results)?.as_ref(), settings)
        }
        planner::LADDER | planner::LADDER_TOP => {
            let mut step = Step::deserialize(input).map_err(StepFailure::ours)?;
            let source: Option<PackageReport> = report(results, planner::PACKAGE_SOURCE)?;
            if let (Step::Transcode(request), Some(source)) = (&mut step, source.and_then(|made| made.video))
            {
                ladder::beside_source(&mut request.ladder, &source, &settings.source_rendition);
            }
            Ok(step)
        }
        _ => Step::deserialize(input).map_err(StepFailure::ours),
    }
}

/// The report of a step that has nothing to make: the source is all the rest of its ladder.
pub fn nothing_to_make(step: &Step) -> Option<TranscodeReport> {
    match step {
        Step::Transcode(request) if request.ladder.renditions.is_empty() => Some(TranscodeReport::default()),
        _ => None,
    }
}

fn transcribe(
    sound: &SoundReport,
    media: Option<&MediaInfo>,
    settings: &Settings,
) -> Result<Step, StepFailure> {
    let speech = &settings.speech;
    let installed = model::locate(&speech.model, &models(settings)).map_err(reported)?;
    Ok(Step::Transcribe(TranscribeRequest {
        model_path: installed.model,
        vad_model_path: Some(installed.vad),
        model_name: installed.name,
        language: (speech.language != "auto").then(|| speech.language.clone()),
        threads: speech.threads,
        duration_ms: captions_ms(sound, media),
    }))
}

/// Where captions end, in ms: with the video, where that goes on after the audio.
fn captions_ms(sound: &SoundReport, media: Option<&MediaInfo>) -> u64 {
    let video_ms = media.and_then(|media| media.video.as_ref()).map_or(0, |track| track.end_ms);
    // How long the video of a damaged file really is, is not known yet.
    if sound.warnings.iter().any(Warning::of_loss) {
        sound.duration_ms
    } else {
        sound.duration_ms.max(video_ms)
    }
}

/// The voice activity model of this worker, where it is installed.
fn vad_model(settings: &Settings) -> Option<PathBuf> {
    let path = models(settings).join(model::VAD_FILE);
    path.is_file().then_some(path)
}

/// The folder of the speech models.
pub fn models(settings: &Settings) -> PathBuf {
    let given = &settings.speech.model_path;
    if given.as_os_str().is_empty() { model::default_dir() } else { given.clone() }
}

fn reported(error: chalkstream_pipeline::Error) -> StepFailure {
    StepFailure::reported(error.code.into(), error.message.clone(), error.fault())
}

/// What `inspect` found, where it has run.
pub fn inspected(results: &Results) -> Result<Option<MediaInfo>, StepFailure> {
    report(results, planner::INSPECT)
}

/// How long a step may work on a recording of this length.
pub fn deadline(name: &str, media: Option<&MediaInfo>, settings: &Settings) -> Duration {
    let worker = &settings.worker;
    if name == planner::INSPECT {
        return Duration::from_millis(worker.inspect_deadline_ms);
    }
    let length_ms = media.map_or(0, |media| media.duration_ms) as f64;
    let more_ms = (length_ms * worker.step_deadline_per_media.max(0.0)) as u64;
    Duration::from_millis(worker.step_deadline_base_ms.saturating_add(more_ms))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sound(duration_ms: u64) -> SoundReport {
        SoundReport {
            loudness_lufs: None,
            speech_lufs: None,
            speech_share: 0.0,
            true_peak_dbtp: 0.0,
            gain_db: 0.0,
            renditions: Vec::new(),
            language: None,
            speech: vec!["work/speech.wav.001".into()],
            duration_ms,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn captions_end_with_the_longer_track() {
        let media: MediaInfo = serde_json::from_value(serde_json::json!({
            "container": "matroska", "size_bytes": 1, "duration_ms": 7000, "audio": null,
            "video": { "codec": "h264", "stream_index": 0, "width": 640, "height": 360,
                "frame_rate": { "num": 30, "den": 1 }, "variable_rate": false,
                "rotation_degrees": 0, "mirrored": false, "oriented_by_frame": false,
                "changes_size": false, "interlaced": false, "hdr": "none",
                "keyframes_apart_ms": 0, "start_ms": 0, "end_ms": 7000 },
            "warnings": []
        }))
        .unwrap();
        assert_eq!(captions_ms(&sound(5000), Some(&media)), 7000);
        assert_eq!(captions_ms(&sound(9000), Some(&media)), 9000);
        assert_eq!(captions_ms(&sound(5000), None), 5000);
        let damaged = SoundReport { warnings: vec![Warning::new("cut_short", "")], ..sound(5000) };
        assert_eq!(captions_ms(&damaged, Some(&media)), 5000);
    }

    #[test]
    fn a_missing_model_says_how_to_get_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.speech.model_path = folder.path().to_owned();
        let sound = sound(1);
        let failure = transcribe(&sound, None, &settings).unwrap_err();
        assert_eq!(failure.code, "model_missing");
        assert!(failure.message.contains("chalkstream model fetch"), "{}", failure.message);
        assert_eq!(failure.retry(), chalkstream_store::Retry::Never);
    }

    #[test]
    fn a_bad_file_is_refused_within_ten_seconds() {
        let settings = Settings::default();
        assert!(deadline(planner::INSPECT, None, &settings) < Duration::from_secs(10));
    }
}
