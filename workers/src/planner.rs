//! Which steps a recording needs, as plain data. The job starts with `inspect`; its report decides
//! the rest.
//!
//! What makes a recording watchable comes in order of cost: the source itself, if a browser plays
//! it (no frame is decoded), audio with stills (a thirtieth of the work), the weak line's
//! rendition (a seventh). Each has a [`Class`] of its own. Each revision is a step of its own and
//! waits for the one before it, so that no two are made at once.
//!
//! [`Class`]: crate::steps::Class

use chalkstream_pipeline::ladder::Ladder;
use chalkstream_pipeline::limits::Limits;
use chalkstream_pipeline::media::{MediaInfo, VideoTrack};
use chalkstream_pipeline::step::Step;
use chalkstream_pipeline::steps::audio::AudioOutputs;
use chalkstream_pipeline::steps::transcode::TranscodeRequest;
use chalkstream_store::StepSpec;

use crate::failure::StepFailure;
use crate::steps::{Class, StepKind, audio, source_rendition, stills};

/// The steps that make renditions of the decoded video, smallest first.
pub const TRANSCODES: [StepKind; 3] = [StepKind::WeakLine, StepKind::Ladder, StepKind::LadderTop];

/// Settings of a plan.
pub struct PlanSettings<'a> {
    /// Limits that every step holds the file to.
    pub limits: Limits,
    /// Whether to make a transcript.
    pub transcribe: bool,
    /// Whether names are silenced: nothing with audio is published before they are known.
    pub silence_names: bool,
    /// Longest segment of the source rendition, in ms; `None` if there is to be none.
    pub source_segment_ms: Option<u64>,
    /// Renditions with a longer shorter side, in pixels, wait for idle time; `None` if none does.
    pub defer_above: Option<u32>,
    /// The ladder for a video track.
    pub ladder: &'a dyn Fn(&VideoTrack) -> Ladder,
}

/// The steps after `inspect`. A track that the file does not have gets no step.
pub fn after_inspect(media: &MediaInfo, settings: &PlanSettings<'_>) -> Result<Vec<StepSpec>, StepFailure> {
    let silences = settings.silence_names && media.audio.is_some();
    let mut plan = Plan { media: media.clone(), silences, steps: Vec::new() };
    let limits = &settings.limits;
    // The source has every name.
    if let Some(max_segment_ms) = settings.source_segment_ms.filter(|_| !silences)
        && let Some(support) = source_rendition::support(media)
    {
        let step = source_rendition::plan(media, limits, max_segment_ms);
        plan.add(StepKind::SourceRendition, &[], Some(&step))?;
        if support == source_rendition::Support::All {
            plan.publish(StepKind::PublishSource)?;
        }
    }
    let audio = |outputs| audio::plan(media, limits, outputs);
    if silences {
        plan.add(StepKind::SpeechAudio, &[], Some(&audio(AudioOutputs::Speech)))?;
        plan.add(StepKind::Transcribe, &[StepKind::SpeechAudio], None)?;
        let renditions = audio(AudioOutputs::Renditions);
        plan.add(StepKind::SilencedAudio, &[StepKind::Transcribe], Some(&renditions))?;
    } else if media.audio.is_some() {
        plan.add(StepKind::Audio, &[], Some(&audio(AudioOutputs::All)))?;
    }
    plan.add(StepKind::Stills, &[], Some(&stills::plan(media, limits)))?;
    plan.publish(StepKind::PublishStills)?;
    if let Some(video) = &media.video {
        plan.transcodes(media, &(settings.ladder)(video), settings)?;
    }
    if media.audio.is_some() && settings.transcribe && !silences {
        // Each worker has its own model folder.
        plan.add(StepKind::Transcribe, &[StepKind::Audio], None)?;
    }
    plan.finish()
}

/// Divides a ladder among the steps that make it: the smallest rendition, the rest, and what may
/// wait.
fn divide(ladder: &Ladder, defer_above: Option<u32>) -> Vec<(StepKind, Ladder)> {
    let smallest = ladder.renditions.last().map(|rendition| rendition.name.clone());
    let step_for = |name: &str, shorter_side: u32| match defer_above {
        _ if Some(name) == smallest.as_deref() => StepKind::WeakLine,
        Some(above) if shorter_side > above => StepKind::LadderTop,
        _ => StepKind::Ladder,
    };
    let part = |kind| ladder.part(|r| step_for(&r.name, r.width.min(r.height)) == kind);
    TRANSCODES
        .into_iter()
        .map(|kind| (kind, part(kind)))
        .filter(|(kind, part)| *kind == StepKind::WeakLine || !part.renditions.is_empty())
        .collect()
}

/// The plan being made.
struct Plan {
    media: MediaInfo,
    silences: bool,
    steps: Vec<StepSpec>,
}

impl Plan {
    fn has(&self, kind: StepKind) -> bool {
        self.steps.iter().any(|step| step.name == kind.name())
    }

    /// Adds a step that needs `inspect` and those of `needs` that are planned.
    fn add(&mut self, kind: StepKind, needs: &[StepKind], step: Option<&Step>) -> Result<(), StepFailure> {
        let input = step.map(serde_json::to_value).transpose().map_err(StepFailure::ours)?;
        let planned = needs.iter().filter(|need| self.has(**need));
        let needs = [StepKind::Inspect].iter().chain(planned);
        let definition = kind.definition();
        let spec = StepSpec {
            name: definition.name.into(),
            needs: needs.map(|need| need.name().to_owned()).collect(),
            // Without a transcript it is not known where names are said.
            optional: definition.optional && !(self.silences && definition.class == Class::Words),
            priority: definition.class.priority(),
            cost_ms: definition.cost.work_ms(&self.media),
            input: input.unwrap_or_default(),
            requires: definition.requires.iter().map(|&capability| capability.to_owned()).collect(),
        };
        self.steps.push(spec);
        Ok(())
    }

    /// Adds the steps that decode the video once each and make renditions of it.
    fn transcodes(
        &mut self,
        media: &MediaInfo,
        ladder: &Ladder,
        settings: &PlanSettings<'_>,
    ) -> Result<(), StepFailure> {
        let parts = divide(ladder, settings.defer_above);
        // The source may replace the largest rendition, so seeking images must not depend on it.
        let is_small =
            |(kind, part): &(StepKind, Ladder)| *kind != StepKind::Ladder || part.renditions.len() < 2;
        let trickplay = if parts.iter().all(is_small) { StepKind::WeakLine } else { StepKind::Ladder };
        for (kind, ladder) in parts {
            let request = TranscodeRequest {
                media: media.clone(),
                ladder,
                limits: settings.limits.clone(),
                iframes: kind == StepKind::WeakLine,
                trickplay: kind == trickplay,
            };
            let step = Step::Transcode(request);
            if kind == StepKind::WeakLine {
                // Audio and stills have all cores until they are done.
                let needs =
                    [StepKind::SourceRendition, StepKind::Audio, StepKind::SpeechAudio, StepKind::Stills];
                self.add(kind, &needs, Some(&step))?;
                self.publish(StepKind::PublishWeakLine)?;
            } else {
                // The source may make the largest rendition redundant.
                self.add(kind, &[StepKind::SourceRendition, StepKind::WeakLine], Some(&step))?;
            }
        }
        if self.has(StepKind::Ladder) && self.has(StepKind::LadderTop) {
            self.publish(StepKind::PublishLadder)?;
        }
        Ok(())
    }

    /// Adds a revision of everything planned so far, after the revision before it.
    fn publish(&mut self, kind: StepKind) -> Result<(), StepFailure> {
        let needs: Vec<StepKind> = StepKind::ALL
            .into_iter()
            .filter(|need| *need != StepKind::LadderTop && self.has(*need))
            .collect();
        self.add(kind, &needs, None)
    }

    /// Adds the last step, which needs all others.
    fn finish(mut self) -> Result<Vec<StepSpec>, StepFailure> {
        let needs: Vec<StepKind> = StepKind::ALL.into_iter().filter(|need| self.has(*need)).collect();
        self.add(StepKind::Finish, &needs, None)?;
        Ok(self.steps)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chalkstream_pipeline::ladder::RenditionPlan;
    use chalkstream_pipeline::media::{AudioTrack, Hdr, Rational};

    use super::*;
    use crate::steps::ladder;

    // The names as they are stored.
    const INSPECT: &str = "inspect";
    const PACKAGE_SOURCE: &str = "package_source";
    const SOUND: &str = "sound";
    const STILLS: &str = "stills";
    const WEAK_LINE: &str = "weak_line";
    const LADDER: &str = "ladder";
    const LADDER_TOP: &str = "ladder_top";
    const TRANSCRIBE: &str = "transcribe";
    const SPEECH_AUDIO: &str = "speech_audio";
    const SILENCED_AUDIO: &str = "silenced_audio";
    const PUBLISH_SOURCE: &str = "publish_source";
    const PUBLISH_STILLS: &str = "publish_stills";
    const PUBLISH_WEAK_LINE: &str = "publish_weak_line";
    const PUBLISH_LADDER: &str = "publish_ladder";
    const FINISH: &str = "finish";

    fn media(has_video: bool, has_audio: bool) -> MediaInfo {
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
            video: has_video.then_some(video),
            audio: has_audio.then_some(audio),
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
        let planned = ladder::for_video(&video, &chalkstream_config::Media::default());
        Ladder { renditions: renditions.map(|(name, height)| rendition(name, height)).into(), ..planned }
    }

    fn steps(media: &MediaInfo, transcribe: bool, defer_above: Option<u32>) -> Vec<StepSpec> {
        planned(media, transcribe, false, defer_above)
    }

    fn planned(
        media: &MediaInfo,
        transcribe: bool,
        silence_names: bool,
        defer_above: Option<u32>,
    ) -> Vec<StepSpec> {
        let ladder = |_: &VideoTrack| ladder();
        let settings = PlanSettings {
            limits: Limits::default(),
            transcribe,
            silence_names,
            source_segment_ms: Some(6000),
            defer_above,
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
        let of_class = |class: Class| {
            let steps = plan.iter().filter(|step| step.priority == class.priority());
            steps.map(|step| step.name.as_str()).collect::<Vec<_>>()
        };
        let publications = [PUBLISH_SOURCE, PUBLISH_STILLS, PUBLISH_WEAK_LINE, FINISH];
        assert_eq!(of_class(Class::Look), [&[PACKAGE_SOURCE], &publications[..]].concat());
        assert_eq!(of_class(Class::AudioAndStills), [SOUND, STILLS]);
        assert_eq!(of_class(Class::WeakLine), [WEAK_LINE]);
        assert_eq!(of_class(Class::Words), [TRANSCRIBE]);
        assert_eq!(of_class(Class::Ladder), [LADDER]);
        assert!(plan.iter().all(|step| step.cost_ms > 0));
        assert_eq!(renditions(&plan, WEAK_LINE), ["v240"]);
        assert_eq!(renditions(&plan, LADDER), ["v1080", "v720"]);
    }

    #[test]
    fn where_names_are_silenced_no_audio_is_published_before_they_are_known() {
        // Recognition is switched off for all others.
        let plan = planned(&media(true, true), false, true, None);
        assert_eq!(
            names(&plan),
            [
                SPEECH_AUDIO,
                TRANSCRIBE,
                SILENCED_AUDIO,
                STILLS,
                PUBLISH_STILLS,
                WEAK_LINE,
                PUBLISH_WEAK_LINE,
                LADDER,
                FINISH
            ],
            "the source is no rendition"
        );
        let step = |name: &str| plan.iter().find(|step| step.name == name).unwrap();
        assert_eq!(step(TRANSCRIBE).needs, [INSPECT, SPEECH_AUDIO]);
        assert_eq!(step(SILENCED_AUDIO).needs, [INSPECT, TRANSCRIBE]);
        let required = [SPEECH_AUDIO, TRANSCRIBE, SILENCED_AUDIO];
        assert!(required.iter().all(|name| !step(name).optional), "the recording fails without them");
        for publication in
            plan.iter().filter(|step| StepKind::from_name(&step.name).is_some_and(StepKind::is_publication))
        {
            assert!(publication.needs.contains(&SILENCED_AUDIO.to_owned()), "{}", publication.name);
        }
        assert_eq!(step(WEAK_LINE).needs, [INSPECT, SPEECH_AUDIO, STILLS], "video is made meanwhile");
        let silent = planned(&media(true, false), true, true, None);
        assert!(names(&silent).contains(&PUBLISH_SOURCE), "a source without audio has no name");
        let known: Vec<&str> = [INSPECT].into_iter().chain(names(&plan)).collect();
        let is_before = |at: usize, need: &String| known[..=at].contains(&need.as_str());
        assert!(plan.iter().enumerate().all(|(at, step)| step.needs.iter().all(|need| is_before(at, need))));
    }

    #[test]
    fn the_largest_renditions_may_wait() {
        let plan = steps(&media(true, true), false, Some(720));
        assert_eq!(renditions(&plan, LADDER), ["v720"]);
        assert_eq!(renditions(&plan, LADDER_TOP), ["v1080"]);
        let top = plan.iter().find(|step| step.name == LADDER_TOP).unwrap();
        assert_eq!(top.priority, Class::Idle.priority());
        let ladder = plan.iter().find(|step| step.name == PUBLISH_LADDER).unwrap();
        assert!(ladder.needs.contains(&LADDER.to_owned()) && !ladder.needs.contains(&LADDER_TOP.to_owned()));
    }

    #[test]
    fn every_lesson_can_be_scrubbed_evenly() {
        let scrubbed = |steps: &[StepSpec]| {
            let made =
                names(steps).into_iter().filter(|name| TRANSCODES.iter().any(|kind| kind.name() == *name));
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
        let audio_only = steps(&media(false, true), true, None);
        assert_eq!(names(&audio_only), [SOUND, STILLS, PUBLISH_STILLS, TRANSCRIBE, FINISH]);
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
