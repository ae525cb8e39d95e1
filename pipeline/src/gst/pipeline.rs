//! A running pipeline: its state changes have a deadline, and it is always stopped.

use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::STATE_DEADLINE;
use super::errors::map_error;
use crate::error::{Error, Result};

/// A pipeline that is set to Null when dropped.
pub struct RunningPipeline {
    /// The pipeline itself.
    pub pipeline: gst::Pipeline,
}

impl RunningPipeline {
    /// Takes ownership of a pipeline.
    pub fn new(pipeline: gst::Pipeline) -> Self {
        Self { pipeline }
    }

    /// Requests a state and returns at once. Failures arrive on the bus or here.
    pub fn start(&self, state: gst::State) -> Result<()> {
        match self.pipeline.set_state(state) {
            Ok(_) => Ok(()),
            Err(_) => Err(self.error().unwrap_or_else(|| Error::internal("the pipeline did not start"))),
        }
    }

    /// Waits until the pipeline has reached the requested state.
    pub fn wait_for_state(&self) -> Result<()> {
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

    /// Returns the first error on the bus, and discards the messages before it.
    pub fn error(&self) -> Option<Error> {
        let bus = self.pipeline.bus()?;
        while let Some(message) = bus.pop() {
            if let gst::MessageView::Error(error) = message.view() {
                return Some(map_error(&error.error(), error.debug().as_deref()));
            }
        }
        None
    }

    /// Waits for an error or the end of the stream. Returns `false` after `timeout`.
    pub fn wait_for_end(&self, timeout: Duration) -> Result<bool> {
        let Some(bus) = self.pipeline.bus() else { return Ok(true) };
        let timeout = gst::ClockTime::from_mseconds(timeout.as_millis() as u64);
        let message = bus.timed_pop_filtered(timeout, &[gst::MessageType::Error, gst::MessageType::Eos]);
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
