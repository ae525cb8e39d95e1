//! Meaning as numbers: a text becomes a vector, and texts of like meaning have like vectors, in 16
//! languages.
//!
//! The model is Google's Universal Sentence Encoder, multilingual, version 3. A text is normalised
//! and split into pieces ([`normalizer`], [`pieces`]); a small network turns these into 512 numbers
//! ([`network`]). The pipeline embeds passages of a transcript, the server embeds queries.

mod file;
mod matrix;
mod model;
mod network;
mod normalizer;
mod passages;
mod pieces;
mod signs;
mod vector;

pub use file::{MODEL_FILE, ModelParts, Piece, WEIGHTS, write_model};
pub use model::{MODEL_NAME, Model};
pub use passages::{EmbeddedPassage, FormatError, read_passages, split_cues, write_passages};
pub use signs::{Signs, count_different_signs};
pub use vector::{DIMENSIONS, Embedding, Vector};
