//! `silenced_audio`: decodes the audio into its renditions, silent where the transcript has a name.
//! Recordings of a tenant that silences names have it instead of `sound`.

use chalkstream_pipeline::media::MediaInfo;
use chalkstream_pipeline::step::Step;
use chalkstream_pipeline::steps::audio::AudioReport;
use chalkstream_pipeline::steps::speech::TranscriptReport;
use serde_json::Value;

use super::definition::{Deadline, Execution, Input, StepDefinition};
use super::request::RequestContext;
use super::result::Results;
use super::{audio, transcribe, verify};
use crate::failure::StepFailure;
use crate::outputs::CollectedOutputs;

/// Name of the step.
pub const NAME: &str = "silenced_audio";

/// The step.
pub const DEFINITION: StepDefinition = StepDefinition {
    name: NAME,
    execution: Execution::Child { deadline: Deadline::PerDuration, input: Input::Source, request },
    verify,
    ..audio::DEFINITION
};

/// Name of the step that made the audio renditions.
pub fn renditions_step(results: &Results) -> &'static str {
    if results.get(NAME).is_some() { NAME } else { audio::NAME }
}

fn request(ctx: &RequestContext<'_>) -> Result<Step, StepFailure> {
    let mut step = audio::request(ctx)?;
    let transcript: Option<TranscriptReport> = ctx.results.report(transcribe::NAME)?;
    // Without spans nothing is known of names. None of them is another matter.
    let silenced_ms = transcript.and_then(|transcript| transcript.silenced_ms);
    let silenced_ms = silenced_ms.ok_or_else(|| StepFailure::ours("nothing says when names are said"))?;
    if let Step::Audio(request) = &mut step {
        request.silenced_ms = silenced_ms;
    }
    Ok(step)
}

fn verify(report: &Value, outputs: &CollectedOutputs, media: Option<&MediaInfo>) -> Result<(), String> {
    let report: AudioReport = verify::read(report)?;
    audio::verify_renditions(&report, outputs)?;
    audio::verify_duration(&report, media)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chalkstream_config::Settings;
    use chalkstream_pipeline::limits::Limits;
    use chalkstream_pipeline::steps::audio::AudioOutputs;
    use serde_json::json;

    use super::*;
    use crate::steps::result::StepResult;

    fn silenced_ms(transcript: Option<Value>) -> Result<Vec<(u64, u64)>, StepFailure> {
        let media = json!({
            "container": "wav", "size_bytes": 1, "duration_ms": 9000, "audio": null, "video": null,
            "warnings": []
        });
        let media: MediaInfo = serde_json::from_value(media).unwrap();
        let plan = audio::plan(&media, &Limits::default(), AudioOutputs::Renditions);
        let mut results = Results::default();
        if let Some(report) = transcript {
            results.insert(transcribe::NAME, StepResult { report, ..StepResult::default() });
        }
        let input = serde_json::to_value(plan).unwrap();
        let settings = Settings::default();
        let ctx = RequestContext {
            input: &input,
            results: &results,
            settings: &settings,
            names: None,
            vocabulary: Vec::new(),
        };
        let Step::Audio(request) = request(&ctx)? else { panic!("another step") };
        assert_eq!(request.outputs, AudioOutputs::Renditions);
        Ok(request.silenced_ms)
    }

    #[test]
    fn there_is_no_audio_before_it_is_known_where_names_are() {
        let transcript = |silenced_ms: Value| {
            Some(json!({
                "language": "en", "model": "base", "cues": 1, "words": 2, "speech_ms": 900, "json": "j",
                "vtt": "v", "srt": "s", "text": "t", "subtitles": null, "silenced_ms": silenced_ms,
            }))
        };
        assert_eq!(silenced_ms(transcript(json!([[250, 1650]]))).unwrap(), [(250, 1650)]);
        assert_eq!(silenced_ms(transcript(json!([]))).unwrap(), []);
        for unknown in [None, transcript(Value::Null)] {
            assert!(silenced_ms(unknown).is_err());
        }
    }
}
