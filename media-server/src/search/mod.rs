//! Search over what was said: each server's own index, fed by events.
//!
//! The index is a cache of the transcripts in storage, an own one for each tenant. `feed` keeps it
//! up to date and `find` reads it. Both use an engine (`engine`), of which `embedded` is one.

mod addresses;
mod embedded;
mod engine;
mod entry;
mod feed;
mod find;
mod http;
mod index;
mod locate;
mod meaning;
mod moments;
mod purge;
mod query;
mod service;
mod still;
mod transcript;
mod words;

#[cfg(test)]
mod contract_tests;
#[cfg(test)]
mod feed_tests;

pub use embedded::Embedded;
pub use engine::{Area, EngineSearch, Error, IndexedLesson, SearchEngine};
pub use find::{Hit, MAX_LIMIT, MAX_MOMENTS, SearchPage, find, max_at_once};
pub use http::{routes, search_session};
pub use meaning::{QueryEncoder, SimilarHit, Similarity, find as find_similar};
pub use query::Rank;
pub use service::Search;
pub use transcript::{SimilarPassage, SpokenCue, SpokenLesson, SpokenWord};
