//! Moments in storage: each an immutable object next to its recording.

use bytes::Bytes;
use chalkstream_formats::names::Names;
use chalkstream_store::objects::sha256_hex;
use chalkstream_store::{Kind, Manifest, Store, layout};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::span::{self, Span};
use crate::clock::now_ms;
use crate::corrections::{Anchor, TranscriptDocument};
use crate::names::NameLists;
use crate::problem::Problem;
use crate::transcripts::Transcripts;

/// Moments of a recording: as many as one listing counts.
const MAX_MOMENTS: usize = 1_000;

/// Mints moments and finds them again.
#[derive(Clone)]
pub struct Moments {
    store: Store,
    transcripts: Transcripts,
    names: NameLists,
}

/// A moment as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMoment {
    /// Its id within the recording.
    pub id: String,
    /// Start in ms, when it was minted.
    pub start_ms: u64,
    /// End in ms, when it was minted.
    pub end_ms: u64,
    /// The words, when it was minted; empty if there were none.
    pub quote: String,
    /// The platform's id of the person who minted it.
    pub author: String,
    /// When, in ms since 1970.
    pub at_ms: u64,
}

/// A moment and where it is now.
#[derive(Debug)]
pub struct FoundMoment {
    /// The moment.
    pub stored: StoredMoment,
    /// Its span in the transcript that applies now.
    pub span: Span,
    /// False if nothing is said there any more: then the span is as it was minted.
    pub is_found: bool,
}

impl Moments {
    /// Stores in `store` without `names`, and looks words up in `transcripts`.
    pub fn new(store: Store, transcripts: Transcripts, names: NameLists) -> Self {
        Self { store, transcripts, names }
    }

    /// Mints the moment of a span. The same span with the same words has the same id. True if it is
    /// new.
    ///
    /// # Errors
    /// 409 if the recording has as many as one can have.
    pub async fn mint(
        &self,
        manifest: &Manifest,
        (start_ms, end_ms): (u64, u64),
        author: String,
    ) -> Result<(FoundMoment, bool), Problem> {
        let span = self.with_transcript(manifest, move |all| span::at_time(all, start_ms, end_ms)).await?;
        // A transcript that is older than the list has its names still.
        let redact = |names: &Names, quote: String| names.redact(&quote);
        let quote = self.names.redacted(&manifest.tenant, span.exact.clone(), redact).await?;
        let facts = format!("{start_ms} {end_ms} {quote:?}");
        let id = sha256_hex(facts.as_bytes())[..32].to_owned();
        if let Some(stored) = self.read(manifest, &id).await? {
            return Ok((FoundMoment { stored, span, is_found: true }, false));
        }
        let prefix = layout::moments_prefix(&manifest.tenant, &manifest.recording);
        if self.store.list(&prefix, None, MAX_MOMENTS).await?.len() >= MAX_MOMENTS {
            let detail = "This recording has as many moments as one can have.";
            return Err(Problem::new(StatusCode::CONFLICT, "too_many_moments", detail));
        }
        let at_ms = now_ms();
        let stored = StoredMoment { id, start_ms, end_ms, quote, author, at_ms };
        let body = serde_json::to_vec(&stored).map_err(Problem::internal)?;
        self.store.put(&key(manifest, &stored.id), Bytes::from(body)).await?;
        Ok((FoundMoment { stored, span, is_found: true }, true))
    }

    /// The ids of a recording's moments, in order of ids.
    ///
    /// # Errors
    /// If storage does not answer.
    pub async fn ids(&self, manifest: &Manifest) -> Result<Vec<String>, Problem> {
        let prefix = layout::moments_prefix(&manifest.tenant, &manifest.recording);
        let listed = self.store.list(&prefix, None, MAX_MOMENTS).await?;
        let id = |key: &str| Some(key.strip_prefix(&prefix)?.strip_suffix(".json")?.to_owned());
        Ok(listed.iter().filter_map(|one| id(&one.key)).collect())
    }

    /// Finds a moment in the transcript as it is now.
    ///
    /// # Errors
    /// 404 if there is no such moment.
    pub async fn find(&self, manifest: &Manifest, id: &str) -> Result<FoundMoment, Problem> {
        let stored = self.read(manifest, id).await?.ok_or_else(Problem::not_found)?;
        let quote = stored.quote.clone();
        let anchor = Anchor { start_ms: stored.start_ms, end_ms: stored.end_ms, quote };
        let found = self.with_transcript(manifest, move |all| span::find(all, &anchor)).await?;
        let is_found = found.is_some();
        let span = found.unwrap_or_else(|| Span {
            start_ms: stored.start_ms,
            end_ms: stored.end_ms,
            exact: stored.quote.clone(),
            prefix: String::new(),
            suffix: String::new(),
        });
        Ok(FoundMoment { stored, span, is_found })
    }

    /// Removes a moment; one that is not there is fine.
    ///
    /// # Errors
    /// If storage does not answer.
    pub async fn remove(&self, manifest: &Manifest, id: &str) -> Result<(), Problem> {
        check(id)?;
        Ok(self.store.delete(&key(manifest, id)).await?)
    }

    async fn read(&self, manifest: &Manifest, id: &str) -> Result<Option<StoredMoment>, Problem> {
        check(id)?;
        match self.store.get(&key(manifest, id)).await {
            Ok(body) => serde_json::from_slice(&body).map(Some).map_err(Problem::internal),
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What `look` finds in the words that apply; there are none before the recording is
    /// transcribed.
    async fn with_transcript<T: Send + 'static>(
        &self,
        manifest: &Manifest,
        look: impl FnOnce(&TranscriptDocument) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let cut = self.transcripts.get(manifest).await?;
        // Parsing some megabytes must not keep other requests waiting.
        let work = tokio::task::spawn_blocking(move || {
            let transcript = cut.map_or_else(|| Ok(TranscriptDocument::default()), |cut| cut.transcript())?;
            Ok::<_, serde_json::Error>(look(&transcript))
        });
        work.await.map_err(Problem::internal)?.map_err(Problem::internal)
    }
}

fn key(manifest: &Manifest, id: &str) -> String {
    layout::moment_key(&manifest.tenant, &manifest.recording, id)
}

fn check(id: &str) -> Result<(), Problem> {
    let is_id = id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if is_id { Ok(()) } else { Err(Problem::not_found()) }
}
