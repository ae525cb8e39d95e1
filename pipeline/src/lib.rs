//! Media processing from files to files: inspects a recording, and makes streams, stills and a
//! transcript of it.
//!
//! Nothing here uses Redis, object storage or HTTP. Every step that opens a user's file runs
//! through [`step::run`], in a child process that may crash, hang or be killed.

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
mod mel;
pub mod model;
mod mp4;
pub mod report;
pub mod source;
pub mod step;
pub mod steps;
mod voice;

pub use chalkstream_formats::captions;
pub use declined::DeclineReason;
pub use error::{Error, ErrorKind, Fault, Result};
