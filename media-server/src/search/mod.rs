//! Search over what was said: each server's own index, fed by events, and the moments it answers with.
//!
//! The index is a cache of the transcripts in storage. `feed` keeps it in step with them; `find` reads it; every
//! query names its tenant.

mod find;
mod index;
mod locate;
mod query;
mod schema;
mod transcript;
mod words;

#[cfg(test)]
mod tests;

pub use find::{Area, Hit, MAX_LIMIT};
pub use index::{Error, Index, Lesson};
pub use transcript::{Cue, Spoken, Transcript};

mod service;

pub use service::{Search, routes};
