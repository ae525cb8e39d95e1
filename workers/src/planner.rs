//! Which steps a recording needs, as plain data. The job starts with `inspect`; what it found decides the rest.
//!
//! Stage 1 is what makes a lesson watchable, in the order of what it costs: the source itself, where a browser plays it
//! (no frame is decoded), sound with stills (a thirtieth of the whole work), the weak line's rendition (a seventh).
//! Stage 2 is the rest. Each revision is a step of its own, and each waits for the one before it, so that no two are made
//! at once.

use chalkstream_pipeline::ladder::Ladder;
use chalkstream_pipeline::media::{Limits, MediaInfo, VideoTrack};
use chalkstream_pipeline::package::PackageRequest;
use chalkstream_pipeline::sound::SoundRequest;
use chalkstream_pipeline::step::Step;
use chalkstream_pipeline::stills::StillsRequest;
use chalkstream_pipeline::transcode::TranscodeRequest;
use chalkstream_store::StepSpec;
use serde_json::Value;

use crate::failure::StepFailure;

/// Says what the file is.
pub const INSPECT: &str = "inspect";
/// Indexes the source, so that it is a rendition.
pub const PACKAGE_SOURCE: &str = "package_source";
/// Decodes the sound.
pub const SOUND: &str = "sound";
/// Makes poster and storyboard, and the rendition of stills.
pub const STILLS: &str = "stills";
/// Makes the weak line's rendition.
pub const WEAK_LINE: &str = "weak_line";
/// Makes the rest of the ladder.
pub const LADDER: &str = "ladder";
/// Makes the renditions that may wait for idle time.
pub const LADDER_TOP: &str = "ladder_top";
/// Makes the transcript.
pub const TRANSCRIBE: &str = "transcribe";
/// Puts the source out.
pub const PUBLISH_SOURCE: &str = "publish_source";
/// Puts sound and stills out.
pub const PUBLISH_STILLS: &str = "publish_stills";
/// Puts the weak line's rendition out.
pub const PUBLISH_WEAK_LINE: &str = "publish_weak_line";
/// Puts the ladder out.
pub const PUBLISH_LADDER: &str = "publish_ladder";
/// Puts the last revision out and cleans up.
pub const FINISH: &str = "finish";

/// The steps that put a revision out.
pub const PUBLISHES: [&str; 5] = [PUBLISH_SOURCE, PUBLISH_STILLS, PUBLISH_WEAK_LINE, PUBLISH_LADDER, FINISH];
/// The steps that make renditions of the decoded picture, smallest first.
pub const TRANSCODES: [&str; 3] = [WEAK_LINE, LADDER, LADDER_TOP];

/// What makes a recording watchable goes before every other recording's rest.
pub const STAGE_1: i64 = 0;
/// The rest.
const STAGE_2: i64 = 1;
/// What waits until nothing else is to be done.
const IDLE: i64 = 2;

/// Whether a step may wait for all that makes a lesson watchable.
pub fn in_background(step: &str) -> bool {
    [LADDER, LADDER_TOP, TRANSCRIBE].contains(&step)
}

/// What the settings say about the plan.
pub struct PlanSettings<'a> {
    /// Limits every step holds the file to.
    pub limits: Limits,
    /// Whether a transcript is made.
    pub transcribe: bool,
    /// The longest segment of the source as a rendition, in ms; none where the source is not to be one.
    pub source_segment_ms: Option<u64>,
    /// Renditions higher than this are left to idle time, in pixels of the shorter side.
    pub idle_above: Option<u32>,
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

/// The steps after `inspect`. Sound or picture that the file does not have gets no step; the source as it is, stills
/// and captions are never worth a recording.
pub fn after_inspect(media: &MediaInfo, settings: &PlanSettings<'_>) -> Result<Vec<StepSpec>, StepFailure> {
    let mut plan = Plan::default();
    let limits = || settings.limits.clone();
    let codec =
        media.video.as_ref().filter(|_| media.container == "mp4").map_or("", |video| video.codec.as_str());
    // Worth a look at the file's index: it may be played as it is, by every browser or by some.
    let (by_all, by_some) = (codec == "h264", codec == "hevc");
    if let Some(max_segment_ms) = settings.source_segment_ms.filter(|_| by_all || by_some) {
        let request = PackageRequest { media: media.clone(), limits: limits(), max_segment_ms };
        plan.optional(PACKAGE_SOURCE, &[], STAGE_1, Some(&Step::PackageSource(request)))?;
        if by_all {
            plan.publish(PUBLISH_SOURCE, STAGE_1)?;
        }
    }
    if media.audio.is_some() {
        let request = SoundRequest { media: media.clone(), limits: limits(), vad_model_path: None };
        plan.add(SOUND, &[], STAGE_1, Some(&Step::Sound(request)))?;
    }
    let request = StillsRequest { media: media.clone(), limits: limits() };
    plan.optional(STILLS, &[], STAGE_1, Some(&Step::Stills(request)))?;
    plan.publish(PUBLISH_STILLS, STAGE_1)?;
    if let Some(video) = &media.video {
        // Sound and stills first: both cores are theirs until then.
        let first: Vec<&str> =
            [PACKAGE_SOURCE, SOUND, STILLS].into_iter().filter(|name| plan.has(name)).collect();
        let parts = parts((settings.ladder)(video), settings.idle_above);
        // The source as it is may take the place of the largest: what scrubs does not hang on that.
        let few = parts.iter().all(|(name, ladder, _)| *name != LADDER || ladder.renditions.len() < 2);
        for (name, ladder, stage) in parts {
            let request = TranscodeRequest {
                media: media.clone(),
                ladder,
                limits: limits(),
                iframes: name == WEAK_LINE,
                trickplay: name == if few { WEAK_LINE } else { LADDER },
            };
            let step = Step::Transcode(request);
            match name {
                WEAK_LINE => {
                    plan.add(WEAK_LINE, &first, STAGE_1, Some(&step))?;
                    plan.publish(PUBLISH_WEAK_LINE, STAGE_1)?;
                }
                // The source may make the largest rendition needless.
                _ => plan.add(name, &[PACKAGE_SOURCE, WEAK_LINE], stage, Some(&step))?,
            }
        }
        if plan.has(LADDER) && plan.has(LADDER_TOP) {
            plan.publish(PUBLISH_LADDER, STAGE_2)?;
        }
    }
    if media.audio.is_some() && settings.transcribe {
        // Where its model lies is each worker's own affair.
        plan.optional(TRANSCRIBE, &[SOUND], STAGE_2, None)?;
    }
    plan.finish()
}

/// A ladder by the steps that make it: the smallest rendition, the rest, and what may wait.
fn parts(ladder: Ladder, idle_above: Option<u32>) -> Vec<(&'static str, Ladder, i64)> {
    let idle = |width: u32, height: u32| idle_above.is_some_and(|above| width.min(height) > above);
    let smallest = ladder.renditions.len().saturating_sub(1);
    let (mut weak, mut rest, mut top) = (Vec::new(), Vec::new(), Vec::new());
    for (place, rendition) in ladder.renditions.iter().cloned().enumerate() {
        match place {
            _ if place == smallest => weak.push(rendition),
            _ if idle(rendition.width, rendition.height) => top.push(rendition),
            _ => rest.push(rendition),
        }
    }
    [(WEAK_LINE, weak, STAGE_1), (LADDER, rest, STAGE_2), (LADDER_TOP, top, IDLE)]
        .into_iter()
        .filter(|(name, renditions, _)| *name == WEAK_LINE || !renditions.is_empty())
        .map(|(name, renditions, stage)| (name, Ladder { renditions, ..ladder.clone() }, stage))
        .collect()
}

/// The plan being made.
#[derive(Default)]
struct Plan {
    steps: Vec<StepSpec>,
}

impl Plan {
    fn has(&self, name: &str) -> bool {
        self.steps.iter().any(|step| step.name == name)
    }

    /// A step that needs `inspect` and those of `needs` that are planned.
    fn add(
        &mut self,
        name: &str,
        needs: &[&str],
        priority: i64,
        step: Option<&Step>,
    ) -> Result<(), StepFailure> {
        let input = step.map(serde_json::to_value).transpose().map_err(StepFailure::ours)?;
        let planned = needs.iter().filter(|need| self.has(need)).map(|need| (*need).to_owned());
        self.steps.push(StepSpec {
            name: name.into(),
            needs: [INSPECT.to_owned()].into_iter().chain(planned).collect(),
            optional: false,
            priority,
            input: input.unwrap_or_default(),
        });
        Ok(())
    }

    fn optional(
        &mut self,
        name: &str,
        needs: &[&str],
        priority: i64,
        step: Option<&Step>,
    ) -> Result<(), StepFailure> {
        self.add(name, needs, priority, step)?;
        if let Some(step) = self.steps.last_mut() {
            step.optional = true;
        }
        Ok(())
    }

    /// A revision of everything planned so far, the last revision before it included.
    fn publish(&mut self, name: &str, priority: i64) -> Result<(), StepFailure> {
        let needs: Vec<String> =
            self.steps.iter().filter(|step| step.name != LADDER_TOP).map(|step| step.name.clone()).collect();
        let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
        self.add(name, &needs, priority, None)
    }

    /// The last step needs all others.
    fn finish(mut self) -> Result<Vec<StepSpec>, StepFailure> {
        let needs: Vec<String> = self.steps.iter().map(|step| step.name.clone()).collect();
        let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
        self.add(FINISH, &needs, STAGE_2, None)?;
        Ok(self.steps)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chalkstream_pipeline::ladder::{LadderSettings, RenditionPlan};
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
            oriented_by_frame: false,
            changes_size: false,
            interlaced: false,
            hdr: Hdr::None,
            keyframes_apart_ms: 0,
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
            within: None,
            parts: Vec::new(),
            origin_ns: 0,
            video_gap: None,
            video: picture.then_some(video),
            audio: sound.then_some(audio),
            warnings: Vec::new(),
        }
    }

    fn rendition(name: &str, height: u32) -> RenditionPlan {
        RenditionPlan {
            name: name.into(),
            width: height * 16 / 9,
            height,
            frame_rate: Rational::new(30, 1),
            profile: "high".into(),
            bitrate_bps: u64::from(height) * 1000,
            vbv_ms: 1000,
            preset: "veryfast".into(),
            quality: None,
        }
    }

    fn ladder() -> Ladder {
        let renditions = [("v1080", 1080), ("v720", 720), ("v240", 240)];
        let video = media(true, false).video.unwrap();
        let planned = chalkstream_pipeline::ladder::plan(&video, &LadderSettings::default());
        Ladder { renditions: renditions.map(|(name, height)| rendition(name, height)).into(), ..planned }
    }

    fn steps(media: &MediaInfo, transcribe: bool, idle_above: Option<u32>) -> Vec<StepSpec> {
        let ladder = |_: &VideoTrack| ladder();
        let settings = PlanSettings {
            limits: Limits::default(),
            transcribe,
            source_segment_ms: Some(6000),
            idle_above,
            ladder: &ladder,
        };
        after_inspect(media, &settings).unwrap()
    }

    fn names(steps: &[StepSpec]) -> Vec<&str> {
        steps.iter().map(|step| step.name.as_str()).collect()
    }

    fn transcode(steps: &[StepSpec], name: &str) -> TranscodeRequest {
        let input = steps.iter().find(|step| step.name == name).unwrap().input.clone();
        let Step::Transcode(request) = serde_json::from_value(input).unwrap() else { panic!("{name}") };
        request
    }

    fn renditions(steps: &[StepSpec], name: &str) -> Vec<String> {
        transcode(steps, name).ladder.renditions.into_iter().map(|rendition| rendition.name).collect()
    }

    #[test]
    fn a_filmed_lesson_gets_everything() {
        let plan = steps(&media(true, true), true, None);
        assert_eq!(
            names(&plan),
            [
                PACKAGE_SOURCE,
                PUBLISH_SOURCE,
                SOUND,
                STILLS,
                PUBLISH_STILLS,
                WEAK_LINE,
                PUBLISH_WEAK_LINE,
                LADDER,
                TRANSCRIBE,
                FINISH
            ]
        );
        let step = |name: &str| plan.iter().find(|step| step.name == name).unwrap();
        assert_eq!(
            step(PUBLISH_SOURCE).needs,
            [INSPECT, PACKAGE_SOURCE],
            "watched before anything is decoded"
        );
        assert_eq!(step(TRANSCRIBE).needs, [INSPECT, SOUND]);
        assert_eq!(step(WEAK_LINE).needs, [INSPECT, PACKAGE_SOURCE, SOUND, STILLS]);
        assert!(step(PUBLISH_WEAK_LINE).needs.contains(&PUBLISH_STILLS.to_owned()), "one revision at a time");
        assert!(
            !step(PUBLISH_WEAK_LINE).needs.contains(&TRANSCRIBE.to_owned()),
            "watched before its captions"
        );
        assert_eq!(step(FINISH).needs.len(), plan.len(), "all but itself, and inspect");
        let optional: Vec<_> =
            plan.iter().filter(|step| step.optional).map(|step| step.name.as_str()).collect();
        assert_eq!(optional, [PACKAGE_SOURCE, STILLS, TRANSCRIBE]);
        let later: Vec<_> =
            plan.iter().filter(|step| step.priority > STAGE_1).map(|step| step.name.as_str()).collect();
        assert_eq!(later, [LADDER, TRANSCRIBE, FINISH]);
        assert_eq!(renditions(&plan, WEAK_LINE), ["v240"]);
        assert_eq!(renditions(&plan, LADDER), ["v1080", "v720"]);
    }

    #[test]
    fn the_largest_renditions_may_wait() {
        let plan = steps(&media(true, true), false, Some(720));
        assert_eq!(renditions(&plan, LADDER), ["v720"]);
        assert_eq!(renditions(&plan, LADDER_TOP), ["v1080"]);
        let top = plan.iter().find(|step| step.name == LADDER_TOP).unwrap();
        assert_eq!(top.priority, IDLE);
        let ladder = plan.iter().find(|step| step.name == PUBLISH_LADDER).unwrap();
        assert!(ladder.needs.contains(&LADDER.to_owned()) && !ladder.needs.contains(&LADDER_TOP.to_owned()));
    }

    #[test]
    fn every_lesson_can_be_scrubbed_evenly() {
        let scrubbed = |steps: &[StepSpec]| {
            let made = names(steps).into_iter().filter(|name| TRANSCODES.contains(name));
            made.filter(|name| transcode(steps, name).trickplay).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(scrubbed(&steps(&media(true, true), false, None)), [LADDER]);
        assert_eq!(
            scrubbed(&steps(&media(true, true), false, Some(300))),
            [WEAK_LINE],
            "the rest may wait for long"
        );
        assert_eq!(
            scrubbed(&steps(&media(true, true), false, Some(720))),
            [WEAK_LINE],
            "the one that is left may be the source"
        );
    }

    #[test]
    fn what_a_file_does_not_have_gets_no_step() {
        let silent = steps(&media(true, false), true, None);
        assert!(!names(&silent).contains(&SOUND) && !names(&silent).contains(&TRANSCRIBE));
        let heard = steps(&media(false, true), true, None);
        assert_eq!(names(&heard), [SOUND, STILLS, PUBLISH_STILLS, TRANSCRIBE, FINISH]);
        let mut other = media(true, true);
        other.container = "matroska".into();
        assert!(!names(&steps(&other, true, None)).contains(&PACKAGE_SOURCE));
        let mut camera = media(true, true);
        camera.video.as_mut().unwrap().codec = "hevc".into();
        let camera = steps(&camera, true, None);
        assert!(names(&camera).contains(&PACKAGE_SOURCE) && !names(&camera).contains(&PUBLISH_SOURCE));
    }

    #[test]
    fn every_need_is_a_step_planned_before() {
        let mut known = vec![INSPECT.to_owned()];
        for step in steps(&media(true, true), true, Some(720)) {
            assert!(
                step.needs.iter().all(|need| known.contains(need)),
                "{} needs {:?}",
                step.name,
                step.needs
            );
            known.push(step.name);
        }
    }
}
