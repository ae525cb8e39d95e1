//! Large frames one at a time: a decoder takes a packet only while a frame is waited for.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;

/// Holds packets back before a decoder. Open at first; closed by each frame that arrives.
#[derive(Clone, Default)]
pub struct Gate(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Default)]
struct State {
    is_closed: bool,
    is_released: bool,
}

impl Gate {
    /// Lets packets through to a `decoder` only while no frame has arrived at `sink` since the
    /// gate was opened.
    pub fn install(&self, decoder: &gst::Element, sink: &gst::Element) {
        let (Some(packets), Some(frames)) = (decoder.static_pad("sink"), sink.static_pad("sink")) else {
            return;
        };
        let gate = self.clone();
        packets.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            gate.wait();
            gst::PadProbeReturn::Ok
        });
        let gate = self.clone();
        frames.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            gate.change(|state| state.is_closed = true);
            gst::PadProbeReturn::Ok
        });
    }

    /// Lets packets through until the next frame arrives.
    pub fn open(&self) {
        self.change(|state| state.is_closed = false);
    }

    /// Runs `flush`, which needs the decoder's thread to move, with the gate out of use.
    pub fn released<T>(&self, flush: impl FnOnce() -> T) -> T {
        self.change(|state| state.is_released = true);
        let flushed = flush();
        self.change(|state| *state = State::default());
        flushed
    }

    fn wait(&self) {
        let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_shut = |state: &mut State| state.is_closed && !state.is_released;
        drop(self.0.moved.wait_while(state, is_shut).unwrap_or_else(PoisonError::into_inner));
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.moved.notify_all();
    }
}

/// The owner of a gate: without it nothing is held back, so that the pipeline can stop.
#[derive(Default)]
pub struct GateKeeper(pub Gate);

impl Drop for GateKeeper {
    fn drop(&mut self) {
        self.0.change(|state| state.is_released = true);
    }
}
