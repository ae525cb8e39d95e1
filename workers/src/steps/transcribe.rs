//! `transcribe`: makes transcript and captions from the speech.

use chalkstream_config::SpeechEffort;
use chalkstream_pipeline::media::{MediaInfo, Warning};
use chalkstream_pipeline::model;
use chalkstream_pipeline::step::Step;
use chalkstream_pipeline::steps::audio::AudioReport;
use chalkstream_pipeline::steps::speech::{Effort, TranscribeRequest, TranscriptReport};
use serde::Deserialize;
use serde_json::Value;

use super::cost::Cost;
use super::definition::{Class, Contribution, Deadline, Execution, Input, StepDefinition};
use super::request::{RequestContext, models};
use super::{audio, verify};
use crate::capabilities;
use crate::failure::StepFailure;
use crate::outputs::CollectedOutputs;

/// Name of the step.
pub const NAME: &str = "transcribe";

/// The step.
pub const DEFINITION: StepDefinition = StepDefinition {
    name: NAME,
    class: Class::Words,
    optional: true,
    requires: &[capabilities::SPEECH],
    cost: Cost::TRANSCRIBE,
    execution: Execution::Child { deadline: Deadline::PerDuration, input: Input::SpeechAudio, request },
    verify,
    contribute,
};

fn request(ctx: &RequestContext<'_>) -> Result<Step, StepFailure> {
    let report: Option<AudioReport> = ctx.results.report(audio::speech_step(ctx.results))?;
    let audio = report.ok_or_else(|| StepFailure::ours("there is no audio to transcribe"))?;
    let speech = &ctx.settings.speech;
    let installed = model::locate(&speech.model, &models(ctx.settings))
        .map_err(|error| StepFailure::reported(error.code.into(), error.message.clone(), error.fault()))?;
    Ok(Step::Transcribe(TranscribeRequest {
        model_path: installed.model,
        vad_model_path: Some(installed.vad),
        voices_path: Some(installed.voices),
        meaning_path: Some(installed.meaning),
        model_name: installed.name,
        language: (speech.language != "auto").then(|| speech.language.clone()),
        threads: speech.threads,
        duration_ms: captions_ms(&audio, ctx.results.media()?.as_ref()),
        effort: match speech.effort {
            SpeechEffort::Fast => Effort::Fast,
            SpeechEffort::Careful => Effort::Careful,
        },
        names: ctx.names.clone(),
        silence: ctx.results.get(audio::SPEECH_NAME).is_some(),
        vocabulary: ctx.vocabulary.clone(),
    }))
}

/// End of the captions, in ms: with the video, if that goes on after the audio.
fn captions_ms(audio: &AudioReport, media: Option<&MediaInfo>) -> u64 {
    let video_ms = media.and_then(|media| media.video.as_ref()).map_or(0, |track| track.end_ms);
    // The real duration of a damaged file's video is not known yet.
    if audio.warnings.iter().any(Warning::is_loss) {
        audio.duration_ms
    } else {
        audio.duration_ms.max(video_ms)
    }
}

fn verify(report: &Value, outputs: &CollectedOutputs, _media: Option<&MediaInfo>) -> Result<(), String> {
    verify::playlists(outputs)?;
    let report: TranscriptReport = verify::read(report)?;
    for path in [&report.json, &report.vtt, &report.srt, &report.text] {
        verify::made(path, outputs)?;
    }
    let optional = [&report.subtitles, &report.talk, &report.passages].into_iter().flatten();
    optional.into_iter().try_for_each(|path| verify::made(path, outputs))
}

fn contribute(report: &Value) -> Result<Contribution, StepFailure> {
    let report = TranscriptReport::deserialize(report).map_err(StepFailure::ours)?;
    let mut files = vec![
        ("transcript.json", report.json),
        ("captions.vtt", report.vtt),
        ("captions.srt", report.srt),
        ("transcript.txt", report.text),
    ];
    files.extend(report.talk.map(|path| ("talk.json", path)));
    files.extend(report.passages.map(|path| ("passages.bin", path)));
    Ok(Contribution { files, ..Contribution::default() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chalkstream_config::Settings;
    use serde_json::json;

    use super::*;
    use crate::steps::result::{Results, StepResult};

    fn audio_report(duration_ms: u64) -> AudioReport {
        AudioReport {
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
        let media: MediaInfo = serde_json::from_value(json!({
            "container": "matroska", "size_bytes": 1, "duration_ms": 7000, "audio": null,
            "video": { "codec": "h264", "stream_index": 0, "width": 640, "height": 360,
                "frame_rate": { "num": 30, "den": 1 }, "variable_rate": false,
                "rotation_degrees": 0, "mirrored": false, "oriented_by_frame": false,
                "changes_size": false, "interlaced": false, "hdr": "none",
                "keyframes_apart_ms": 0, "start_ms": 0, "end_ms": 7000 },
            "warnings": []
        }))
        .unwrap();
        assert_eq!(captions_ms(&audio_report(5000), Some(&media)), 7000);
        assert_eq!(captions_ms(&audio_report(5000), None), 5000);
        let damaged = AudioReport { warnings: vec![Warning::new("cut_short", "")], ..audio_report(5000) };
        assert_eq!(captions_ms(&damaged, Some(&media)), 5000);
    }

    #[test]
    fn a_missing_model_says_how_to_get_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.speech.model_path = folder.path().to_owned();
        let report = serde_json::to_value(audio_report(1)).unwrap();
        let mut results = Results::default();
        results.insert(audio::NAME, StepResult { report, ..StepResult::default() });
        let ctx = RequestContext {
            input: &Value::Null,
            results: &results,
            settings: &settings,
            names: None,
            vocabulary: Vec::new(),
        };
        let failure = request(&ctx).unwrap_err();
        assert_eq!(failure.code, "model_missing");
        assert!(failure.message.contains("chalkstream model fetch"), "{}", failure.message);
        assert!(failure.is_missing_here(NAME));
    }
}
