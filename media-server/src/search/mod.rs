//! Search over what was said: each server's own index, fed by events.
//!
//! The index is a cache of the transcripts in storage. `feed` keeps it up to date and `find` reads
//! it; every query names its tenant.

mod feed;
mod find;
mod http;
mod index;
mod locate;
mod purge;
mod query;
mod schema;
mod service;
mod still;
mod transcript;
mod words;

#[cfg(test)]
mod feed_tests;
#[cfg(test)]
mod tests;

pub use find::{Area, Hit, MAX_LIMIT};
pub use http::{routes, search_session};
pub use index::{Error, Index, IndexedLesson};
pub use service::{OwnedArea, Search};
pub use transcript::{Cue, SpokenWord, Transcript};
