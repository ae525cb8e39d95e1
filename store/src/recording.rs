//! A recording's manifest: facts, finished steps, and the inventories of what they made.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::inventory::InventoryRef;
use crate::queue::JobView;
use crate::step::{StepRecord, StepState};
use crate::vocabulary::Vocabulary;
use crate::{Error, Kind, Listed, ObjectFacts, Result, Store, layout};

/// State of a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its upload is not complete.
    #[default]
    AwaitingUpload,
    /// Waiting for a worker.
    Queued,
    /// A worker works on it; nothing can be watched yet.
    Processing,
    /// Something can be watched; `playable_with` says what.
    Playable,
    /// All that was planned is done.
    Ready,
    /// It cannot be watched; `failure` says why.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// It was deleted.
    Deleted,
}

impl State {
    /// Every state.
    pub const ALL: [State; 8] = [
        State::AwaitingUpload,
        State::Queued,
        State::Processing,
        State::Playable,
        State::Ready,
        State::Failed,
        State::Cancelled,
        State::Deleted,
    ];

    /// Its name, as in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            State::AwaitingUpload => "awaiting_upload",
            State::Queued => "queued",
            State::Processing => "processing",
            State::Playable => "playable",
            State::Ready => "ready",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
            State::Deleted => "deleted",
        }
    }

    /// The state of a name; `None` if there is none.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// True if nothing more happens by itself.
    pub fn is_terminal(self) -> bool {
        matches!(self, State::Ready | State::Failed | State::Cancelled | State::Deleted)
    }
}

/// The uploaded file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceFacts {
    /// Key relative to the recording.
    pub key: String,
    /// Name the uploader's device gave it.
    pub filename: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Hex SHA-256, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// Facts about the media, for lists of recordings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MediaFacts {
    /// Length in ms.
    pub duration_ms: u64,
    /// Upright width in pixels; 0 without video.
    pub width: u32,
    /// Upright height in pixels; 0 without video.
    pub height: u32,
    /// Whether there is video.
    pub has_video: bool,
    /// Whether there is audio.
    pub has_audio: bool,
}

/// A published multivariant playlist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// Counts from 1.
    pub id: u32,
    /// Key of its multivariant playlist, relative to the recording.
    pub master: String,
    /// Whether its media playlists still grow: they are read again, and name segments no manifest
    /// knows yet.
    #[serde(rename = "growing", default, skip_serializing_if = "std::ops::Not::not")]
    pub is_live: bool,
}

/// Revisions are counted in twos, so that one that grows, made next to the others, has a number of
/// its own in between: the next complete one is newer than it, however the two are timed.
impl Revision {
    /// Number of the next revision after `id` whose playlists are complete.
    pub fn after(id: u32) -> u32 {
        (id / 2 + 1) * 2
    }

    /// Number of the next revision after `id` whose playlists grow.
    pub fn live_after(id: u32) -> u32 {
        id.div_ceil(2) * 2 + 1
    }
}

/// Something a viewer or operator may want to know; nothing failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Stable, API-visible code.
    pub code: String,
    /// One plain sentence.
    pub message: String,
}

/// A recording. The manifest with the highest fence is the recording; those below are history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format: 1.
    pub version: u32,
    /// Its tenant.
    pub tenant: String,
    /// Its id.
    pub recording: String,
    /// The fence it was written under.
    pub fence: u64,
    /// Title, as the uploader gave it.
    #[serde(default)]
    pub title: String,
    /// The uploader (the platform's own id).
    #[serde(default)]
    pub uploader: String,
    /// When the upload was created.
    pub created_at: Timestamp,
    /// When someone needs it, in ms since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at_ms: Option<u64>,
    /// Words and names that may be said in it, as the uploader gave them.
    #[serde(default, skip_serializing_if = "Vocabulary::is_empty")]
    pub vocabulary: Vocabulary,
    /// Its state.
    pub state: State,
    /// Streams that can be watched: `source`, `v240`, `ladder`, …
    #[serde(default)]
    pub playable_with: Vec<String>,
    /// Why it failed, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The uploaded file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceFacts>,
    /// Facts about its media.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<MediaFacts>,
    /// The job's steps by name.
    #[serde(default)]
    pub steps: BTreeMap<String, StepRecord>,
    /// Objects by key relative to the recording: the source, multivariant and live playlists. Of
    /// recordings made by earlier builds all.
    #[serde(default)]
    pub objects: BTreeMap<String, ObjectFacts>,
    /// References to the inventories of everything else, by the fence of the attempt.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inventories: BTreeMap<u64, InventoryRef>,
    /// The newest published revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// Key (relative) of each file by its logical name: `poster`, `storyboard.vtt`,
    /// `transcript.json`, …
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Optional steps that failed for good.
    #[serde(default)]
    pub failed_optional: Vec<Failure>,
    /// Warnings about the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Notice>,
    /// Why the file itself is not among what can be watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_declined: Option<Notice>,
    /// Deduplication value of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe: Option<String>,
    /// Whether there may be corrections of its transcript. Only entries of lists say so: workers
    /// write manifests, servers write corrections.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_have_corrections: bool,
}

impl Manifest {
    /// A recording of which nothing is known yet. Its fence is 0.
    pub fn new(tenant: impl Into<String>, recording: impl Into<String>) -> Self {
        Self {
            version: 1,
            tenant: tenant.into(),
            recording: recording.into(),
            fence: 0,
            title: String::new(),
            uploader: String::new(),
            created_at: Timestamp::now(),
            due_at_ms: None,
            vocabulary: Vocabulary::default(),
            state: State::AwaitingUpload,
            playable_with: Vec::new(),
            failure: None,
            source: None,
            media: None,
            steps: BTreeMap::new(),
            objects: BTreeMap::new(),
            inventories: BTreeMap::new(),
            revision: None,
            files: BTreeMap::new(),
            failed_optional: Vec::new(),
            warnings: Vec::new(),
            source_declined: None,
            dedupe: None,
            may_have_corrections: false,
        }
    }

    /// Takes over fence, steps, failed optional steps and cause from the queue's view.
    ///
    /// The view at a fence holds every result accepted before it. A manifest made from it therefore
    /// misses nothing that another worker finished meanwhile, although both started from the same
    /// older manifest.
    pub fn apply_steps(&mut self, job: &JobView) {
        self.fence = job.fence;
        self.steps = job.records();
        self.failure = job.failure.clone();
        self.failed_optional = job
            .steps
            .iter()
            .filter(|step| step.optional && step.state == StepState::Failed)
            .filter_map(|step| step.failure.clone())
            .collect();
    }
}

/// The newest objects about a recording, as storage lists them: unchanged, what they say is
/// unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewestObjects {
    /// The manifest with the highest fence.
    pub manifest: Listed,
    /// Keys of the newest corrections of its transcript; several only if two servers wrote at once.
    pub corrections: Vec<String>,
}

/// The manifest with the highest fence; `None` if there is none.
///
/// # Errors
/// If storage does not answer, or it is corrupt.
pub async fn read_manifest(store: &Store, tenant: &str, recording: &str) -> Result<Option<Manifest>> {
    Ok(read_newest(store, tenant, recording).await?.map(|(_, manifest)| manifest))
}

/// The manifest with the highest fence, and the newest objects; `None` if there is none.
///
/// # Errors
/// If storage does not answer, or it is corrupt.
pub async fn read_newest(
    store: &Store,
    tenant: &str,
    recording: &str,
) -> Result<Option<(NewestObjects, Manifest)>> {
    // A newer write may remove what was listed; it has then put a newer one there.
    for _ in 0..5 {
        let Some(newest) = newest(store, tenant, recording).await? else { return Ok(None) };
        match store.get(&newest.manifest.key).await {
            Ok(body) => return parse(&body).map(|manifest| Some((newest, manifest))),
            Err(error) if error.kind == Kind::NotFound => continue,
            Err(error) => return Err(error),
        }
    }
    Err(Error::unavailable("the manifest changes faster than it can be read"))
}

/// The newest objects about a recording, by one listing; `None` if it has no manifest.
///
/// # Errors
/// If storage does not answer.
pub async fn newest(store: &Store, tenant: &str, recording: &str) -> Result<Option<NewestObjects>> {
    layout::check_ids(tenant, recording)?;
    let mut folder = ManifestFolder::list(store, tenant, recording).await?;
    let corrections = folder.newest_corrections();
    Ok(folder.manifests.pop().map(|manifest| NewestObjects { manifest, corrections }))
}

/// The objects in the folder of a recording's manifests.
#[derive(Debug, Default)]
pub struct ManifestFolder {
    /// All manifests that are kept, the highest fence last.
    pub manifests: Vec<Listed>,
    /// All corrections that are kept, the newest last.
    pub corrections: Vec<Listed>,
}

impl ManifestFolder {
    /// Lists it.
    ///
    /// # Errors
    /// If storage does not answer.
    pub async fn list(store: &Store, tenant: &str, recording: &str) -> Result<Self> {
        let mut folder = Self::default();
        for object in store.list(&layout::manifest_prefix(tenant, recording), None, 1000).await? {
            if layout::parse_corrections_key(&object.key).is_some() {
                folder.corrections.push(object);
            } else if object.key.ends_with(".json") {
                folder.manifests.push(object);
            }
        }
        Ok(folder)
    }

    /// The keys of the corrections with the highest number.
    pub fn newest_corrections(&self) -> Vec<String> {
        let number = |object: &Listed| layout::parse_corrections_key(&object.key).map(|(number, _)| number);
        let highest = self.corrections.last().and_then(number);
        let newest = self.corrections.iter().filter(|object| number(object) == highest);
        newest.map(|object| object.key.clone()).collect()
    }
}

/// Reads a manifest from its object's bytes.
///
/// # Errors
/// If they are not those of one.
pub fn parse(body: &[u8]) -> Result<Manifest> {
    serde_json::from_slice(body).map_err(|e| Error::corrupt("a manifest cannot be read").with_source(e))
}
