//! One file, no services: the same steps in the same sandboxed children, into a folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chalkstream_config::Settings;
use chalkstream_pipeline::sound::SoundReport;
use chalkstream_pipeline::speech::TranscriptReport;
use chalkstream_pipeline::stills::StillsReport;
use chalkstream_store::{ObjectFacts, StepSpec};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::failure::{Cause, StepFailure};
use crate::master::Shown;
use crate::result::{Results, StepResult, lost, report, warnings};
use crate::runner::{Progress, Runner, Source, Work, WorkTask};
use crate::sink::FolderSink;
use crate::{ladder, layout, media, planner, source, verify};

/// What is told while a file is processed.
#[derive(Clone, Debug)]
pub enum Told {
    /// A step begins.
    Started(String),
    /// A step got on.
    Progress(String, Progress),
    /// A step is done, after this long.
    Done(String, Duration),
    /// A step failed that the recording can do without.
    Skipped(String, StepFailure),
}

/// Why a file could not be processed.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The call made no sense: no such file, a folder with something else in it.
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

/// Processes `file` into the folder `out`, and answers what `recording.json` says.
///
/// The folder appears when all is done; on any failure nothing is left behind.
pub async fn process(
    settings: &Settings,
    file: &Path,
    out: &Path,
    stop: CancellationToken,
    tell: &(dyn Fn(Told) + Send + Sync),
) -> Result<Value, ProcessError> {
    let source = open(file)?;
    let parent = place(out)?;
    let ours = |error: io::Error| ProcessError::Usage(format!("The folder cannot be written: {error}."));
    let partial = tempfile::Builder::new().prefix(".chalkstream-").tempdir_in(&parent).map_err(ours)?;
    let root = partial.path().join("out");
    std::fs::create_dir(&root).map_err(ours)?;
    let run = Run {
        runner: Runner::new(&settings.worker, &partial.path().join("scratch")),
        settings,
        source: &source,
        root: &root,
        stop,
        tell,
    };
    let recording = run.all().await?;
    put_in_place(&root, out, partial.path()).map_err(ours)?;
    Ok(recording)
}

fn open(file: &Path) -> Result<File, ProcessError> {
    let name = file.display();
    // Not waiting for whoever writes to a pipe.
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

/// The folder that will hold `out`. An `out` with something in it is only replaced when we made it.
fn place(out: &Path) -> Result<PathBuf, ProcessError> {
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

/// Moves the finished folder to its place; an older one of ours goes with `partial`.
fn put_in_place(root: &Path, out: &Path, partial: &Path) -> io::Result<()> {
    if out.exists() {
        std::fs::rename(out, partial.join("old"))?;
    }
    std::fs::rename(root, out)
}

struct Run<'a> {
    runner: Runner,
    settings: &'a Settings,
    source: &'a File,
    root: &'a Path,
    stop: CancellationToken,
    tell: &'a (dyn Fn(Told) + Send + Sync),
}

/// A step's end: its name, how long it took, and what came of it.
type Ended = (StepSpec, Duration, Result<(StepResult, BTreeMap<String, ObjectFacts>), StepFailure>);

impl Run<'_> {
    /// Runs the graph, as many steps at once as there are slots.
    async fn all(&self) -> Result<Value, ProcessError> {
        let failed = |step: &str| {
            let step = step.to_owned();
            move |failure| ProcessError::Step { step, failure }
        };
        self.runner.prepare().await.map_err(failed("prepare"))?;
        let mut waiting = vec![planner::first()];
        let mut running = FuturesUnordered::new();
        let mut done = Recorded::default();
        loop {
            let slots = crate::slots(&self.settings.worker);
            while running.len() < slots
                && let Some(next) = waiting.iter().position(|step| done.over(&step.needs))
            {
                let step = waiting.remove(next);
                if planner::PUBLISHES.contains(&step.name.as_str()) {
                    // All are one file here, written when everything is done.
                    done.seconds.insert(step.name, 0.0);
                    continue;
                }
                (self.tell)(Told::Started(step.name.clone()));
                running.push(self.one(step, done.results.clone()));
            }
            let Some((step, took, result)) = running.next().await else { break };
            match result {
                Ok((result, objects)) => {
                    (self.tell)(Told::Done(step.name.clone(), took));
                    done.objects.extend(objects);
                    done.seconds.insert(step.name.clone(), took.as_secs_f64());
                    done.results.insert(step.name.clone(), result);
                    if step.name == planner::INSPECT {
                        waiting = self.plan(&done.results).map_err(failed(&step.name))?;
                    }
                }
                Err(failure) if step.optional && failure.cause != Cause::Cancelled => {
                    (self.tell)(Told::Skipped(step.name.clone(), failure.clone()));
                    done.failed.push((step.name, failure));
                }
                Err(failure) => return Err(ProcessError::Step { step: step.name, failure }),
            }
        }
        self.finish(done).map_err(failed(planner::FINISH))
    }

    fn plan(&self, results: &Results) -> Result<Vec<StepSpec>, StepFailure> {
        let found = media::inspected(results)?.ok_or_else(|| StepFailure::ours("nothing was inspected"))?;
        let ladder = |video: &_| ladder::of(video, &self.settings.media);
        let settings = planner::PlanSettings {
            limits: media::limits(self.settings),
            transcribe: self.settings.speech.enabled,
            // The folder stands alone: a source that lies elsewhere is no part of it.
            source_segment_ms: None,
            idle_above: None,
            ladder: &ladder,
        };
        planner::after_inspect(&found, &settings)
    }

    async fn one(&self, spec: StepSpec, results: Results) -> Ended {
        let start = Instant::now();
        let result = self.attempt(&spec, &results).await;
        (spec, start.elapsed(), result)
    }

    async fn attempt(
        &self,
        spec: &StepSpec,
        results: &Results,
    ) -> Result<(StepResult, BTreeMap<String, ObjectFacts>), StepFailure> {
        let name = spec.name.as_str();
        let found = media::inspected(results)?;
        let step = media::step(name, &spec.input, results, self.settings)?;
        let source = match name {
            planner::TRANSCRIBE => {
                let sound: Option<SoundReport> = report(results, planner::SOUND)?;
                let parts = sound.map(|sound| sound.speech).unwrap_or_default();
                let files = parts.iter().map(|part| self.root.join(layout::file(part)));
                source::open_files(&files.collect::<Vec<_>>())
            }
            _ => self.source.try_clone().map(Source::File),
        };
        let (progress, seen) = watch::channel(Progress::default());
        let work = Work {
            name: name.to_owned(),
            task: WorkTask::Step(Box::new(step)),
            source: source.map_err(StepFailure::ours)?,
            deadline: media::deadline(name, found.as_ref(), self.settings),
            cancel: self.stop.child_token(),
            progress,
            background: false,
        };
        let sink = FolderSink::new(self.root);
        let report = {
            let run = self.runner.run(work, &sink);
            let show = self.show(name, seen);
            tokio::pin!(run, show);
            tokio::select! {
                report = &mut run => report?,
                () = &mut show => run.await?,
            }
        };
        let taken = sink.into_taken();
        verify::verify(name, &report, &taken, found.as_ref())
            .map_err(|problem| StepFailure::of(Cause::Unverified, problem))?;
        let (needless, objects): (BTreeMap<_, _>, _) =
            taken.outputs.into_iter().partition(|(path, _)| crate::result::is_needless(&report, path));
        for path in needless.keys() {
            let path = self.root.join(layout::file(path));
            std::fs::remove_file(&path).map_err(StepFailure::ours)?;
            // With the last file the folder goes.
            let _ = path.parent().map(std::fs::remove_dir);
        }
        let objects = objects.into_iter().map(|(path, facts)| (layout::file(&path), facts)).collect();
        Ok((StepResult { fence: 0, report, objects: BTreeMap::new() }, objects))
    }

    async fn show(&self, name: &str, mut seen: watch::Receiver<Progress>) {
        while seen.changed().await.is_ok() {
            let progress = *seen.borrow_and_update();
            (self.tell)(Told::Progress(name.to_owned(), progress));
        }
    }

    /// Writes the multivariant playlist and `recording.json`, and drops what was only needed on the way.
    fn finish(&self, mut done: Recorded) -> Result<Value, StepFailure> {
        let found = media::inspected(&done.results)?;
        let picture = crate::result::duration_ms(&done.results, planner::WEAK_LINE);
        let sound = crate::result::duration_ms(&done.results, planner::SOUND);
        if let Some(found) = &found {
            verify::agree(found, picture, sound, lost(&done.results))
                .map_err(|problem| StepFailure::of(Cause::Unverified, problem))?;
        }
        let text = Shown::of(&done.results)?.playlist(|group, _| layout::base_of_file(group));
        std::fs::create_dir_all(self.root.join("hls")).map_err(StepFailure::ours)?;
        std::fs::write(self.root.join("hls/master.m3u8"), text).map_err(StepFailure::ours)?;
        match std::fs::remove_dir_all(self.root.join("work")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StepFailure::ours(error)),
            _ => {}
        }
        done.objects.retain(|path, _| !path.starts_with("work/"));
        let mut recording = json!({
            "version": 1,
            "state": "ready",
            "media": found,
            "playlist": "hls/master.m3u8",
            "files": files(&done.results)?,
            "warnings": warnings(&done.results),
            "steps": done.steps(),
            "failed_optional": done.failed.iter().map(told_failure).collect::<Vec<_>>(),
        });
        let mut whole = recording.clone();
        whole["objects"] = json!(done.objects);
        let text = serde_json::to_vec_pretty(&whole).map_err(StepFailure::ours)?;
        std::fs::write(self.root.join("recording.json"), text).map_err(StepFailure::ours)?;
        recording["objects"] = json!(done.objects.len());
        Ok(recording)
    }
}

/// What is known so far.
#[derive(Default)]
struct Recorded {
    results: Results,
    seconds: BTreeMap<String, f64>,
    failed: Vec<(String, StepFailure)>,
    objects: BTreeMap<String, ObjectFacts>,
}

impl Recorded {
    fn over(&self, needs: &[String]) -> bool {
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

fn told_failure((step, failure): &(String, StepFailure)) -> Value {
    json!({ "step": step, "code": failure.code, "message": failure.message, "fault": failure.fault })
}

/// The files a person looks for, by what they are.
fn files(results: &Results) -> Result<Value, StepFailure> {
    let mut files = serde_json::Map::new();
    if let Some(stills) = report::<StillsReport>(results, planner::STILLS)? {
        files.insert("poster".into(), stills.poster.into());
        if let Some(storyboard) = stills.storyboard {
            files.insert("storyboard.vtt".into(), storyboard.vtt.into());
        }
    }
    if let Some(transcript) = report::<TranscriptReport>(results, planner::TRANSCRIBE)? {
        files.insert("transcript.json".into(), transcript.json.into());
        files.insert("captions.vtt".into(), transcript.vtt.into());
        files.insert("captions.srt".into(), transcript.srt.into());
        files.insert("transcript.txt".into(), transcript.text.into());
    }
    Ok(Value::Object(files))
}
