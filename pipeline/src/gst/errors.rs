//! Errors of pipelines, for the person who sent the file.

use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;

use crate::error::{Error, ErrorKind};

/// The first error found on a pipeline's streaming threads.
#[derive(Clone, Default)]
pub struct FirstError(Arc<Mutex<Option<Error>>>);

impl FirstError {
    /// Records an error, unless there is one already.
    pub fn set(&self, error: Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// Removes and returns the error.
    pub fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Translates a pipeline's error.
pub fn map_error(error: &gst::glib::Error, debug: Option<&str>) -> Error {
    let cause = format!("{error}; {}", debug.unwrap_or("no detail"));
    let made = match error.kind::<gst::StreamError>() {
        Some(gst::StreamError::Decrypt | gst::StreamError::DecryptNokey) => encrypted(),
        Some(gst::StreamError::CodecNotFound) => unsupported(),
        Some(_) => Error::damaged_file(),
        None if error.matches(gst::ResourceError::Read) => Error::internal("the source could not be read"),
        None if error.kind::<gst::CoreError>().is_some() => Error::internal("the media tools failed"),
        None => Error::damaged_file(),
    };
    made.with_source(cause)
}

/// A key is needed, and none is available.
pub fn encrypted() -> Error {
    Error::input("encrypted", "The recording is protected against copying, so it can't be played.")
}

/// There is no decoder for the file's codec.
pub fn unsupported() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "unsupported_codec",
        "The recording is in a format that can't be read here.",
    )
}

/// The video's frames are larger than is allowed.
pub fn too_many_pixels() -> Error {
    Error::new(ErrorKind::LimitExceeded, "too_many_pixels", "The picture is too large to be played.")
}

/// The frames that a decoder keeps for reference take more memory than a step has.
pub fn too_many_references() -> Error {
    Error::new(
        ErrorKind::LimitExceeded,
        "too_many_references",
        "The video needs too many large frames in memory at a time. Please export it at 4K or smaller.",
    )
}
