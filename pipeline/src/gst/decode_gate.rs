//! Large frames one at a time: a decoder gets a packet only while its next frame is awaited.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;

/// Holds packets back before a decoder. Open at first; closed by each frame that arrives.
#[derive(Clone, Default)]
pub struct Gate(Arc<GateShared>);

#[derive(Default)]
struct GateShared {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    is_closed: bool,
    is_disabled: bool,
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

    /// Runs `flush` with the gate disabled, because a flush waits for the decoder's thread.
    pub fn with_gate_disabled<T>(&self, flush: impl FnOnce() -> T) -> T {
        self.change(|state| state.is_disabled = true);
        let flushed = flush();
        self.change(|state| *state = GateState::default());
        flushed
    }

    fn wait(&self) {
        let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_shut = |state: &mut GateState| state.is_closed && !state.is_disabled;
        drop(self.0.changed.wait_while(state, is_shut).unwrap_or_else(PoisonError::into_inner));
    }

    fn change(&self, change: impl FnOnce(&mut GateState)) {
        change(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.changed.notify_all();
    }
}

/// Owner of a gate. Dropping it disables the gate, so that the pipeline can stop.
#[derive(Default)]
pub struct GateKeeper(pub Gate);

impl Drop for GateKeeper {
    fn drop(&mut self) {
        self.0.change(|state| state.is_disabled = true);
    }
}
