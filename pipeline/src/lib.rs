//! Media only, from files to files: what a recording is, and the streams, stills and transcript made of it.
//!
//! Nothing here knows Redis, object storage or HTTP. Every step that opens a user's file is entered through
//! [`step::run`] and is meant to run in a child process that may crash, hang or be killed.

mod bits;
pub mod captions;
pub mod clock;
pub mod error;
pub mod fmp4;
pub mod gst;
pub mod hls;
pub mod inspect;
pub mod ladder;
pub mod media;
pub mod model;
pub mod package;
pub mod sound;
pub mod source;
pub mod speech;
pub mod step;
pub mod stills;
pub mod transcode;
mod voice;

pub use error::{Error, ErrorKind, Fault, Result};
