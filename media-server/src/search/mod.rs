//! Search over what was said: an index fed by events.
//!
//! The index is a cache of the transcripts in storage, an own one for each tenant. `feed` keeps it
//! up to date and `find` reads it. Both use an engine (`engine`): `embedded`, each server's own, or
//! `opensearch`, a cluster that servers share.

mod addresses;
mod analysis;
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
mod opensearch;
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
pub use opensearch::OpenSearch;
pub use query::Rank;
pub use service::Search;
pub use transcript::{SimilarPassage, SpokenCue, SpokenLesson, SpokenWord};
