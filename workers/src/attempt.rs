//! One attempt at one step: what it reads, what it makes, and whether that is complete.

use std::collections::BTreeMap;
use std::future::Future;

use chalkstream_formats::names::NameList;
use chalkstream_formats::vocabulary::Vocabulary;
use chalkstream_pipeline::media::MediaInfo;
use chalkstream_pipeline::step::Step;
use chalkstream_pipeline::steps::source_rendition::SourceRenditionReport;
use chalkstream_store::{
    Error, Inventory, InventoryObject, InventoryRef, Kind, Lease, Manifest, ObjectFacts, State, StepSpec,
    inventory, layout, names, projection, read_manifest, vocabulary,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::context::WorkerContext;
use crate::failure::{Cause, StepFailure};
use crate::lease::{LeaseGuard, LeaseHandle};
use crate::outage::wait_out;
use crate::outputs::{ObjectSink, keys};
use crate::publish::live_rendition::LiveRendition;
use crate::publish::multivariant::AvailableStreams;
use crate::publish::revision;
use crate::runner::{Progress, Source, Work, WorkTask};
use crate::steps::request::{RequestContext, limits};
use crate::steps::result::{Results, StepResult, is_dropped};
use crate::steps::{Execution, Input, StepKind, audio, ladder, source_rendition};
use crate::{planner, source};

/// A step that succeeded.
pub struct StepOutcome {
    /// Its result.
    pub result: StepResult,
    /// The steps that it adds to the job.
    pub added_steps: Vec<StepSpec>,
}

/// One attempt.
pub struct Attempt<'a> {
    /// Everything it works with.
    pub context: &'a WorkerContext,
    /// The step.
    pub lease: &'a Lease,
    /// The lease's status.
    pub handle: &'a LeaseHandle,
    /// Ends it.
    pub cancel: CancellationToken,
    /// How far it is.
    pub progress: watch::Sender<Progress>,
}

impl Attempt<'_> {
    /// Makes the attempt.
    pub async fn run(self) -> Result<StepOutcome, StepFailure> {
        let kind = StepKind::from_name(&self.lease.step)
            .ok_or_else(|| StepFailure::new(Cause::UnknownStep, "no such step is known"))?;
        let results = Results::from_needs(&self.lease.needs)?;
        let store = &self.context.store;
        let read = read_manifest(store, &self.lease.tenant, &self.lease.recording);
        let manifest = self
            .unless_cancelled(async { read.await.map_err(StepFailure::storage) })
            .await?
            .filter(|manifest| manifest.state != State::Deleted);
        let Some(manifest) = manifest else {
            self.stop_job().await;
            return Err(StepFailure::new(Cause::Cancelled, "the recording is gone"));
        };
        // An attempt before this one was lost with its worker. Viewers are still sent to what it
        // had put out: they are sent elsewhere first.
        let is_live = manifest.revision.as_ref().is_some_and(|revision| revision.is_live);
        if is_live && kind == StepKind::WeakLine {
            let job = self.unless_cancelled(self.context.job(self.lease)).await?;
            self.unless_cancelled(async {
                self.context.update_manifest(&job).await;
                Ok(())
            })
            .await?;
        }
        match &kind.definition().execution {
            Execution::Publish => self.unless_cancelled(self.publish(kind, &manifest)).await,
            Execution::Child { request, .. } => {
                let settings = &self.context.settings;
                let input = &self.lease.input;
                let (names, vocabulary) = match kind {
                    StepKind::Transcribe => {
                        let names = self.unless_cancelled(self.names()).await?;
                        (names, self.unless_cancelled(self.vocabulary(&manifest)).await?)
                    }
                    _ => (None, Vec::new()),
                };
                let request_context =
                    RequestContext { input, results: &results, settings, names, vocabulary };
                let step = request(&request_context)?;
                self.run_child(kind, step, &results, &manifest).await
            }
        }
    }

    /// The tenant's list of names, which must not be said; `None` if it has none. One that cannot
    /// be read fails the step, because its names would be published.
    async fn names(&self) -> Result<Option<NameList>, StepFailure> {
        let (store, tenant) = (&self.context.store, &self.lease.tenant);
        let read = wait_out(self.context.outage_limit(), || async {
            names::read(store, tenant).await.map_err(names_failure)
        });
        read.await
    }

    /// Whether the tenant silences names. If that cannot be read, nothing is planned, because the
    /// audio would be published.
    async fn silences_names(&self) -> Result<bool, StepFailure> {
        let (store, tenant) = (&self.context.store, &self.lease.tenant);
        let read = wait_out(self.context.outage_limit(), || async {
            names::is_silencing(store, tenant).await.map_err(names_failure)
        });
        read.await
    }

    /// The recording's vocabulary, then the tenant's. One that cannot be read costs no transcript:
    /// it has hints only.
    async fn vocabulary(&self, manifest: &Manifest) -> Result<Vec<Vocabulary>, StepFailure> {
        let (store, tenant) = (&self.context.store, &self.lease.tenant);
        let read = wait_out(self.context.outage_limit(), || async {
            match vocabulary::read(store, tenant).await {
                Err(error) if error.kind == Kind::Corrupt => {
                    tracing::warn!(tenant_id = tenant, %error, "vocabulary left out");
                    Ok(Vocabulary::default())
                }
                read => read.map_err(StepFailure::storage),
            }
        });
        Ok(vec![manifest.vocabulary.clone(), read.await?])
    }

    /// Stops the job of a recording that is gone. Its deletion forgets it, but may still wait for
    /// Redis or a server, and until then one worker after the other would take its steps.
    async fn stop_job(&self) {
        if let Err(error) = self.context.queue.cancel(&self.lease.tenant, &self.lease.recording).await {
            tracing::debug!(recording_id = self.lease.recording, %error, "job of a deleted recording not stopped");
        }
    }

    /// Does what has no other way to end early.
    async fn unless_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T, StepFailure>>,
    ) -> Result<T, StepFailure> {
        tokio::select! {
            biased;
            done = work => done,
            () = self.cancel.cancelled() => Err(StepFailure::new(Cause::Cancelled, "stopped on request")),
        }
    }

    /// Full key of an object of the recording.
    fn key(&self, relative: &str) -> String {
        layout::object_key(&self.lease.tenant, &self.lease.recording, relative)
    }

    async fn run_child(
        self,
        kind: StepKind,
        step: Step,
        results: &Results,
        manifest: &Manifest,
    ) -> Result<StepOutcome, StepFailure> {
        if let Some(report) = ladder::report_without_work(&step) {
            return self.outcome(&report, BTreeMap::new(), None);
        }
        let (context, lease) = (self.context, self.lease);
        let media = results.media()?;
        let live = self.live_rendition(kind, &step, results, manifest)?;
        let Execution::Child { deadline, input, .. } = &kind.definition().execution else {
            return Err(StepFailure::ours("a step without a child"));
        };
        let work = Work {
            name: format!("{}-{}-{}", lease.recording, lease.step, lease.fence),
            task: WorkTask::Step(Box::new(step)),
            source: self.unless_cancelled(self.open(*input, results, manifest)).await?,
            deadline: deadline.of_media(media.as_ref(), &context.settings),
            cancel: self.cancel.clone(),
            progress: self.progress.clone(),
            background: kind.definition().class.is_background(),
        };
        let prefix = layout::recording_prefix(&lease.tenant, &lease.recording);
        let scratch = context.runner.scratch();
        let mut sink = ObjectSink::new(&context.store, prefix, lease.fence, self.handle, scratch)?
            .with_outage_limit(context.outage_limit());
        let (report, live_playlist) = match &live {
            Some(live) => {
                sink = sink.with_live(live.folder());
                let report = context.runner.run(work, &live.follow(&sink)).await?;
                (report, self.unless_cancelled(live.end()).await?)
            }
            None => (context.runner.run(work, &sink).await?, None),
        };
        self.accept(kind, report, sink, live_playlist, media.as_ref()).await
    }

    /// Verifies what a child made, and lists it.
    async fn accept(
        &self,
        kind: StepKind,
        report: Value,
        sink: ObjectSink<'_>,
        live_playlist: Option<(String, ObjectFacts)>,
        media: Option<&MediaInfo>,
    ) -> Result<StepOutcome, StepFailure> {
        let outputs = self.unless_cancelled(sink.finish()).await?;
        kind.verify(&report, &outputs, media)
            .map_err(|problem| StepFailure::new(Cause::Unverified, problem))?;
        // What nothing names is swept at the job's end.
        let objects = outputs.into_objects(self.lease.fence, |path| !is_dropped(&report, path));
        let inventory = self.unless_cancelled(self.write_inventory(objects)).await?;
        let mut outcome = self.outcome(&report, live_playlist.into_iter().collect(), inventory)?;
        if kind == StepKind::Inspect {
            outcome.added_steps = self.plan(&report).await?;
        }
        Ok(outcome)
    }

    /// Writes the inventory of what was made; `None` if that is nothing.
    async fn write_inventory(
        &self,
        objects: BTreeMap<String, InventoryObject>,
    ) -> Result<Option<InventoryRef>, StepFailure> {
        if objects.is_empty() {
            return Ok(None);
        }
        let (lease, store) = (self.lease, &self.context.store);
        let inventory = Inventory::new(lease.fence, &lease.step, objects);
        let written = wait_out(self.context.outage_limit(), || async {
            self.handle.ensure_held().await?;
            let written = inventory::write(store, &lease.tenant, &lease.recording, &inventory).await;
            written.map_err(StepFailure::storage)
        });
        written.await.map(Some)
    }

    async fn open(
        &self,
        input: Input,
        results: &Results,
        manifest: &Manifest,
    ) -> Result<Source, StepFailure> {
        let (store, outage_limit) = (&self.context.store, self.context.outage_limit());
        match input {
            Input::SpeechAudio => {
                let (parts, fence) = audio::speech_parts(results)?;
                let keys = parts.iter().map(|part| self.key(&keys::object(part, fence)));
                source::open_parts(store, &keys.collect::<Vec<_>>(), outage_limit).await
            }
            Input::Source => {
                let source = manifest.source.as_ref();
                let source = source.ok_or_else(|| StepFailure::ours("the recording has no source"))?;
                source::open(store, &self.key(&source.key), outage_limit).await
            }
        }
    }

    /// The weak line's rendition, to be watched while it is made; `None` if the source's video can
    /// be watched meanwhile.
    fn live_rendition(
        &self,
        kind: StepKind,
        step: &Step,
        results: &Results,
        manifest: &Manifest,
    ) -> Result<Option<LiveRendition<'_>>, StepFailure> {
        let plan = match step {
            Step::Transcode(request) if kind == StepKind::WeakLine => request.ladder.renditions.first(),
            _ => None,
        };
        let source: Option<SourceRenditionReport> = results.report(source_rendition::NAME)?;
        let has_source_video = source.is_some_and(|source| source.video.is_some());
        let Some(plan) = plan.filter(|_| !has_source_video) else { return Ok(None) };
        let streams = AvailableStreams::from_results(results)?;
        let has_audio = results.media()?.is_some_and(|media| media.audio.is_some());
        // Where names are silenced, its audio comes later.
        if !streams.is_playable(has_audio, false) {
            return Ok(None);
        }
        Ok(Some(LiveRendition::new(
            self.context,
            self.lease,
            self.handle,
            plan.clone(),
            streams,
            projection::last_revision_id(manifest),
        )))
    }

    async fn plan(&self, report: &Value) -> Result<Vec<StepSpec>, StepFailure> {
        let silence_names = self.unless_cancelled(self.silences_names()).await?;
        let settings = &self.context.settings;
        let ladder = |video: &_| ladder::for_video(video, &settings.media);
        let source = &settings.source_rendition;
        let defer_above = settings.worker.defer_above_height;
        let plan = planner::PlanSettings {
            limits: limits(settings),
            transcribe: settings.speech.enabled,
            silence_names,
            source_segment_ms: source.enabled.then_some(source.max_keyframe_distance_ms),
            defer_above: Some(defer_above).filter(|&height| height > 0),
            ladder: &ladder,
        };
        planner::after_inspect(&Deserialize::deserialize(report).map_err(StepFailure::ours)?, &plan)
    }

    /// Publishes a revision of all that can be watched by now, if that is more than before.
    async fn publish(&self, kind: StepKind, manifest: &Manifest) -> Result<StepOutcome, StepFailure> {
        let job = self.context.job(self.lease).await?;
        let publication = revision::plan(&job, manifest, kind == StepKind::Finish)?;
        if !publication.playlists.is_empty() {
            self.handle.ensure_held().await?;
        }
        let mut objects = BTreeMap::new();
        for (relative, text) in publication.playlists {
            objects.insert(relative.clone(), ObjectFacts::from_bytes(text.as_bytes()));
            let stored = self.context.store.put(&self.key(&relative), text.into()).await;
            stored.map_err(StepFailure::storage)?;
        }
        self.outcome(&publication.report, objects, None)
    }

    fn outcome(
        &self,
        report: &impl Serialize,
        objects: BTreeMap<String, ObjectFacts>,
        inventory: Option<InventoryRef>,
    ) -> Result<StepOutcome, StepFailure> {
        let report = serde_json::to_value(report).map_err(StepFailure::ours)?;
        let result = StepResult { fence: self.lease.fence, report, objects, inventory };
        Ok(StepOutcome { result, added_steps: Vec::new() })
    }
}

fn names_failure(error: Error) -> StepFailure {
    match error.kind {
        Kind::Unavailable => StepFailure::storage(error),
        _ => StepFailure::new(Cause::Names, error),
    }
}

#[cfg(test)]
mod tests;
