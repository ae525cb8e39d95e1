//! Which steps a recording needs, as plain data. The job starts with `inspect`; what it found decides the rest.

use chalkstream_pipeline::ladder::Ladder;
use chalkstream_pipeline::media::{Limits, MediaInfo, VideoTrack};
use chalkstream_pipeline::sound::SoundRequest;
use chalkstream_pipeline::step::Step;
use chalkstream_pipeline::stills::StillsRequest;
use chalkstream_pipeline::transcode::TranscodeRequest;
use chalkstream_store::StepSpec;
use serde_json::Value;

use crate::failure::StepFailure;

/// Says what the file is.
pub const INSPECT: &str = "inspect";
/// Decodes the sound.
pub const SOUND: &str = "sound";
/// Makes the ladder.
pub const TRANSCODE: &str = "transcode";
/// Makes poster and storyboard.
pub const STILLS: &str = "stills";
/// Makes the transcript.
pub const TRANSCRIBE: &str = "transcribe";
/// Puts the first revision out.
pub const PUBLISH: &str = "publish";
/// Puts the last revision out and cleans up.
pub const FINISH: &str = "finish";

/// What makes a recording watchable goes before every other recording's rest.
const STAGE_1: i64 = 0;
/// The rest.
const STAGE_2: i64 = 1;

/// What the settings say about the plan.
pub struct PlanSettings<'a> {
    /// Limits every step holds the file to.
    pub limits: Limits,
    /// Whether a transcript is made.
    pub transcribe: bool,
    /// The ladder for a picture.
    pub ladder: &'a dyn Fn(&VideoTrack) -> Ladder,
}

/// The first step of every job.
pub fn first() -> StepSpec {
    StepSpec {
        name: INSPECT.into(),
        needs: Vec::new(),
        optional: false,
        priority: STAGE_1,
        input: Value::Null,
    }
}

/// The steps after `inspect`. Sound or picture that the file does not have gets no step; captions and stills are
/// never worth a recording.
pub fn after_inspect(media: &MediaInfo, settings: &PlanSettings<'_>) -> Result<Vec<StepSpec>, StepFailure> {
    let limits = || settings.limits.clone();
    let mut steps = Vec::new();
    let mut watchable = vec![INSPECT];
    if media.audio.is_some() {
        let step = Step::Sound(SoundRequest { media: media.clone(), limits: limits() });
        steps.push(spec(SOUND, &[INSPECT], STAGE_1, Some(&step))?);
        watchable.push(SOUND);
    }
    if let Some(video) = &media.video {
        let ladder = (settings.ladder)(video);
        let step = Step::Transcode(TranscodeRequest {
            media: media.clone(),
            ladder,
            iframes: true,
            trickplay: true,
            limits: limits(),
        });
        steps.push(spec(TRANSCODE, &[INSPECT], STAGE_1, Some(&step))?);
        watchable.push(TRANSCODE);
    }
    let stills = Step::Stills(StillsRequest { media: media.clone(), limits: limits() });
    steps.push(StepSpec { optional: true, ..spec(STILLS, &[INSPECT], STAGE_1, Some(&stills))? });
    if media.audio.is_some() && settings.transcribe {
        // Where its model lies is each worker's own affair.
        steps.push(StepSpec { optional: true, ..spec(TRANSCRIBE, &[INSPECT, SOUND], STAGE_2, None)? });
    }
    steps.push(spec(PUBLISH, &watchable, STAGE_1, None)?);
    let mut everything: Vec<&str> = vec![INSPECT];
    everything.extend(steps.iter().map(|step| step.name.as_str()));
    let finish = spec(FINISH, &everything, STAGE_2, None)?;
    steps.push(finish);
    Ok(steps)
}

fn spec(name: &str, needs: &[&str], priority: i64, step: Option<&Step>) -> Result<StepSpec, StepFailure> {
    let input = step.map(serde_json::to_value).transpose().map_err(StepFailure::ours)?;
    Ok(StepSpec {
        name: name.into(),
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        optional: false,
        priority,
        input: input.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chalkstream_pipeline::media::{AudioTrack, Hdr, Rational};

    use super::*;

    fn media(picture: bool, sound: bool) -> MediaInfo {
        let video = VideoTrack {
            codec: "h264".into(),
            stream_index: 0,
            width: 1280,
            height: 720,
            frame_rate: Rational::new(30, 1),
            variable_rate: false,
            rotation_degrees: 0,
            mirrored: false,
            interlaced: false,
            hdr: Hdr::None,
            chosen: None,
            start_ms: 0,
            end_ms: 5000,
        };
        let audio = AudioTrack {
            codec: "aac".into(),
            stream_index: 0,
            channels: 2,
            sample_rate_hz: 48_000,
            language: None,
            chosen: None,
            start_ms: 0,
            end_ms: 5000,
        };
        MediaInfo {
            container: "mp4".into(),
            size_bytes: 1,
            duration_ms: 5000,
            origin_ns: 0,
            video: picture.then_some(video),
            audio: sound.then_some(audio),
            warnings: Vec::new(),
        }
    }

    fn plan(picture: bool, sound: bool, transcribe: bool) -> Vec<(String, Vec<String>, bool)> {
        let ladder = |_: &VideoTrack| Ladder::new(Vec::new());
        let settings = PlanSettings { limits: Limits::default(), transcribe, ladder: &ladder };
        let steps = after_inspect(&media(picture, sound), &settings).unwrap();
        steps.into_iter().map(|step| (step.name, step.needs, step.optional)).collect()
    }

    fn names(plan: &[(String, Vec<String>, bool)]) -> Vec<&str> {
        plan.iter().map(|(name, _, _)| name.as_str()).collect()
    }

    #[test]
    fn a_filmed_lesson_gets_everything() {
        let plan = plan(true, true, true);
        assert_eq!(names(&plan), [SOUND, TRANSCODE, STILLS, TRANSCRIBE, PUBLISH, FINISH]);
        let needs = |name: &str| plan.iter().find(|(n, _, _)| n == name).unwrap().1.clone();
        assert_eq!(needs(TRANSCRIBE), [INSPECT, SOUND]);
        assert_eq!(needs(PUBLISH), [INSPECT, SOUND, TRANSCODE], "a lesson is watchable before its captions");
        assert_eq!(needs(FINISH), [INSPECT, SOUND, TRANSCODE, STILLS, TRANSCRIBE, PUBLISH]);
        let optional: Vec<_> =
            plan.iter().filter(|(_, _, optional)| *optional).map(|(n, _, _)| n.as_str()).collect();
        assert_eq!(optional, [STILLS, TRANSCRIBE]);
    }

    #[test]
    fn what_a_file_does_not_have_gets_no_step() {
        assert_eq!(names(&plan(true, false, true)), [TRANSCODE, STILLS, PUBLISH, FINISH]);
        assert_eq!(names(&plan(false, true, true)), [SOUND, STILLS, TRANSCRIBE, PUBLISH, FINISH]);
        assert_eq!(names(&plan(false, true, false)), [SOUND, STILLS, PUBLISH, FINISH]);
    }

    #[test]
    fn every_need_is_a_step_planned_before() {
        let plan = plan(true, true, true);
        let mut known = vec![INSPECT.to_owned()];
        for (name, needs, _) in plan {
            assert!(needs.iter().all(|need| known.contains(need)), "{name} needs {needs:?}");
            known.push(name);
        }
    }
}
