//! Media only, from files to files: what a recording is, and the streams, stills and transcript made of it.
//!
//! Nothing here knows Redis, object storage or HTTP. Every step that opens a user's file is entered through
//! [`step::run`] and is meant to run in a child process that may crash, hang or be killed.

pub mod captions;
mod codec;
mod container;
pub mod context;
pub mod cpu_clock;
mod declined;
pub mod error;
pub mod fmp4;
pub mod gst;
pub mod hls;
pub mod ladder;
pub mod limits;
pub mod media;
pub mod model;
mod mp4;
pub mod report;
pub mod source;
pub mod step;
pub mod steps;
mod voice;

pub use declined::DeclineReason;
pub use error::{Error, ErrorKind, Fault, Result};
