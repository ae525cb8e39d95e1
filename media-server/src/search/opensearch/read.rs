//! What a tenant's index answers.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use chalkstream_meaning::Vector;
use reqwest::Method;
use serde_json::{Value, json};

use super::super::engine::{Area, EngineSearch, Error, IndexedLesson};
use super::super::entry::PassageEntry;
use super::super::transcript::SimilarPassage;
use super::client::{Client, Effort, existing};
use super::documents::{StoredSimilar, numbers};
use super::select;
use super::write::complete;

/// Passages in one response.
const MAX_HITS: usize = 500;
/// Recordings in one response.
const MAX_IDS: usize = 5_000;
/// Languages that are known of a tenant.
const MAX_LANGUAGES: usize = 100;
/// Passages that are looked for at least, so that the graph finds the nearest.
const MIN_NEAREST: usize = 100;
/// Limit of the cluster for these.
const MAX_NEAREST: usize = 1_000;

/// A tenant's index.
pub struct TenantIndex<'a> {
    pub client: &'a Client,
    pub alias: String,
}

/// A lesson's own document.
struct LessonFacts {
    tag: String,
    lesson: IndexedLesson,
}

/// The lessons that were looked up; `None` for those that are not indexed.
type KnownLessons = HashMap<String, Option<LessonFacts>>;

impl TenantIndex<'_> {
    pub fn passages(
        &self,
        sought: &EngineSearch<'_>,
        offset: usize,
        limit: usize,
        visit: &mut dyn FnMut(PassageEntry) -> bool,
    ) -> Result<usize, Error> {
        let Some(query) = select::passages(sought) else { return Ok(0) };
        let mut known = KnownLessons::new();
        let mut count = 0;
        while count < limit {
            let size = (limit - count).min(MAX_HITS);
            let hits = self.hits(&query, offset + count, size)?;
            let found = hits.len();
            self.learn(&mut known, &hits)?;
            for hit in hits.iter().filter(|hit| is_current(&known, hit)) {
                let entry = hit["_source"]["stored"].as_str().and_then(PassageEntry::read);
                if !visit(entry.ok_or(Error::Entry)?) {
                    return Ok(count + found);
                }
            }
            count += found;
            if found < size {
                break;
            }
        }
        Ok(count)
    }

    pub fn lessons(&self, sought: &EngineSearch<'_>, limit: usize) -> Result<Vec<IndexedLesson>, Error> {
        let hits = self.hits(&select::lessons(sought), 0, limit)?;
        hits.iter().map(|hit| Ok(facts(&hit["_source"])?.lesson)).collect()
    }

    pub fn similar(
        &self,
        vector: &Vector,
        area: &Area,
        limit: usize,
    ) -> Result<Vec<(f32, SimilarPassage)>, Error> {
        let nearest = limit.clamp(MIN_NEAREST, MAX_NEAREST);
        let mut filters = select::inside(area);
        filters.push(json!({ "term": { "kind": "similar" } }));
        let knn = json!({ "vector": {
            "vector": numbers(vector), "k": nearest, "filter": { "bool": { "filter": filters } },
        } });
        let body = json!({
            "query": { "knn": knn }, "size": nearest, "_source": ["stored", "tag", "recording"],
        });
        let answer = self.search(&body).map_err(|error| match error {
            // The cluster has no vectors, or did not have when the index was made.
            Error::Refused { status: 400, kind } => {
                tracing::debug!(kind, "search by meaning refused by the cluster");
                Error::NotSupported
            }
            error => error,
        })?;
        let hits = hits_of(answer);
        let mut known = KnownLessons::new();
        self.learn(&mut known, &hits)?;
        let mut found = Vec::new();
        for hit in hits.iter().filter(|hit| is_current(&known, hit)) {
            let stored = hit["_source"]["stored"].as_str().ok_or(Error::Entry)?;
            let stored: StoredSimilar = serde_json::from_str(stored).map_err(|_| Error::Entry)?;
            // Our own figure: those of clusters differ by version.
            found.push((vector.dot(&stored.vector().ok_or(Error::Entry)?), stored.passage));
        }
        found.sort_by(|one, other| other.0.total_cmp(&one.0));
        found.truncate(limit);
        Ok(found)
    }

    pub fn lesson(&self, recording: &str) -> Result<Option<IndexedLesson>, Error> {
        let mut known = KnownLessons::new();
        self.look_up(&mut known, vec![recording])?;
        Ok(known.remove(recording).flatten().map(|facts| facts.lesson))
    }

    pub fn recordings(&self) -> Result<Vec<String>, Error> {
        let mut found: Vec<String> = Vec::new();
        loop {
            let mut body = json!({
                "query": { "term": { "kind": "lesson" } },
                "sort": ["recording"],
                "size": MAX_IDS,
                "_source": ["recording"],
            });
            if let Some(last) = found.last() {
                body["search_after"] = json!([last]);
            }
            let hits = hits_of(self.search(&body)?);
            found
                .extend(hits.iter().filter_map(|hit| Some(hit["_source"]["recording"].as_str()?.to_owned())));
            if hits.len() < MAX_IDS {
                return Ok(found);
            }
        }
    }

    pub fn languages(&self) -> Result<Vec<String>, Error> {
        let languages = json!({ "terms": { "field": "language", "size": MAX_LANGUAGES } });
        let body = json!({
            "query": { "term": { "kind": "lesson" } }, "size": 0, "aggs": { "languages": languages },
        });
        let answer = self.search(&body)?;
        let buckets = answer["aggregations"]["languages"]["buckets"].as_array();
        let keys = buckets.into_iter().flatten().filter_map(|bucket| bucket["key"].as_str());
        Ok(keys.map(str::to_owned).collect())
    }

    /// True if there is a document of a recording, found or not.
    pub fn has(&self, recording: &str) -> Result<bool, Error> {
        let body = json!({
            "query": { "term": { "recording": recording } }, "size": 1, "_source": false,
        });
        Ok(!hits_of(self.search(&body)?).is_empty())
    }

    fn hits(&self, query: &Value, from: usize, size: usize) -> Result<Vec<Value>, Error> {
        let body = json!({
            "query": query,
            "from": from,
            "size": size,
            // Of the same score, always in the same order, so that pages fit together.
            "sort": ["_score", "recording", "start_ms"],
            "_source": ["stored", "tag", "recording"],
            "track_total_hits": false,
        });
        // Copies of a shard count removed documents differently. One query asks the same copy.
        let mut hasher = DefaultHasher::new();
        query.to_string().hash(&mut hasher);
        let path = format!("_search?preference=q{:x}", hasher.finish());
        Ok(hits_of(self.ask(&path, &body)?))
    }

    fn search(&self, body: &Value) -> Result<Value, Error> {
        self.ask("_search", body)
    }

    fn ask(&self, path: &str, body: &Value) -> Result<Value, Error> {
        let path = format!("{}/{path}", self.alias);
        let answer = existing(self.client.send(Method::POST, &path, body, Effort::Read))?.unwrap_or_default();
        complete(&answer)?;
        Ok(answer)
    }

    /// Looks up the lessons of hits that are not known yet.
    fn learn(&self, known: &mut KnownLessons, hits: &[Value]) -> Result<(), Error> {
        let recordings: HashSet<&str> =
            hits.iter().filter_map(|hit| hit["_source"]["recording"].as_str()).collect();
        let unknown = recordings.into_iter().filter(|recording| !known.contains_key(*recording));
        let unknown = unknown.collect();
        self.look_up(known, unknown)
    }

    fn look_up(&self, known: &mut KnownLessons, recordings: Vec<&str>) -> Result<(), Error> {
        if recordings.is_empty() {
            return Ok(());
        }
        let path = format!("{}/_mget?realtime=false&_source=stored,tag", self.alias);
        let ids = json!({ "ids": recordings });
        let answer = existing(self.client.send(Method::POST, &path, &ids, Effort::Read))?.unwrap_or_default();
        for doc in answer["docs"].as_array().into_iter().flatten() {
            let found = doc["found"] == Value::Bool(true);
            // Without a flag it is a failure of this document alone.
            let kind = doc["error"]["type"].as_str();
            if let Some(kind) = kind.filter(|kind| *kind != "index_not_found_exception") {
                return Err(Error::Unavailable(kind.into()));
            }
            let facts = found.then(|| facts(&doc["_source"])).transpose()?;
            known.insert(doc["_id"].as_str().unwrap_or_default().to_owned(), facts);
        }
        Ok(())
    }
}

fn facts(source: &Value) -> Result<LessonFacts, Error> {
    let tag = source["tag"].as_str().ok_or(Error::Entry)?.to_owned();
    let stored = source["stored"].as_str().ok_or(Error::Entry)?;
    Ok(LessonFacts { tag, lesson: serde_json::from_str(stored).map_err(|_| Error::Entry)? })
}

/// True if a passage is of its lesson's present version.
fn is_current(known: &KnownLessons, hit: &Value) -> bool {
    let facts = hit["_source"]["recording"].as_str().and_then(|recording| known.get(recording)?.as_ref());
    facts.is_some_and(|facts| hit["_source"]["tag"] == facts.tag.as_str())
}

fn hits_of(mut answer: Value) -> Vec<Value> {
    match answer["hits"]["hits"].take() {
        Value::Array(hits) => hits,
        _ => Vec::new(),
    }
}
