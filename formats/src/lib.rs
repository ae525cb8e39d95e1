//! The ground crate: bytes and words that the other crates must agree on.
//!
//! It depends on `std` and `serde` alone, does no input or output, and trusts none of the bytes it
//! reads.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod boxes;
pub mod captions;
mod coding;
pub mod edits;
mod fault;
pub mod hex;
pub mod names;
pub mod sound;
pub mod source_index;
pub mod vocabulary;

pub use coding::{Coding, NalFraming};
pub use fault::Fault;
