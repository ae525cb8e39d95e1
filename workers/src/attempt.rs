//! One attempt at one step: what it reads, what it makes, and whether that is whole.

use std::collections::BTreeMap;

use chalkstream_pipeline::package::PackageReport;
use chalkstream_pipeline::sound::SoundReport;
use chalkstream_pipeline::step::Step;
use chalkstream_store::{
    JobView, Lease, Manifest, ObjectFacts, Revision, StepSpec, layout as keys, projection, read_manifest,
};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::failure::{Cause, StepFailure};
use crate::growth::Growth;
use crate::lease::Held;
use crate::master::Shown;
use crate::record::Published;
use crate::result::{Results, StepResult};
use crate::runner::{Progress, Work, WorkTask};
use crate::sink::{Holds, ObjectSink, storage};
use crate::worker::Worker;
use crate::{ladder, layout, media, planner, record, result, source, verify};

/// A step that succeeded: its result, and the steps it adds to the job.
pub struct Made {
    /// The result.
    pub result: StepResult,
    /// More steps.
    pub more: Vec<StepSpec>,
}

/// One attempt.
pub struct Attempt<'a> {
    /// Who makes it.
    pub worker: &'a Worker,
    /// At what.
    pub lease: &'a Lease,
    /// Whether it may still.
    pub held: &'a Held,
    /// Ends it.
    pub cancel: CancellationToken,
    /// How far it is.
    pub progress: watch::Sender<Progress>,
}

impl Attempt<'_> {
    /// Makes it.
    pub async fn run(self) -> Result<Made, StepFailure> {
        let results = self.results()?;
        let manifest = read_manifest(&self.worker.store, &self.lease.tenant, &self.lease.recording)
            .await
            .map_err(storage)?
            .ok_or_else(|| StepFailure::of(Cause::Cancelled, "the recording is gone"))?;
        if planner::PUBLISHES.contains(&self.lease.step.as_str()) {
            return self.publish(&manifest).await;
        }
        self.media(&results, &manifest).await
    }

    fn results(&self) -> Result<Results, StepFailure> {
        let had = self.lease.needs.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        had.map(|(name, value)| Ok((name.clone(), StepResult::from_value(value).map_err(StepFailure::ours)?)))
            .collect()
    }

    /// Full key of an object of the recording.
    pub fn key(&self, relative: &str) -> String {
        keys::object_key(&self.lease.tenant, &self.lease.recording, relative)
    }

    /// A step of the pipeline, in a child.
    async fn media(self, results: &Results, manifest: &Manifest) -> Result<Made, StepFailure> {
        let (worker, lease, name) = (self.worker, self.lease, self.lease.step.as_str());
        let settings = &worker.settings;
        let step = media::step(name, &lease.input, results, settings)?;
        if let Some(nothing) = media::nothing_to_make(&step) {
            return self.done(&nothing, BTreeMap::new());
        }
        let inspected = media::inspected(results)?;
        let growth = self.growth(&step, results, manifest).await?;
        let source = match (name, results.get(planner::SOUND)) {
            (planner::TRANSCRIBE, Some(sound)) => {
                let parts = result::read_report::<SoundReport>(sound)?.speech;
                let keys = parts.iter().map(|part| self.key(&layout::object(part, sound.fence)));
                source::open_parts(&worker.store, &keys.collect::<Vec<_>>()).await?
            }
            _ => {
                let source = manifest.source.as_ref().map(|source| source.key.clone());
                let key = source.ok_or_else(|| StepFailure::ours("the recording has no source"))?;
                source::open(&worker.store, &self.key(&key)).await?
            }
        };
        let work = Work {
            name: format!("{}-{name}-{}", lease.recording, lease.fence),
            task: WorkTask::Step(Box::new(step)),
            source,
            deadline: media::deadline(name, inspected.as_ref(), settings),
            cancel: self.cancel.clone(),
            progress: self.progress.clone(),
            background: planner::in_background(name),
        };
        let prefix = keys::recording_prefix(&lease.tenant, &lease.recording);
        let sink = ObjectSink::new(&worker.store, prefix, lease.fence, self.held).following(growth.as_ref());
        let report = worker.runner.run(work, &sink).await?;
        let taken = sink.into_taken();
        let grown = match &growth {
            Some(growth) => growth.end().await?,
            None => None,
        };
        verify::verify(name, &report, &taken, inspected.as_ref())
            .map_err(|problem| StepFailure::of(Cause::Unverified, problem))?;
        let objects = taken
            .outputs
            .into_iter()
            // What nothing names is swept up at the job's end.
            .filter(|(path, _)| !result::is_needless(&report, path))
            .map(|(path, facts)| (layout::object(&path, lease.fence), facts))
            .chain(grown)
            .collect();
        let result = StepResult { fence: lease.fence, report, objects };
        let more = match name {
            planner::INSPECT => self.plan(&result)?,
            _ => Vec::new(),
        };
        Ok(Made { result, more })
    }

    /// Follows the weak line's rendition where there is no moving picture to watch meanwhile.
    async fn growth(
        &self,
        step: &Step,
        results: &Results,
        manifest: &Manifest,
    ) -> Result<Option<Growth<'_>>, StepFailure> {
        let plan = match step {
            Step::Transcode(request) if self.lease.step == planner::WEAK_LINE => {
                request.ladder.renditions.first()
            }
            _ => None,
        };
        let source: Option<PackageReport> = result::report(results, planner::PACKAGE_SOURCE)?;
        let played = source.is_some_and(|source| source.video.is_some());
        let Some(plan) = plan.filter(|_| !played) else { return Ok(None) };
        let before = projection::last_revision_id(manifest);
        Ok(Some(Growth::new(self, plan.clone(), Shown::of(results)?, before)))
    }

    /// Number of the newest revision that the job has published, 0 if there is none.
    pub async fn newest_revision(&self) -> Result<u32, StepFailure> {
        Ok(projection::newest_revision(&self.job().await?)
            .map_err(storage)?
            .map_or(0, |newest| newest.revision.id))
    }

    async fn job(&self) -> Result<JobView, StepFailure> {
        let job = self.worker.queue.job(&self.lease.tenant, &self.lease.recording).await.map_err(storage)?;
        job.ok_or_else(|| StepFailure::of(Cause::Cancelled, "the job is gone"))
    }

    /// Tells what the manifest must know of this step before it is over.
    pub async fn note(&self, note: &impl Serialize) -> Result<(), StepFailure> {
        let note = serde_json::to_value(note).map_err(StepFailure::ours)?;
        let job = self.worker.queue.note(self.lease, &note).await.map_err(storage)?;
        self.worker.record(&job).await;
        Ok(())
    }

    fn plan(&self, inspected: &StepResult) -> Result<Vec<StepSpec>, StepFailure> {
        let settings = &self.worker.settings;
        let ladder = |video: &_| ladder::of(video, &settings.media);
        let source = &settings.source_rendition;
        let plan = planner::PlanSettings {
            limits: media::limits(settings),
            transcribe: settings.speech.enabled,
            source_segment_ms: source.enabled.then_some(source.max_keyframe_distance_ms),
            idle_above: Some(settings.worker.defer_above_height).filter(|&height| height > 0),
            ladder: &ladder,
        };
        planner::after_inspect(&result::read_report(inspected)?, &plan)
    }

    /// A revision of all that can be watched by now, where there is something that the one before did not have. The
    /// job is asked, not the lease: what is done besides the steps this one waited for is shown too.
    async fn publish(&self, manifest: &Manifest) -> Result<Made, StepFailure> {
        let job = self.job().await?;
        let results = record::results(&job)?;
        let inspected =
            media::inspected(&results)?.ok_or_else(|| StepFailure::ours("nothing was inspected"))?;
        let picture = result::duration_ms(&results, planner::WEAK_LINE);
        let sound = result::duration_ms(&results, planner::SOUND);
        verify::agree(&inspected, picture, sound, result::lost(&results))
            .map_err(|problem| StepFailure::of(Cause::Unverified, problem))?;
        let shown = Shown::of(&results)?;
        let before = projection::newest_revision(&job).map_err(storage)?;
        let newest = before.as_ref().map_or(0, |newest| newest.revision.id);
        let published = Published {
            revision: before.map(|newest| newest.revision).filter(|revision| !revision.growing),
            with: shown.names(),
        };
        if !shown.playable(inspected.audio.is_some(), inspected.video.is_some()) {
            if self.lease.step == planner::FINISH {
                return Err(StepFailure::ours("there is nothing to watch"));
            }
            return self.done(&Published { with: Vec::new(), ..published }, BTreeMap::new());
        }
        let text = shown.playlist(layout::base_of_object);
        let out = published.revision.as_ref().and_then(|revision| manifest.objects.get(&revision.master));
        if out == Some(&ObjectFacts::from_bytes(text.as_bytes())) {
            return self.done(&published, BTreeMap::new());
        }
        let id = Revision::after(newest.max(projection::last_revision_id(manifest)));
        let relative = keys::master_relative(id);
        let hevc = shown.hevc_playlist(inspected.audio.is_some(), layout::base_of_object);
        let texts = [(relative.clone(), Some(text)), (keys::hevc_relative(id), hevc)];
        self.held.holds().await?;
        let mut objects = BTreeMap::new();
        for (key, text) in texts.into_iter().filter_map(|(key, text)| Some((key, text?))) {
            objects.insert(key.clone(), ObjectFacts::from_bytes(text.as_bytes()));
            self.worker.store.put(&self.key(&key), text.into()).await.map_err(storage)?;
        }
        let revision = Revision { id, master: relative, growing: false };
        let published = Published { revision: Some(revision), ..published };
        self.done(&published, objects)
    }

    fn done(
        &self,
        report: &impl Serialize,
        objects: BTreeMap<String, ObjectFacts>,
    ) -> Result<Made, StepFailure> {
        let report: Value = serde_json::to_value(report).map_err(StepFailure::ours)?;
        let result = StepResult { fence: self.lease.fence, report, objects };
        Ok(Made { result, more: Vec::new() })
    }
}
