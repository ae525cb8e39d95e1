//! A recording as the API returns it.

use chalkstream_store::{Blame, Failure, JobState, JobView, Manifest, Notice, State, StepState};
use serde::Serialize;
use utoipa::ToSchema;

/// A recording.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RecordingView {
    /// Its id.
    id: String,
    /// Title as the uploader gave it.
    title: String,
    /// The platform's id of the uploader.
    uploader: String,
    /// `awaiting_upload`, `queued`, `processing`, `playable`, `ready`, `failed` or `cancelled`.
    state: String,
    /// The parts that can be watched.
    playable_with: Vec<String>,
    /// When its upload was created (RFC 3339).
    created_at: String,
    /// Time by which it is needed, in ms since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at_ms: Option<u64>,
    /// Name of the uploaded file.
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<String>,
    /// Size of the uploaded file.
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    /// SHA-256 of the uploaded file.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// Length.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    /// Width of the upright video, in pixels; 0 without video.
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    /// Height of the upright video, in pixels; 0 without video.
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    /// Number of the newest published revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u32>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureView>,
    /// Optional steps that failed; the recording is complete without them.
    failed_optional: Vec<FailureView>,
    /// Unusual or missing parts of the file.
    warnings: Vec<NoticeView>,
    /// Why the file itself is not offered to viewers, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    source_declined: Option<NoticeView>,
    /// Names of its files: `transcript.json`, `poster`, ….
    files: Vec<String>,
    /// Share of the known steps that is done, from 0 to 1.
    progress: f64,
    /// Its steps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<StepProgress>,
}

/// Why something failed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FailureView {
    /// Stable code.
    code: String,
    /// One plain sentence.
    message: String,
    /// The step.
    step: String,
    /// Whose fault: `input`, `machine`, `internal` or `outage`.
    #[schema(value_type = String)]
    blame: Blame,
}

/// A notice that is no failure.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NoticeView {
    /// Stable code.
    code: String,
    /// One plain sentence.
    message: String,
}

impl From<&Notice> for NoticeView {
    fn from(notice: &Notice) -> Self {
        Self { code: notice.code.clone(), message: notice.message.clone() }
    }
}

/// The progress of a step.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StepProgress {
    /// Its name.
    name: String,
    /// `waiting`, `ready`, `leased`, `delayed`, `done`, `failed` or `cancelled`.
    #[schema(value_type = String)]
    state: StepState,
    /// Number of attempts.
    attempts: u32,
    /// Whether the recording is complete without it.
    optional: bool,
    /// Media time done, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    done_ms: Option<u64>,
    /// Media time to process, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_ms: Option<u64>,
    /// Why its last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureView>,
}

impl From<&Failure> for FailureView {
    fn from(failure: &Failure) -> Self {
        Self {
            code: failure.code.clone(),
            message: failure.message.clone(),
            step: failure.step.clone(),
            blame: failure.blame,
        }
    }
}

impl RecordingView {
    /// From the manifest, and the live job if it is known.
    pub fn new(manifest: &Manifest, job: Option<&JobView>) -> Self {
        let steps = match job {
            Some(job) => live_steps(job),
            None => recorded_steps(manifest),
        };
        let media = manifest.media.as_ref();
        let source = manifest.source.as_ref();
        Self {
            id: manifest.recording.clone(),
            title: manifest.title.clone(),
            uploader: manifest.uploader.clone(),
            state: state_now(manifest, job).as_str().into(),
            playable_with: manifest.playable_with.clone(),
            created_at: manifest.created_at.to_string(),
            due_at_ms: manifest.due_at_ms,
            filename: source.map(|source| source.filename.clone()),
            size_bytes: source.map(|source| source.size_bytes),
            sha256: source.and_then(|source| source.sha256.clone()),
            duration_ms: media.map(|media| media.duration_ms),
            width: media.map(|media| media.width),
            height: media.map(|media| media.height),
            revision: manifest.revision.as_ref().map(|revision| revision.id),
            failure: manifest.failure.as_ref().map(Into::into),
            failed_optional: manifest.failed_optional.iter().map(Into::into).collect(),
            warnings: manifest.warnings.iter().map(Into::into).collect(),
            source_declined: manifest.source_declined.as_ref().map(Into::into),
            files: manifest.files.keys().cloned().collect(),
            progress: progress(manifest.state, &steps),
            steps,
        }
    }

    /// The same without its steps, for lists.
    pub fn brief(manifest: &Manifest) -> Self {
        Self { steps: Vec::new(), ..Self::new(manifest, None) }
    }
}

/// The state now: only the queue knows yet that a worker has started.
fn state_now(manifest: &Manifest, job: Option<&JobView>) -> State {
    match (manifest.state, job.map(|job| job.state)) {
        (State::Queued, Some(JobState::Running)) => State::Processing,
        (state, _) => state,
    }
}

fn live_steps(job: &JobView) -> Vec<StepProgress> {
    job.steps
        .iter()
        .map(|step| StepProgress {
            name: step.name.clone(),
            state: step.state,
            attempts: step.attempts,
            optional: step.optional,
            done_ms: step.progress.map(|progress| progress.done_ms),
            total_ms: step.progress.map(|progress| progress.total_ms),
            failure: step.failure.as_ref().map(Into::into),
        })
        .collect()
}

fn recorded_steps(manifest: &Manifest) -> Vec<StepProgress> {
    manifest
        .steps
        .iter()
        .map(|(name, step)| StepProgress {
            name: name.clone(),
            state: step.state,
            attempts: step.attempts,
            optional: step.optional,
            done_ms: None,
            total_ms: None,
            failure: step.failure.as_ref().map(Into::into),
        })
        .collect()
}

/// The mean over the known steps. Before `inspect` ends there is only that one, so its share is
/// small.
fn progress(state: State, steps: &[StepProgress]) -> f64 {
    if state == State::Ready {
        return 1.0;
    }
    let planned = steps.len().max(5);
    let done: f64 = steps
        .iter()
        .map(|step| match (step.state, step.done_ms, step.total_ms) {
            (state, ..) if state.is_terminal() => 1.0,
            (StepState::Leased, Some(done), Some(total @ 1..)) => (done as f64 / total as f64).min(1.0),
            _ => 0.0,
        })
        // Not `sum`: that of an empty list is -0.0.
        .fold(0.0, |all, one| all + one);
    ((done / planned as f64) * 1000.0).round() / 1000.0
}
