//! The harness of the end-to-end tests: real processes of the built binary, a real Redis, a real S3 API, real
//! recordings. Nothing is skipped: what is missing is a failure that says what to install.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

pub mod apple;
pub mod boxes;
pub mod check;
pub mod client;
pub mod echo;
pub mod expectations;
pub mod frames;
pub mod hostile;
pub mod judge;
pub mod likeness;
pub mod media;
pub mod node;
pub mod playlist;
pub mod presentation;
pub mod process;
pub mod redis;
pub mod s3;
pub mod served;
pub mod shaper;
pub mod source;
pub mod stack;
pub mod stream;
pub mod traces;
pub mod truth;
pub mod up;
pub mod uploads;
pub mod variants;
pub mod wait;
pub mod watched;
