//! The harness of the end-to-end tests: real processes of the built binary, a real Redis, a real S3
//! API, real recordings. Nothing is skipped: what is missing is a failure that says what to
//! install.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

pub mod apple;
pub mod audio_sync;
pub mod boxes;
pub mod breakable_line;
pub mod chaos;
pub mod check;
pub mod checker;
pub mod client;
pub mod expectations;
pub mod fetched_stream;
pub mod frames;
pub mod ground_truth;
pub mod hostile;
pub mod line_shaper;
pub mod media;
pub mod metadata_leaks;
pub mod node;
pub mod playlist;
pub mod presentation;
pub mod process;
pub mod redis;
pub mod redis_fleet;
pub mod report;
pub mod s3;
pub mod source;
pub mod source_delivery;
pub mod stack;
pub mod stream;
pub mod up;
pub mod uploads;
pub mod variants;
pub mod video_similarity;
pub mod wait;
