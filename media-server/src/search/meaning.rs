//! Finding the passages that mean what a query says, in whatever words and language.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use chalkstream_meaning::{Model, Vector};

use super::engine::{Area, Error, SearchEngine};
use super::find::Hit;
use super::query::{MAX_QUERY_CHARS, QUOTES, Rank};
use super::transcript::SimilarPassage;
use super::words;

/// Words that a query needs to have a meaning of its own.
const MIN_WORDS: usize = 2;
/// Limit of passages in one response.
pub const MAX_SIMILAR: usize = 10;
/// Passages that are looked at. Those that have all words are found as moments.
const MAX_COMPARED: usize = 100;
/// Passages that are less similar are left out. Any two have a cosine of some 0.05.
const MIN_COSINE: f32 = 0.1;

/// The second group of results.
///
/// It is empty for a single word, for a phrase in quotes, and on later pages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Similarity {
    /// The passages, the nearest first.
    pub hits: Vec<SimilarHit>,
    /// True if the server has no model to find any, or its engine no vectors.
    pub is_unavailable: bool,
}

/// A passage that means about the same.
#[derive(Clone, Debug, PartialEq)]
pub struct SimilarHit {
    /// The passage.
    pub passage: SimilarPassage,
    /// Its recording's title.
    pub title: String,
    /// How near it is: 1 for the same meaning, about 0 for none in common.
    pub cosine: f32,
}

/// The model that turns queries into vectors. It is loaded for the first one. A file that appears
/// later is found, and one that cannot be read is logged once.
pub struct QueryEncoder {
    path: PathBuf,
    state: Mutex<Loaded>,
}

#[derive(Default)]
struct Loaded {
    model: Option<Arc<Model>>,
    is_failure_logged: bool,
}

impl QueryEncoder {
    /// An encoder with the model in this file.
    pub fn new(path: PathBuf) -> Self {
        Self { path, state: Mutex::default() }
    }

    /// The vector of a query; `None` without a model. Blocks.
    fn vector(&self, query: &str) -> Option<Vector> {
        let model = self.model()?;
        // The file may be damaged or on a lost disk: words are still found.
        let embedding = model.embed(query).inspect_err(|error| self.log_once(error)).ok()?;
        Some(Vector::new(&embedding))
    }

    fn model(&self) -> Option<Arc<Model>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.model.is_none() {
            match Model::open(&self.path) {
                Ok(model) => state.model = Some(Arc::new(model)),
                Err(error) => {
                    drop(state);
                    self.log_once(&error);
                    return None;
                }
            }
        }
        state.model.clone()
    }

    fn log_once(&self, error: &io::Error) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut state.is_failure_logged, true) {
            tracing::warn!(%error, "no search by meaning: model not readable");
        }
    }
}

/// Finds the passages in an area that mean about the same as a query. Those that overlap a moment
/// with all of its words are left out. Blocks.
///
/// # Errors
/// If the index cannot be read.
pub fn find(
    engine: &dyn SearchEngine,
    encoder: &QueryEncoder,
    query: &str,
    area: &Area,
    moments: &[Hit],
) -> Result<Similarity, Error> {
    let text: String = query.chars().take(MAX_QUERY_CHARS).collect();
    if !has_meaning(&text) {
        return Ok(Similarity::default());
    }
    let unavailable = || Similarity { is_unavailable: true, ..Similarity::default() };
    let Some(vector) = encoder.vector(&text) else { return Ok(unavailable()) };
    let similar = match engine.similar(&vector, area, MAX_COMPARED) {
        // Words are found all the same.
        Err(Error::NotSupported) => return Ok(unavailable()),
        similar => similar?,
    };
    let mut hits: Vec<SimilarHit> = Vec::new();
    for (cosine, passage) in similar {
        if cosine < MIN_COSINE || hits.len() == MAX_SIMILAR {
            break;
        }
        if moments.iter().any(|moment| has_moment(&passage, moment)) {
            continue;
        }
        let known = hits.iter().find(|hit| hit.passage.recording == passage.recording);
        let title = match known {
            Some(hit) => hit.title.clone(),
            None => engine
                .lesson(&area.tenant, &passage.recording)?
                .map(|lesson| lesson.title)
                .unwrap_or_default(),
        };
        hits.push(SimilarHit { passage, title, cosine });
    }
    Ok(Similarity { hits, is_unavailable: false })
}

/// True if a query says enough to be compared, and does not ask for exact words.
fn has_meaning(query: &str) -> bool {
    !query.contains(QUOTES) && words::split(query).len() >= MIN_WORDS
}

/// True if a moment with all words lies in a passage.
fn has_moment(passage: &SimilarPassage, moment: &Hit) -> bool {
    moment.rank != Rank::Partial
        && moment.recording == passage.recording
        && moment.start_ms < passage.end_ms
        && moment.end_ms > passage.start_ms
}
