//! The worker's part of the projection from a job to its manifest: what each kind of step adds.
//! Pure. The rest is [`chalkstream_store::projection`], which the server uses too.

use std::collections::{BTreeMap, BTreeSet};

use chalkstream_store::{
    Blame, Error, JobView, Kind, Manifest, Notice, Result, StepState, layout, projection,
};
use serde::Deserialize;

use crate::failure::StepFailure;
use crate::outputs::keys;
use crate::steps::result::Results;
use crate::steps::{Contribution, StepKind, finish, transcribe};

/// Brings a manifest up to a job's view.
///
/// # Errors
/// If a result cannot be read.
pub fn project_job(manifest: &mut Manifest, job: &JobView) -> Result<()> {
    projection::project(manifest, job)?;
    contribute(manifest, job).map_err(|failure| Error::new(Kind::Corrupt, failure.detail))?;
    Ok(())
}

fn contribute(manifest: &mut Manifest, job: &JobView) -> std::result::Result<(), StepFailure> {
    let results = Results::from_job(job)?;
    if !keeps_work_files(job) {
        manifest.objects.retain(|key, _| !key.starts_with("work/"));
    }
    let warnings = results.warnings();
    manifest.warnings = warnings.iter().filter_map(|warning| Notice::deserialize(warning).ok()).collect();
    // A new field of `Contribution` does not compile until it is merged and stored here.
    let (mut merged, mut named_files) = (Contribution::default(), BTreeMap::new());
    for kind in StepKind::ALL {
        let Some(result) = results.get(kind.name()) else { continue };
        let Contribution { media, source_declined, files, images } =
            (kind.definition().contribute)(&result.report)?;
        merged = Contribution {
            media: media.or(merged.media),
            source_declined: source_declined.or(merged.source_declined),
            files: Vec::new(),
            images: Vec::new(),
        };
        let files = files.into_iter().map(|(name, path)| (name.to_owned(), path));
        let images = images.into_iter().map(|path| {
            let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
            (name, path)
        });
        for (name, path) in files.chain(images) {
            named_files.insert(name, keys::object(&path, result.fence));
        }
    }
    let Contribution { media, source_declined, files: _, images: _ } = merged;
    manifest.media = media;
    manifest.source_declined = source_declined;
    manifest.files = named_files;
    Ok(())
}

/// Whether intermediate files (`work/`) of a job are needed: until it is finished, or longer.
pub fn keeps_work_files(job: &JobView) -> bool {
    let is_finished = job.step(finish::NAME).is_some_and(|step| step.state == StepState::Done);
    !is_finished || needs_work_files(job)
}

/// Whether a transcript may still be made, when someone has put right why it failed.
fn needs_work_files(job: &JobView) -> bool {
    job.step(transcribe::NAME).is_some_and(|step| {
        step.state == StepState::Failed
            && step.failure.as_ref().is_some_and(|failure| failure.blame != Blame::Input)
    })
}

/// The fences of all attempts whose objects a manifest names.
pub fn fences(manifest: &Manifest) -> BTreeSet<u64> {
    let named = manifest.objects.keys().filter_map(|key| layout::fence_of(key));
    named.chain(manifest.inventories.keys().copied()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chalkstream_store::{Failure, InventoryRef, JobState, ObjectFacts, State, StepResult, StepView};
    use serde_json::{Value, json};

    use super::*;
    use crate::steps::{audio, inspect, publish, stills, weak_line};

    fn media() -> Value {
        json!({ "container": "wav", "size_bytes": 1, "duration_ms": 5000, "video": null,
            "audio": { "codec": "pcm", "stream_index": 0, "channels": 1, "sample_rate_hz": 48000, "language": null,
                "start_ms": 0, "end_ms": 5000 },
            "warnings": [] })
    }

    fn stills_report() -> Value {
        json!({ "poster": "stills/poster.jpg", "width": 1, "height": 1, "placeholder": "",
            "storyboard": { "vtt": "stills/storyboard.vtt", "sheets": ["stills/storyboard-000.jpg"],
                "tile_width": 1, "tile_height": 1, "interval_ms": 1 } })
    }

    fn done(name: &str, fence: u64, report: Value, keys: &[&str]) -> StepView {
        let facts = ObjectFacts { size_bytes: 1, sha256: "00".into() };
        let objects: BTreeMap<_, _> = keys.iter().map(|key| ((*key).to_owned(), facts.clone())).collect();
        let result = serde_json::to_value(StepResult { fence, report, objects, inventory: None }).unwrap();
        StepView { state: StepState::Done, result: Some(result), ..waiting(name) }
    }

    fn waiting(name: &str) -> StepView {
        StepView {
            name: name.into(),
            state: StepState::Waiting,
            attempts: 1,
            losses: 0,
            optional: name == stills::NAME || name == transcribe::NAME,
            priority: 0,
            cost_ms: 0,
            needs: Vec::new(),
            worker: None,
            progress: None,
            note: None,
            input: Value::Null,
            requires: Vec::new(),
            result: None,
            failure: None,
        }
    }

    fn failed(name: &str, blame: Blame) -> StepView {
        let failure = Failure { code: "x".into(), message: "X.".into(), step: name.into(), blame };
        StepView { state: StepState::Failed, failure: Some(failure), ..waiting(name) }
    }

    fn job(state: JobState, steps: Vec<StepView>) -> JobView {
        JobView {
            tenant: "t".into(),
            recording: "r".into(),
            state,
            fence: 100,
            created_at_ms: 0,
            finished_at_ms: None,
            due_at_ms: None,
            failure: steps.iter().find(|step| !step.optional).and_then(|step| step.failure.clone()),
            steps,
        }
    }

    fn manifest() -> Manifest {
        let mut manifest = Manifest::new("t", "r");
        let facts = ObjectFacts { size_bytes: 1, sha256: String::new() };
        manifest.objects.insert("source/original.wav".into(), facts.clone());
        // An attempt that another view held and this one does not.
        manifest.objects.insert("stills/3/poster.jpg".into(), facts);
        manifest
    }

    fn published(id: u32) -> Value {
        json!({ "revision": { "id": id, "master": format!("hls/{id}/master.m3u8") }, "with": ["sound"] })
    }

    #[test]
    fn a_published_recording_is_playable_and_names_its_files() {
        let mut manifest = manifest();
        let steps = vec![
            done(inspect::NAME, 1, media(), &[]),
            done(audio::NAME, 2, json!({}), &["hls/audio/2/a32/index.m3u8", "work/2/speech.wav"]),
            done(stills::NAME, 4, stills_report(), &["stills/4/poster.jpg"]),
            done(publish::STILLS.name, 5, published(1), &["hls/1/master.m3u8"]),
            waiting(finish::NAME),
        ];
        project_job(&mut manifest, &job(JobState::Running, steps)).unwrap();
        assert_eq!(manifest.state, State::Playable);
        assert_eq!(manifest.fence, 100);
        assert_eq!(manifest.revision.as_ref().unwrap().id, 1);
        assert_eq!(manifest.files["poster"], "stills/4/poster.jpg");
        assert_eq!(manifest.files["storyboard-000.jpg"], "stills/4/storyboard-000.jpg");
        assert!(manifest.objects.contains_key("source/original.wav"), "the source stays");
        assert!(manifest.objects.contains_key("work/2/speech.wav"), "the transcript still needs it");
        assert_eq!(fences(&manifest), BTreeSet::from([2, 4]), "what no accepted result names is lost");
    }

    #[test]
    fn a_rendition_that_grows_is_a_revision_until_a_complete_one_is_out() {
        let mut manifest = manifest();
        let note = json!({
            "revision": { "id": 1, "master": "hls/1/master.m3u8", "growing": true },
            "with": ["v240"],
            "objects": { "hls/1/master.m3u8": { "size_bytes": 1, "sha256": "00" } },
        });
        let leased = StepView { state: StepState::Leased, note: Some(note), ..waiting(weak_line::NAME) };
        let steps = vec![done(inspect::NAME, 1, media(), &[]), leased];
        project_job(&mut manifest, &job(JobState::Running, steps)).unwrap();
        assert_eq!(manifest.state, State::Playable);
        assert!(manifest.revision.as_ref().unwrap().is_live);
        assert_eq!(manifest.playable_with, ["v240"]);
        assert!(manifest.objects.contains_key("hls/1/master.m3u8"));
        let steps = vec![
            done(inspect::NAME, 1, media(), &[]),
            done(
                weak_line::NAME,
                3,
                json!({ "renditions": [], "iframes": null, "duration_ms": 0, "warnings": [] }),
                &[],
            ),
            done(publish::WEAK_LINE.name, 5, published(2), &["hls/2/master.m3u8"]),
        ];
        project_job(&mut manifest, &job(JobState::Running, steps)).unwrap();
        assert_eq!(manifest.revision.as_ref().unwrap().id, 2);
        assert!(manifest.objects.contains_key("hls/1/master.m3u8"), "its sessions go on");
    }

    #[test]
    fn a_lost_attempt_takes_its_revision_with_it() {
        let grown = |fence: u64| {
            let playlist = format!("hls/video/{fence}/v240/growing.m3u8");
            let facts = json!({ "size_bytes": 1, "sha256": "00" });
            json!({
                "revision": { "id": 3, "master": "hls/3/master.m3u8", "growing": true },
                "with": ["v240"],
                "objects": { "hls/3/master.m3u8": facts, playlist: facts },
            })
        };
        let steps = |weak: StepView| {
            vec![
                done(inspect::NAME, 1, media(), &[]),
                done(publish::STILLS.name, 5, published(2), &["hls/2/master.m3u8"]),
                weak,
            ]
        };
        let leased = StepView { state: StepState::Leased, note: Some(grown(7)), ..waiting(weak_line::NAME) };
        for (before, after) in [(2, Some(2)), (0, None)] {
            let mut manifest = manifest();
            let steps = |weak: StepView| {
                let steps = steps(weak).into_iter();
                steps.filter(|step| before > 0 || step.name != publish::STILLS.name).collect::<Vec<_>>()
            };
            project_job(&mut manifest, &job(JobState::Running, steps(leased.clone()))).unwrap();
            assert_eq!(manifest.revision.as_ref().unwrap().id, 3);
            project_job(&mut manifest, &job(JobState::Running, steps(waiting(weak_line::NAME)))).unwrap();
            assert_eq!(manifest.revision.as_ref().map(|revision| revision.id), after);
            assert_eq!(manifest.playable_with.is_empty(), after.is_none());
            assert!(!manifest.objects.contains_key("hls/video/7/v240/growing.m3u8"));
            assert_eq!(projection::last_revision_id(&manifest), 3, "the next one has a number of its own");
        }
    }

    #[test]
    fn a_finished_recording_keeps_no_intermediate_unless_a_transcript_can_be_had_later() {
        let steps = |transcribe: StepView| {
            vec![
                done(inspect::NAME, 1, media(), &[]),
                done(audio::NAME, 2, json!({}), &["work/2/speech.wav"]),
                transcribe,
                done(publish::STILLS.name, 5, published(1), &["hls/1/master.m3u8"]),
                done(finish::NAME, 6, published(1), &[]),
            ]
        };
        for (transcribe, kept) in [
            (failed(transcribe::NAME, Blame::Input), false),
            (failed(transcribe::NAME, Blame::Machine), true),
        ] {
            let mut manifest = manifest();
            project_job(&mut manifest, &job(JobState::Done, steps(transcribe))).unwrap();
            assert_eq!(manifest.state, State::Ready);
            assert_eq!(manifest.objects.contains_key("work/2/speech.wav"), kept);
            assert_eq!(manifest.failed_optional.len(), 1);
        }
    }

    #[test]
    fn a_revision_stays_out_while_a_step_is_tried_again() {
        let mut manifest = manifest();
        let steps = |finish: StepView| {
            vec![
                done(inspect::NAME, 1, media(), &[]),
                done(publish::STILLS.name, 5, published(1), &["hls/1/master.m3u8"]),
                finish,
            ]
        };
        let mut finished = done(finish::NAME, 6, published(2), &["hls/2/master.m3u8"]);
        let key = "inventory/6/finish.json".into();
        let inventory = InventoryRef { key, objects: 1, size_bytes: 1, sha256: "00".into() };
        finished.result.as_mut().unwrap()["inventory"] = serde_json::to_value(&inventory).unwrap();
        project_job(&mut manifest, &job(JobState::Done, steps(finished))).unwrap();
        project_job(&mut manifest, &job(JobState::Running, steps(waiting(finish::NAME)))).unwrap();
        assert_eq!(manifest.revision.as_ref().unwrap().id, 2);
        assert_eq!(manifest.inventories.get(&6), Some(&inventory), "the revision's files keep their names");
        let names: Vec<_> = manifest.objects.keys().map(String::as_str).collect();
        assert_eq!(names, ["hls/1/master.m3u8", "hls/2/master.m3u8", "source/original.wav"]);

        project_job(&mut manifest, &job(JobState::Done, steps(done(finish::NAME, 9, published(3), &[]))))
            .unwrap();
        assert!(manifest.inventories.is_empty(), "the one of the attempt before is replaced");
    }

    #[test]
    fn no_failure_costs_the_source() {
        for blame in [Blame::Input, Blame::Machine, Blame::Internal, Blame::Outage] {
            let mut manifest = manifest();
            project_job(&mut manifest, &job(JobState::Failed, vec![failed(inspect::NAME, blame)])).unwrap();
            assert_eq!(manifest.state, State::Failed);
            assert_eq!(manifest.failure.as_ref().unwrap().code, "x");
            let names: Vec<_> = manifest.objects.keys().map(String::as_str).collect();
            assert_eq!(names, ["source/original.wav"], "{blame:?}");
        }
    }
}
