//! A cache of transcripts with their corrections, cut into their cues: a page asks for a lesson's
//! words in parts, and each part is put together from bytes that are there already.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use chalkstream_store::{Manifest, Store, layout};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde_json::{Map, Value};

use crate::corrections::{CaptionChange, Corrections, StoredLayer, TranscriptDocument, apply};
use crate::metrics::CacheStats;
use crate::problem::Problem;

/// Approximate limit of all transcripts in the cache: those of some hundred lessons of 45 minutes.
const MAX_BYTES: u64 = 64 << 20;
/// Approximate number of transcripts in a full cache.
const EXPECTED_TRANSCRIPTS: usize = 200;

/// One cue: its times, and where its JSON lies.
struct CueSpan {
    start_ms: u64,
    end_ms: u64,
    json: Range<usize>,
}

/// A transcript that is cut into its cues.
pub struct CutTranscript {
    /// Everything but the cues, up to the bracket that opens them.
    head: Vec<u8>,
    /// The JSON of all cues, one after the other.
    text: Vec<u8>,
    cues: Vec<CueSpan>,
    /// The corrections that it has; empty if it has none.
    pub tag: String,
    /// The cues that differ from what was recognised.
    pub changes: Vec<CaptionChange>,
}

impl CutTranscript {
    /// Cuts a `transcript.json`. Cues without times are left out.
    fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        let mut transcript: Map<String, Value> = serde_json::from_slice(body)?;
        let (mut text, mut cues) = (Vec::with_capacity(body.len()), Vec::new());
        if let Some(Value::Array(all)) = transcript.remove("cues") {
            for cue in all {
                let at = |name: &str| cue.get(name).and_then(Value::as_u64);
                let (Some(start_ms), Some(end_ms)) = (at("start_ms"), at("end_ms")) else { continue };
                let from = text.len();
                serde_json::to_writer(&mut text, &cue)?;
                cues.push(CueSpan { start_ms, end_ms, json: from..text.len() });
            }
        }
        let mut head = serde_json::to_vec(&transcript)?;
        head.pop();
        head.extend_from_slice(if transcript.is_empty() { b"\"cues\":[" } else { b",\"cues\":[" });
        text.shrink_to_fit();
        Ok(Self { head, text, cues, tag: String::new(), changes: Vec::new() })
    }

    /// The same with corrections.
    fn parse_corrected(body: &[u8], stored: &StoredLayer) -> Result<Self, serde_json::Error> {
        let corrected = apply(TranscriptDocument::parse(body)?, &stored.layer);
        let cut = Self::parse(&serde_json::to_vec(&corrected.transcript)?)?;
        Ok(Self { tag: stored.tag.clone(), changes: corrected.changes, ..cut })
    }

    /// The transcript, for those who need more than its bytes.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn transcript(&self) -> Result<TranscriptDocument, serde_json::Error> {
        TranscriptDocument::parse(&self.select(|_, _| true))
    }

    /// Returns the JSON of the transcript with the cues that `is_wanted` names by start and end in
    /// ms.
    pub fn select(&self, is_wanted: impl Fn(u64, u64) -> bool) -> Bytes {
        let wanted: Vec<_> = self.cues.iter().filter(|cue| is_wanted(cue.start_ms, cue.end_ms)).collect();
        let length: usize = wanted.iter().map(|cue| cue.json.len() + 1).sum();
        let mut json = Vec::with_capacity(self.head.len() + length + 2);
        json.extend_from_slice(&self.head);
        for (at, cue) in wanted.into_iter().enumerate() {
            if at > 0 {
                json.push(b',');
            }
            json.extend_from_slice(&self.text[cue.json.clone()]);
        }
        json.extend_from_slice(b"]}");
        json.into()
    }
}

#[derive(Clone)]
struct TranscriptWeighter;

impl Weighter<String, Arc<CutTranscript>> for TranscriptWeighter {
    fn weight(&self, key: &String, transcript: &Arc<CutTranscript>) -> u64 {
        let spans = transcript.cues.len() * size_of::<CueSpan>();
        let changes: usize = transcript.changes.iter().map(|change| 64 + change.text.len()).sum();
        (key.len() + transcript.head.len() + transcript.text.len() + spans + changes + 200) as u64
    }
}

/// The cache, by the keys of immutable objects and the tags of corrections: no entry is ever stale.
/// Clones share it.
#[derive(Clone)]
pub struct Transcripts {
    store: Store,
    corrections: Corrections,
    entries: Arc<Cache<String, Arc<CutTranscript>, TranscriptWeighter>>,
}

impl Transcripts {
    /// An empty cache over `store`.
    pub fn new(store: Store, corrections: Corrections) -> Self {
        let entries = Arc::new(Cache::with_weighter(EXPECTED_TRANSCRIPTS, MAX_BYTES, TranscriptWeighter));
        Self { store, corrections, entries }
    }

    /// True if corrections of a recording apply, which viewers must get.
    ///
    /// # Errors
    /// If storage cannot be read.
    pub async fn is_corrected(&self, manifest: &Manifest) -> Result<bool, Problem> {
        let stored = self.corrections.layer(&manifest.tenant, &manifest.recording).await?;
        Ok(!stored.layer.is_empty())
    }

    /// Returns the transcript of a recording, read and parsed once however many viewers ask; `None`
    /// if it has none.
    ///
    /// # Errors
    /// If storage cannot be read, or the object is no transcript.
    pub async fn get(&self, manifest: &Manifest) -> Result<Option<Arc<CutTranscript>>, Problem> {
        let Some(relative) = manifest.files.get("transcript.json") else { return Ok(None) };
        let key = layout::object_key(&manifest.tenant, &manifest.recording, relative);
        let stored = self.corrections.layer(&manifest.tenant, &manifest.recording).await?;
        let stored = Some(stored).filter(|stored| !stored.layer.is_empty());
        let entry = format!("{key} {}", stored.as_ref().map_or("", |stored| stored.tag.as_str()));
        let read = self.entries.get_or_insert_async(&entry, async {
            let body = self.store.get(&key).await?;
            // Parsing some megabytes must not keep other requests waiting.
            let parsed = tokio::task::spawn_blocking(move || match stored {
                Some(stored) => CutTranscript::parse_corrected(&body, &stored),
                None => CutTranscript::parse(&body),
            });
            parsed.await.map_err(Problem::internal)?.map(Arc::new).map_err(Problem::internal)
        });
        read.await.map(Some)
    }

    /// The state of the cache.
    pub fn stats(&self) -> CacheStats {
        CacheStats::from_cache(&self.entries)
    }

    /// Drops everything of a recording.
    pub fn forget(&self, tenant: &str, recording: &str) {
        let prefix = layout::recording_prefix(tenant, recording);
        self.entries.retain(|key, _| !key.starts_with(&prefix));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_part_is_the_transcript_with_some_of_its_cues() {
        let body = br#"{"version":1,"cues":[{"start_ms":0,"end_ms":900,"text":"a, \"b\""},{"text":"no time"},
            {"start_ms":1000,"end_ms":1900,"text":"c","words":[]}],"language":"en"}"#;
        let cut = CutTranscript::parse(body).unwrap();
        let all: Value = serde_json::from_slice(&cut.select(|_, _| true)).unwrap();
        assert_eq!((&all["language"], &all["version"]), (&Value::from("en"), &Value::from(1)));
        let texts: Vec<_> = all["cues"].as_array().unwrap().iter().map(|cue| cue["text"].clone()).collect();
        assert_eq!(texts, ["a, \"b\"", "c"]);
        let one: Value = serde_json::from_slice(&cut.select(|start_ms, _| start_ms > 0)).unwrap();
        assert_eq!(one["cues"].as_array().unwrap().len(), 1);
        let none: Value = serde_json::from_slice(&cut.select(|_, _| false)).unwrap();
        assert_eq!(none["cues"], Value::Array(Vec::new()));

        let bare = CutTranscript::parse(b"{}").unwrap();
        assert_eq!(bare.select(|_, _| true), "{\"cues\":[]}");
        assert!(CutTranscript::parse(b"[]").is_err());
    }
}
