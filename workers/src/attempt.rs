//! One attempt at one step: what it reads, what it makes, and whether that is whole.

use std::collections::BTreeMap;

use chalkstream_store::{Lease, Manifest, ObjectFacts, Revision, StepSpec, layout as keys, read_manifest};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::failure::{Cause, StepFailure};
use crate::lease::Held;
use crate::record::Published;
use crate::result::{Results, StepResult};
use crate::runner::{Progress, Work, WorkTask};
use crate::sink::{Holds, ObjectSink, storage};
use crate::worker::Worker;
use crate::{ladder, layout, master, media, planner, result, source, verify};

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
        match self.lease.step.as_str() {
            planner::PUBLISH => self.publish(&results, &manifest).await,
            planner::FINISH => self.finish(&results, &manifest).await,
            _ => self.media(&results, &manifest).await,
        }
    }

    fn results(&self) -> Result<Results, StepFailure> {
        let had = self.lease.needs.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        had.map(|(name, value)| Ok((name.clone(), StepResult::read(value)?))).collect()
    }

    fn key(&self, relative: &str) -> String {
        keys::object_key(&self.lease.tenant, &self.lease.recording, relative)
    }

    /// A step of the pipeline, in a child.
    async fn media(self, results: &Results, manifest: &Manifest) -> Result<Made, StepFailure> {
        let (worker, lease, name) = (self.worker, self.lease, self.lease.step.as_str());
        let settings = &worker.settings;
        let step = media::step(name, &lease.input, results, settings)?;
        let inspected = media::inspected(results)?;
        let key = match (name, results.get(planner::SOUND)) {
            (planner::TRANSCRIBE, Some(sound)) => {
                layout::object(sound.report["speech"].as_str().unwrap_or_default(), sound.fence)
            }
            _ => {
                let source = manifest.source.as_ref().map(|source| source.key.clone());
                source.ok_or_else(|| StepFailure::ours("the recording has no source"))?
            }
        };
        let work = Work {
            name: format!("{}-{name}-{}", lease.recording, lease.fence),
            task: WorkTask::Step(Box::new(step)),
            source: source::open(&worker.store, &self.key(&key)).await?,
            deadline: media::deadline(name, inspected.as_ref(), settings),
            cancel: self.cancel.clone(),
            progress: self.progress.clone(),
        };
        let prefix = keys::recording_prefix(&lease.tenant, &lease.recording);
        let sink = ObjectSink::new(&worker.store, prefix, lease.fence, self.held);
        let report = worker.runner.run(work, &sink).await?;
        let taken = sink.into_taken();
        verify::verify(name, &report, &taken, inspected.as_ref())
            .map_err(|problem| StepFailure::of(Cause::Unverified, problem))?;
        let objects = taken
            .outputs
            .into_iter()
            .map(|(path, facts)| (layout::object(&path, lease.fence), facts))
            .collect();
        let result = StepResult { fence: lease.fence, report, objects };
        let more = match name {
            planner::INSPECT => self.plan(&result)?,
            _ => Vec::new(),
        };
        Ok(Made { result, more })
    }

    fn plan(&self, inspected: &StepResult) -> Result<Vec<StepSpec>, StepFailure> {
        let settings = &self.worker.settings;
        let ladder = |video: &_| ladder::of(video, &settings.media);
        let plan = planner::PlanSettings {
            limits: media::limits(settings),
            transcribe: settings.speech.enabled,
            ladder: &ladder,
        };
        planner::after_inspect(&inspected.report()?, &plan)
    }

    /// The first revision: all there is to watch, before captions.
    async fn publish(&self, results: &Results, manifest: &Manifest) -> Result<Made, StepFailure> {
        if let Some(inspected) = media::inspected(results)? {
            let picture = result::duration_ms(results, planner::TRANSCODE);
            let sound = result::duration_ms(results, planner::SOUND);
            let warned = !result::warnings(results).is_empty();
            verify::agree(&inspected, picture, sound, warned)
                .map_err(|problem| StepFailure::of(Cause::Unverified, problem))?;
        }
        let id = manifest.revision.as_ref().map_or(1, |revision| revision.id + 1);
        self.put_out(id, results).await
    }

    /// The last revision, where there is something that the one before did not have.
    async fn finish(&self, results: &Results, manifest: &Manifest) -> Result<Made, StepFailure> {
        let before = manifest.revision.clone().ok_or_else(|| StepFailure::ours("nothing is published"))?;
        let captions = results
            .get(planner::TRANSCRIBE)
            .is_some_and(|transcript| transcript.report["subtitles"].is_string());
        if captions {
            return self.put_out(before.id + 1, results).await;
        }
        self.done(&Published { revision: before }, BTreeMap::new())
    }

    async fn put_out(&self, id: u32, results: &Results) -> Result<Made, StepFailure> {
        let text = master::playlist(results, layout::base_of_object)?;
        let relative = keys::master_relative(id);
        let facts = ObjectFacts {
            size_bytes: text.len() as u64,
            sha256: chalkstream_store::objects::sha256_hex(text.as_bytes()),
        };
        self.held.holds().await?;
        self.worker.store.put(&self.key(&relative), text.into()).await.map_err(storage)?;
        let revision = Revision { id, master: relative.clone() };
        self.done(&Published { revision }, BTreeMap::from([(relative, facts)]))
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
