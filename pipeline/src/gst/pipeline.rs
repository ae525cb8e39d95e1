//! A running pipeline: started with a deadline, listened to, and always brought down.

use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::STATE_DEADLINE;
use crate::error::{Error, ErrorKind, Result};

/// A pipeline that is set to Null when dropped.
pub struct RunningPipeline {
    /// The pipeline.
    pub pipeline: gst::Pipeline,
}

impl RunningPipeline {
    /// Takes a pipeline over.
    pub fn new(pipeline: gst::Pipeline) -> Self {
        Self { pipeline }
    }

    /// Asks for a state and returns at once; failures arrive on the bus or here.
    pub fn start(&self, state: gst::State) -> Result<()> {
        match self.pipeline.set_state(state) {
            Ok(_) => Ok(()),
            Err(_) => Err(self.error().unwrap_or_else(|| Error::internal("the pipeline did not start"))),
        }
    }

    /// Waits until the pipeline has reached the state it was asked for.
    pub fn settle(&self) -> Result<()> {
        let deadline = Instant::now() + STATE_DEADLINE;
        loop {
            match self.pipeline.state(gst::ClockTime::from_mseconds(100)).0 {
                Ok(gst::StateChangeSuccess::Async) => {}
                Ok(_) => return Ok(()),
                Err(_) => {
                    return Err(self
                        .error()
                        .unwrap_or_else(|| Error::internal("the pipeline did not change its state")));
                }
            }
            if let Some(error) = self.error() {
                return Err(error);
            }
            if Instant::now() > deadline {
                return Err(Error::internal("the pipeline froze while changing its state"));
            }
        }
    }

    /// The first error waiting on the bus; other messages are thrown away.
    pub fn error(&self) -> Option<Error> {
        let bus = self.pipeline.bus()?;
        while let Some(message) = bus.pop() {
            if let gst::MessageView::Error(error) = message.view() {
                return Some(map_error(&error.error(), error.debug().as_deref()));
            }
        }
        None
    }

    /// Waits for an error or the end of the stream; `false` when `wait` passed first.
    pub fn ended(&self, wait: Duration) -> Result<bool> {
        let Some(bus) = self.pipeline.bus() else { return Ok(true) };
        let wait = gst::ClockTime::from_mseconds(wait.as_millis() as u64);
        let message = bus.timed_pop_filtered(wait, &[gst::MessageType::Error, gst::MessageType::Eos]);
        match message.as_ref().map(|m| m.view()) {
            Some(gst::MessageView::Error(error)) => Err(map_error(&error.error(), error.debug().as_deref())),
            Some(_) => Ok(true),
            None => Ok(false),
        }
    }
}

impl Drop for RunningPipeline {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// What a pipeline's error means to whoever sent the file.
pub fn map_error(error: &gst::glib::Error, debug: Option<&str>) -> Error {
    let cause = format!("{error}; {}", debug.unwrap_or("no detail"));
    let made = match error.kind::<gst::StreamError>() {
        Some(gst::StreamError::Decrypt | gst::StreamError::DecryptNokey) => encrypted(),
        Some(gst::StreamError::CodecNotFound) => unsupported(),
        Some(_) => Error::input("decode_failed", "The file is damaged, so it can't be played."),
        None if error.matches(gst::ResourceError::Read) => Error::internal("the source could not be read"),
        None if error.kind::<gst::CoreError>().is_some() => Error::internal("the media tools failed"),
        None => Error::input("decode_failed", "The file is damaged, so it can't be played."),
    };
    made.with_source(cause)
}

/// A key is needed, which nothing here has.
pub fn encrypted() -> Error {
    Error::input("encrypted", "The recording is protected against copying, so it can't be played.")
}

/// No decoder for what the file holds.
pub fn unsupported() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "unsupported_codec",
        "The recording is in a format that can't be read here.",
    )
}
