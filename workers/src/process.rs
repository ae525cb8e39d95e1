//! One file, no services: the same steps in the same sandboxed children, into a folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chalkstream_config::Settings;
use chalkstream_store::{ObjectFacts, StepSpec};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::failure::{Cause, StepFailure};
use crate::outputs::{FolderSink, keys};
use crate::publish::multivariant::AvailableStreams;
use crate::runner::{Progress, Runner, Source, Work, WorkTask, remove_dir_if_exists};
use crate::steps::request::{RequestContext, limits};
use crate::steps::result::{Results, StepResult, is_dropped};
use crate::steps::{Execution, Input, StepKind, audio, finish, ladder, verify, weak_line};
use crate::{planner, source};

/// An event while a file is processed.
#[derive(Clone, Debug)]
pub enum ProcessEvent {
    /// A step started.
    Started(String),
    /// A step made progress.
    Progress(String, Progress),
    /// A step is done, after this long.
    Done(String, Duration),
    /// A step failed that the recording can do without.
    Skipped(String, StepFailure),
}

/// Why a file could not be processed.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The call is wrong: no such file, or a folder with something else in it.
    #[error("{0}")]
    Usage(String),
    /// A step failed.
    #[error("{failure}")]
    Step {
        /// Which.
        step: String,
        /// Why.
        failure: StepFailure,
    },
}

/// Processes `file` into the folder `out`, and returns the content of `recording.json`.
///
/// The folder appears when all is done; a failure leaves nothing behind.
pub async fn process(
    settings: &Settings,
    file: &Path,
    out: &Path,
    stop: CancellationToken,
    report: &(dyn Fn(ProcessEvent) + Send + Sync),
) -> Result<Value, ProcessError> {
    let source = open(file)?;
    let parent = parent_folder(out)?;
    let ours = |error: io::Error| ProcessError::Usage(format!("The folder cannot be written: {error}."));
    let partial = tempfile::Builder::new().prefix(".chalkstream-").tempdir_in(&parent).map_err(ours)?;
    let root = partial.path().join("out");
    std::fs::create_dir(&root).map_err(ours)?;
    let run = ProcessRun {
        runner: Runner::new(&settings.worker, &partial.path().join("scratch")),
        settings,
        source: &source,
        root: &root,
        stop,
        report,
    };
    let recording = run.all().await?;
    move_into_place(&root, out, partial.path()).map_err(ours)?;
    Ok(recording)
}

fn open(file: &Path) -> Result<File, ProcessError> {
    let name = file.display();
    // Do not wait for a writer if it is a pipe.
    let opened = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(file)
        .map_err(|error| ProcessError::Usage(format!("{name} cannot be opened: {error}.")))?;
    match opened.metadata() {
        Ok(facts) if facts.is_file() => Ok(opened),
        _ => Err(ProcessError::Usage(format!("{name} is not a file."))),
    }
}

/// The folder that will hold `out`. An `out` that is not empty is only replaced if we made it.
fn parent_folder(out: &Path) -> Result<PathBuf, ProcessError> {
    let name = out.display();
    if let Ok(mut entries) = std::fs::read_dir(out) {
        if entries.next().is_some() && !out.join("recording.json").is_file() {
            return Err(ProcessError::Usage(format!("{name} is not empty.")));
        }
    } else if out.exists() {
        return Err(ProcessError::Usage(format!("{name} is not a folder.")));
    }
    let parent = match out.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    std::fs::create_dir_all(&parent)
        .map_err(|error| ProcessError::Usage(format!("{} cannot be made: {error}.", parent.display())))?;
    parent.canonicalize().map_err(|error| ProcessError::Usage(format!("{name}: {error}.")))
}

/// Moves the finished folder to `out`; an older one of ours goes with `partial`.
fn move_into_place(root: &Path, out: &Path, partial: &Path) -> io::Result<()> {
    if out.exists() {
        std::fs::rename(out, partial.join("old"))?;
    }
    std::fs::rename(root, out)
}

struct ProcessRun<'a> {
    runner: Runner,
    settings: &'a Settings,
    source: &'a File,
    root: &'a Path,
    stop: CancellationToken,
    report: &'a (dyn Fn(ProcessEvent) + Send + Sync),
}

/// A result, and the files in the folder.
type Made = (StepResult, BTreeMap<String, ObjectFacts>);
/// A step that is over: how long it took, and what it made.
type Ended = (StepSpec, Duration, Result<Made, StepFailure>);

impl ProcessRun<'_> {
    /// Runs the graph, as many steps at once as there are slots.
    async fn all(&self) -> Result<Value, ProcessError> {
        let failed = |step: &str| {
            let step = step.to_owned();
            move |failure| ProcessError::Step { step, failure }
        };
        self.runner.prepare().await.map_err(failed("prepare"))?;
        let mut waiting = vec![StepSpec::first()];
        let mut running = FuturesUnordered::new();
        let mut done = Finished::default();
        loop {
            let slots = crate::Capacity::new(&self.settings.worker).long_steps();
            while running.len() < slots
                && let Some(next) = waiting.iter().position(|step| done.includes(&step.needs))
            {
                let step = waiting.remove(next);
                if StepKind::from_name(&step.name).is_some_and(StepKind::is_publication) {
                    // Here all revisions are one file, written when everything is done.
                    done.seconds.insert(step.name, 0.0);
                    continue;
                }
                (self.report)(ProcessEvent::Started(step.name.clone()));
                running.push(self.one(step, done.results.clone()));
            }
            let Some((step, took, result)) = running.next().await else { break };
            match result {
                Ok((result, objects)) => {
                    (self.report)(ProcessEvent::Done(step.name.clone(), took));
                    done.objects.extend(objects);
                    done.seconds.insert(step.name.clone(), took.as_secs_f64());
                    done.results.insert(&step.name, result);
                    if step.name == StepSpec::FIRST {
                        waiting = self.plan(&done.results).map_err(failed(&step.name))?;
                    }
                }
                Err(failure) if step.optional && failure.cause != Cause::Cancelled => {
                    (self.report)(ProcessEvent::Skipped(step.name.clone(), failure.clone()));
                    done.failed.push((step.name, failure));
                }
                Err(failure) => return Err(ProcessError::Step { step: step.name, failure }),
            }
        }
        self.finish(done).map_err(failed(finish::NAME))
    }

    fn plan(&self, results: &Results) -> Result<Vec<StepSpec>, StepFailure> {
        let media = results.media()?.ok_or_else(|| StepFailure::ours("nothing was inspected"))?;
        let ladder = |video: &_| ladder::for_video(video, &self.settings.media);
        let settings = planner::PlanSettings {
            limits: limits(self.settings),
            transcribe: self.settings.speech.enabled,
            silence_names: false,
            // The folder stands alone: the source lies elsewhere and is no part of it.
            source_segment_ms: None,
            defer_above: None,
            ladder: &ladder,
        };
        planner::after_inspect(&media, &settings)
    }

    async fn one(&self, spec: StepSpec, results: Results) -> Ended {
        let start = Instant::now();
        let result = self.attempt(&spec, &results).await;
        (spec, start.elapsed(), result)
    }

    async fn attempt(&self, spec: &StepSpec, results: &Results) -> Result<Made, StepFailure> {
        let kind = StepKind::from_name(&spec.name);
        let kind = kind.ok_or_else(|| StepFailure::ours("no such step is known"))?;
        let Execution::Child { deadline, input, request } = &kind.definition().execution else {
            return Err(StepFailure::ours("a step without a child"));
        };
        let media = results.media()?;
        let settings = self.settings;
        let step = request(&RequestContext {
            input: &spec.input,
            results,
            settings,
            names: None,
            vocabulary: Vec::new(),
        })?;
        let source = match input {
            Input::SpeechAudio => {
                let (parts, _) = audio::speech_parts(results)?;
                let files = parts.iter().map(|part| self.root.join(keys::file(part)));
                source::open_files(&files.collect::<Vec<_>>())
            }
            Input::Source => self.source.try_clone().map(Source::File),
        };
        let (progress, seen) = watch::channel(Progress::default());
        let work = Work {
            name: spec.name.clone(),
            task: WorkTask::Step(Box::new(step)),
            source: source.map_err(StepFailure::ours)?,
            deadline: deadline.of_media(media.as_ref(), settings),
            cancel: self.stop.child_token(),
            progress,
            background: false,
        };
        let sink = FolderSink::new(self.root);
        let report = {
            let run = self.runner.run(work, &sink);
            let progress = self.report_progress(&spec.name, seen);
            tokio::pin!(run, progress);
            tokio::select! {
                report = &mut run => report?,
                () = &mut progress => run.await?,
            }
        };
        let outputs = sink.into_outputs();
        kind.verify(&report, &outputs, media.as_ref())
            .map_err(|problem| StepFailure::new(Cause::Unverified, problem))?;
        let (dropped, objects): (BTreeMap<_, _>, _) =
            outputs.files.into_iter().partition(|(path, _)| is_dropped(&report, path));
        for path in dropped.keys() {
            let path = self.root.join(keys::file(path));
            std::fs::remove_file(&path).map_err(StepFailure::ours)?;
            // With the last file the folder goes.
            let _ = path.parent().map(std::fs::remove_dir);
        }
        let objects = objects.into_iter().map(|(path, facts)| (keys::file(&path), facts)).collect();
        Ok((StepResult { report, ..StepResult::default() }, objects))
    }

    async fn report_progress(&self, name: &str, mut seen: watch::Receiver<Progress>) {
        while seen.changed().await.is_ok() {
            let progress = *seen.borrow_and_update();
            (self.report)(ProcessEvent::Progress(name.to_owned(), progress));
        }
    }

    /// Writes the multivariant playlist and `recording.json`, and removes what was only needed on
    /// the way.
    fn finish(&self, mut done: Finished) -> Result<Value, StepFailure> {
        let media = done.results.media()?;
        let video_ms = done.results.duration_ms(weak_line::NAME);
        let audio_ms = done.results.duration_ms(audio::NAME);
        if let Some(media) = &media {
            verify::agreement(media, video_ms, audio_ms, done.results.is_lossy())
                .map_err(|problem| StepFailure::new(Cause::Unverified, problem))?;
        }
        let streams = AvailableStreams::from_results(&done.results)?;
        let text = streams.playlist(|group, _| keys::file_base(group));
        std::fs::create_dir_all(self.root.join("hls")).map_err(StepFailure::ours)?;
        std::fs::write(self.root.join("hls/master.m3u8"), text).map_err(StepFailure::ours)?;
        remove_dir_if_exists(&self.root.join("work")).map_err(StepFailure::ours)?;
        done.objects.retain(|path, _| !path.starts_with("work/"));
        let mut recording = json!({
            "version": 1,
            "state": "ready",
            "media": media,
            "playlist": "hls/master.m3u8",
            "files": files(&done.results)?,
            "warnings": done.results.warnings(),
            "steps": done.steps(),
            "failed_optional": done.failed.iter().map(failure_record).collect::<Vec<_>>(),
        });
        let mut complete = recording.clone();
        complete["objects"] = json!(done.objects);
        let text = serde_json::to_vec_pretty(&complete).map_err(StepFailure::ours)?;
        std::fs::write(self.root.join("recording.json"), text).map_err(StepFailure::ours)?;
        recording["objects"] = json!(done.objects.len());
        Ok(recording)
    }
}

/// Steps that are over so far.
#[derive(Default)]
struct Finished {
    results: Results,
    seconds: BTreeMap<String, f64>,
    failed: Vec<(String, StepFailure)>,
    objects: BTreeMap<String, ObjectFacts>,
}

impl Finished {
    fn includes(&self, needs: &[String]) -> bool {
        needs.iter().all(|need| {
            self.seconds.contains_key(need) || self.failed.iter().any(|(failed, _)| failed == need)
        })
    }

    fn steps(&self) -> Value {
        let steps = self.results.iter().map(|(name, result)| {
            let seconds = self.seconds.get(name).copied().unwrap_or_default();
            (name.clone(), json!({ "state": "done", "seconds": seconds, "report": result.report }))
        });
        Value::Object(steps.collect())
    }
}

fn failure_record((step, failure): &(String, StepFailure)) -> Value {
    json!({ "step": step, "code": failure.code, "message": failure.message, "blame": failure.blame(step) })
}

/// The files that a person looks for, by logical name.
fn files(results: &Results) -> Result<Value, StepFailure> {
    let mut files = serde_json::Map::new();
    for kind in StepKind::ALL {
        let Some(result) = results.get(kind.name()) else { continue };
        let made = (kind.definition().contribute)(&result.report)?;
        files.extend(made.files.into_iter().map(|(name, path)| (name.to_owned(), path.into())));
    }
    Ok(Value::Object(files))
}
