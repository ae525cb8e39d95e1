//! Correcting cues: one writer at a time, on what it has read.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use chalkstream_formats::names::Names;
use chalkstream_store::objects::sha256_hex;
use chalkstream_store::{Error, EventKind, Events, Kind, Leases, Manifest, Store, layout};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use super::apply::{Corrected, apply};
use super::cache::Layers;
use super::layer::{Anchor, Layer, LayerLimit, MAX_TEXT_CHARS, UploadedCue};
use super::storage::{self, StoredLayer};
use super::transcript::TranscriptDocument;
use super::view::{CueView, Revealed};
use crate::clock::now_ms;
use crate::events::announce;
use crate::exclusive::exclusively;
use crate::metrics::CacheStats;
use crate::names::NameLists;
use crate::problem::Problem;
use crate::token::{Window, is_viewer};

/// How often a writer asks for its turn, and how long it waits in between.
const TURNS: usize = 20;
const TURN_PAUSE: Duration = Duration::from_millis(100);

/// Reads and writes corrections. Clones share the cache.
#[derive(Clone)]
pub struct Corrections {
    store: Store,
    events: Events,
    leases: Arc<Leases>,
    layers: Layers,
    names: NameLists,
}

/// A change of one cue.
#[derive(Clone, Debug)]
pub enum CueChange {
    /// Its text is this.
    Text(String),
    /// Its text is what it was before the newest correction.
    Undo,
}

/// A cue with its entity tag.
#[derive(Debug)]
pub struct TaggedCue {
    /// The cue.
    pub view: CueView,
    /// Strong entity tag, with its quotes: of this text at this time.
    pub etag: String,
}

impl IntoResponse for TaggedCue {
    fn into_response(self) -> Response {
        let no_store = HeaderValue::from_static("private, no-store");
        let mut response = ([(header::CACHE_CONTROL, no_store)], Json(self.view)).into_response();
        if let Ok(etag) = HeaderValue::try_from(self.etag) {
            response.headers_mut().insert(header::ETAG, etag);
        }
        response
    }
}

/// A request about one cue.
#[derive(Clone, Copy, Debug)]
pub struct CueRequest<'a> {
    /// The recording.
    pub manifest: &'a Manifest,
    /// The number of the cue.
    pub cue: u64,
    /// Only a cue inside this window.
    pub window: Window,
    /// The person for whom it is.
    pub revealed: Revealed<'a>,
}

impl Corrections {
    /// Writes to `store` without `names`, one server at a time by `leases`, and announces in
    /// `events`.
    pub fn new(store: Store, events: Events, leases: Arc<Leases>, layers: Layers, names: NameLists) -> Self {
        Self { store, events, leases, layers, names }
    }

    /// Returns the corrections of a recording, as old as [`Layers::get`] may return them.
    ///
    /// # Errors
    /// If storage cannot be read.
    pub async fn layer(&self, tenant: &str, recording: &str) -> Result<Arc<StoredLayer>, Error> {
        self.layers.get(tenant, recording).await
    }

    /// The state of the cache.
    pub fn stats(&self) -> CacheStats {
        self.layers.stats()
    }

    /// Drops a recording from memory.
    pub fn forget(&self, tenant: &str, recording: &str) {
        self.layers.forget(tenant, recording);
    }

    /// Returns a cue with its versions, as it is in storage.
    ///
    /// # Errors
    /// 404 if there is no such cue, or it is outside the window.
    pub async fn cue(&self, request: CueRequest<'_>) -> Result<TaggedCue, Problem> {
        let (layer, corrected) = self.corrected(request.manifest).await?;
        tagged(&layer, &corrected, request)
    }

    /// Changes a cue on behalf of `author`, if it still is as the request's `If-Match` says. It is
    /// durable when this returns. Names are removed from it.
    ///
    /// # Errors
    /// 412 if the cue has changed, 428 without `If-Match`, 409 if there is nothing to take back or
    /// too much was corrected, 503 if Redis or storage is away.
    pub async fn change(
        &self,
        request: CueRequest<'_>,
        headers: &HeaderMap,
        change: &CueChange,
        author: &str,
    ) -> Result<TaggedCue, Problem> {
        let expected = headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok());
        let expected = expected.ok_or_else(|| {
            let detail = "Send the entity tag of the cue that you change as If-Match.";
            Problem::new(StatusCode::PRECONDITION_REQUIRED, "if_match", detail)
        })?;
        self.in_turn(request.manifest, || self.change_exclusively(request, expected, change, author)).await
    }

    /// Puts uploaded captions in place of what was recognised; `None` takes them back. It is
    /// durable when this returns. Names are removed from them.
    ///
    /// # Errors
    /// 409 if there are none to take back or they are too large, 503 if Redis or storage is away.
    pub async fn upload(
        &self,
        manifest: &Manifest,
        cues: Option<&[UploadedCue]>,
        author: &str,
    ) -> Result<(), Problem> {
        let cues = match cues {
            Some(cues) => Some(self.names.redacted(&manifest.tenant, cues.to_vec(), without_names).await?),
            None => None,
        };
        let work = || async {
            let mut layer = storage::read(&self.store, &manifest.tenant, &manifest.recording).await?.layer;
            match &cues {
                Some(cues) => layer.upload(cues.clone(), author, now_ms()),
                None => layer.take_back(author, now_ms()).map_err(limit_problem)?,
            }
            self.write(manifest, &layer).await.map(|()| ((), true))
        };
        self.in_turn(manifest, work).await
    }

    /// Does `work` when no other server changes this recording's layer, and announces a change.
    async fn in_turn<T, F: Future<Output = Result<(T, bool), Problem>>>(
        &self,
        manifest: &Manifest,
        work: impl Fn() -> F,
    ) -> Result<T, Problem> {
        let (tenant, recording) = (&manifest.tenant, &manifest.recording);
        let name = format!("corrections:{tenant}:{recording}");
        for _ in 0..TURNS {
            if let Some((done, is_changed)) = exclusively(&self.leases, &name, work()).await? {
                if is_changed {
                    self.layers.forget(tenant, recording);
                    let kind = EventKind::TranscriptCorrected;
                    announce(&self.events, tenant, recording, kind, json!({})).await;
                }
                return Ok(done);
            }
            tokio::time::sleep(TURN_PAUSE).await;
        }
        Err(Problem::unavailable("Others correct this transcript at the moment; try again shortly."))
    }

    async fn change_exclusively(
        &self,
        request: CueRequest<'_>,
        expected: &str,
        change: &CueChange,
        author: &str,
    ) -> Result<(TaggedCue, bool), Problem> {
        let manifest = request.manifest;
        let (mut layer, corrected) = self.corrected(manifest).await?;
        let now = tagged(&layer, &corrected, request)?;
        let is_expected = expected.split(',').map(str::trim).any(|tag| tag == now.etag || tag == "*");
        if !is_expected {
            let detail = "This cue has changed since you read it. Read it again.";
            return Err(Problem::new(StatusCode::PRECONDITION_FAILED, "cue_changed", detail));
        }
        let at = position(&corrected, request)?;
        let cue = &corrected.transcript.cues[at];
        let changed = match change {
            CueChange::Text(text) => {
                // A transcript that is older than the list has its names still.
                let written = (text.clone(), cue.text.clone());
                let redact = |names: &Names, (text, quote): (String, String)| {
                    (names.redact(&text), names.redact(&quote))
                };
                let (text, quote) = self.names.redacted(&manifest.tenant, written, redact).await?;
                if text == cue.text {
                    return Ok((now, false));
                }
                let anchor = Anchor { start_ms: cue.start_ms, end_ms: cue.end_ms, quote };
                layer.correct(corrected.corrections[at], anchor, (&text, author), now_ms())
            }
            CueChange::Undo => layer.undo(corrected.corrections[at], author, now_ms()),
        };
        changed.map_err(limit_problem)?;
        self.write(manifest, &layer).await?;
        let (layer, corrected) = self.corrected(manifest).await?;
        Ok((tagged(&layer, &corrected, request)?, true))
    }

    async fn write(&self, manifest: &Manifest, layer: &Layer) -> Result<(), Problem> {
        let written = storage::write(&self.store, &manifest.tenant, &manifest.recording, layer).await;
        written.map_err(|error| match error.kind {
            Kind::InvalidInput => full(),
            // Its lease ended while it wrote.
            Kind::Conflict => Problem::unavailable("Another correction came first; try again."),
            _ => error.into(),
        })
    }

    /// The transcript with its corrections, from storage.
    async fn corrected(&self, manifest: &Manifest) -> Result<(Layer, Corrected), Problem> {
        let key = manifest.files.get("transcript.json").ok_or_else(Problem::not_found)?;
        let key = layout::object_key(&manifest.tenant, &manifest.recording, key);
        let body = self.store.get(&key).await?;
        let stored = storage::read(&self.store, &manifest.tenant, &manifest.recording).await?;
        // Parsing some megabytes must not keep other requests waiting.
        let work = tokio::task::spawn_blocking(move || {
            let corrected = apply(TranscriptDocument::parse(&body)?, &stored.layer);
            Ok::<_, serde_json::Error>((stored.layer, corrected))
        });
        work.await.map_err(Problem::internal)?.map_err(Problem::internal)
    }
}

/// Checks the name of the person who writes something.
///
/// # Errors
/// 400 if it is none.
pub fn check_author(author: &str) -> Result<(), Problem> {
    if is_viewer(author) {
        return Ok(());
    }
    let detail = "An author is named with 1 to 128 bytes, without control characters.";
    Err(Problem::invalid("author", detail))
}

/// Checks a corrected text, and returns it on one line.
///
/// # Errors
/// 400 if it is too long.
pub fn one_line(text: &str) -> Result<String, Problem> {
    if text.chars().count() > MAX_TEXT_CHARS {
        let detail = format!("The text of a cue has at most {MAX_TEXT_CHARS} characters.");
        return Err(Problem::invalid("text", detail));
    }
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Ok(plain.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Captions without names; one that had nothing else is left out.
fn without_names(names: &Names, mut cues: Vec<UploadedCue>) -> Vec<UploadedCue> {
    let lines: Vec<&str> = cues.iter().map(|cue| cue.text.as_str()).collect();
    let redacted = names.redact_lines(&lines);
    cues.iter_mut().zip(redacted).for_each(|(cue, text)| cue.text = text);
    cues.retain(|cue| !cue.text.is_empty());
    cues
}

fn limit_problem(limit: LayerLimit) -> Problem {
    match limit {
        LayerLimit::Full => full(),
        LayerLimit::NothingToUndo => {
            let detail = "No correction is left to take back.";
            Problem::new(StatusCode::CONFLICT, "nothing_to_undo", detail)
        }
    }
}

fn full() -> Problem {
    let detail = "This transcript has as many corrections as one can have.";
    Problem::new(StatusCode::CONFLICT, "too_many_corrections", detail)
}

fn position(corrected: &Corrected, request: CueRequest<'_>) -> Result<usize, Problem> {
    let cues = corrected.transcript.cues.iter();
    let mut numbered = cues.enumerate().filter(|(_, cue)| cue.id == request.cue && cue.id > 0);
    numbered
        .find(|(_, cue)| request.window.holds(cue.start_ms, cue.end_ms))
        .map(|(at, _)| at)
        .ok_or_else(Problem::not_found)
}

fn tagged(layer: &Layer, corrected: &Corrected, request: CueRequest<'_>) -> Result<TaggedCue, Problem> {
    let at = position(corrected, request)?;
    let cue = &corrected.transcript.cues[at];
    let correction = corrected.corrections[at].and_then(|index| layer.corrections.get(index));
    let number = correction.map_or(0, |one| one.number());
    // The time as well: after a new recognition the number may be another cue's.
    let facts = format!("{} {} {number} {}", cue.start_ms, cue.end_ms, cue.text);
    let etag = format!("\"{number}-{}\"", &sha256_hex(facts.as_bytes())[..16]);
    Ok(TaggedCue { view: CueView::new(cue, correction, request.revealed), etag })
}
