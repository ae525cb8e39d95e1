//! The projection from the queue's view of a job to its recording's manifest. Pure; server and
//! workers use the same.
//!
//! The view at a fence holds every result accepted before it. A manifest made of it therefore
//! misses nothing, although others may write at the same time: the highest fence wins.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::inventory::InventoryRef;
use crate::queue::{JobState, JobView};
use crate::step::StepState;
use crate::{Error, Manifest, ObjectFacts, Result, Revision, State, layout};

/// A step's accepted result, as the queue and the manifest keep it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepResult {
    /// The fence of the attempt, which the keys of its objects carry.
    pub fence: u64,
    /// The step's own report.
    pub report: Value,
    /// Playlists that it published, by key relative to the recording. Results of earlier builds
    /// have every object here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub objects: BTreeMap<String, ObjectFacts>,
    /// The inventory of everything else; `None` if that is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<InventoryRef>,
}

impl StepResult {
    /// Reads the result in a value of the queue or of a manifest.
    pub fn from_value(value: &Value) -> Result<Self> {
        Self::deserialize(value).map_err(|e| Error::corrupt("a step's result cannot be read").with_source(e))
    }
}

/// A revision that is published, and what can be watched with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PublishedRevision {
    /// The revision.
    pub revision: Revision,
    /// The names of what can be watched.
    #[serde(default)]
    pub with: Vec<String>,
}

/// Note of a running step about a rendition that can already be watched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LiveRevisionNote {
    /// The revision with the live rendition.
    #[serde(flatten)]
    pub published: PublishedRevision,
    /// Its multivariant playlist.
    pub objects: BTreeMap<String, ObjectFacts>,
}

/// The results of a job's finished steps, by step name.
pub fn results(job: &JobView) -> Result<BTreeMap<String, StepResult>> {
    job.steps
        .iter()
        .filter(|step| step.state == StepState::Done)
        .filter_map(|step| Some((step.name.clone(), step.result.as_ref()?)))
        .map(|(name, value)| Ok((name, StepResult::from_value(value)?)))
        .collect()
}

/// Brings a manifest up to a job's view: steps, objects, revision and state.
///
/// # Errors
/// If a result cannot be read.
pub fn project(manifest: &mut Manifest, job: &JobView) -> Result<()> {
    manifest.apply_steps(job);
    let results = results(job)?;
    let notes = live_notes(job);
    // Sessions on an earlier revision go on, also while a step is tried again and the result that
    // published that revision is gone.
    manifest.objects.retain(|key, _| key.starts_with("source/") || layout::revision_of(key).is_some());
    manifest.objects.extend(results.values().flat_map(|result| result.objects.clone()));
    manifest.objects.extend(notes.iter().flat_map(|note| note.objects.clone()));
    // What a published revision names stays until the job is done with something newer.
    if job.state == JobState::Done {
        manifest.inventories.clear();
    }
    let inventories = results.values().filter_map(|result| Some((result.fence, result.inventory.clone()?)));
    manifest.inventories.extend(inventories);

    let current = manifest.revision.as_ref();
    // A lost attempt takes the revision of its live rendition with it.
    let is_lost = current.is_some_and(|current| {
        current.is_live
            && !results.values().any(has_live_playlist)
            && !notes.iter().any(|note| note.published.revision.id == current.id)
    });
    let current_id = current.filter(|_| !is_lost).map_or(0, |current| current.id);
    match newest_revision(job)? {
        Some(newest) if newest.revision.id >= current_id => {
            manifest.revision = Some(newest.revision);
            manifest.playable_with = newest.with;
        }
        None if is_lost => {
            manifest.revision = None;
            manifest.playable_with.clear();
        }
        _ => {}
    }
    manifest.state = state(manifest, job);
    Ok(())
}

/// The newest revision that a job's steps have published.
///
/// # Errors
/// If a result cannot be read.
pub fn newest_revision(job: &JobView) -> Result<Option<PublishedRevision>> {
    let results = results(job)?;
    let published = results
        .values()
        .filter(|result| result.report["revision"].is_object())
        .map(|result| PublishedRevision::deserialize(&result.report))
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|e| Error::corrupt("a published revision cannot be read").with_source(e))?;
    let live = live_notes(job).into_iter().map(|note| note.published);
    Ok(live.chain(published).max_by_key(|published| published.revision.id))
}

/// The highest number that a revision of a recording ever had: the key of a playlist is never used
/// again.
pub fn last_revision_id(manifest: &Manifest) -> u32 {
    manifest.objects.keys().filter_map(|key| layout::revision_of(key)).max().unwrap_or(0)
}

/// Notes of running steps about live renditions.
fn live_notes(job: &JobView) -> Vec<LiveRevisionNote> {
    let leased = job.steps.iter().filter(|step| step.state == StepState::Leased);
    leased.filter_map(|step| LiveRevisionNote::deserialize(step.note.as_ref()?).ok()).collect()
}

fn has_live_playlist(result: &StepResult) -> bool {
    result.objects.keys().any(|key| key.rsplit('/').next() == Some(layout::LIVE_PLAYLIST))
}

fn state(manifest: &Manifest, job: &JobView) -> State {
    match job.state {
        JobState::Failed => State::Failed,
        JobState::Cancelled => State::Cancelled,
        JobState::Done => State::Ready,
        JobState::Queued | JobState::Running if manifest.revision.is_some() => State::Playable,
        JobState::Queued => State::Queued,
        JobState::Running => State::Processing,
    }
}
