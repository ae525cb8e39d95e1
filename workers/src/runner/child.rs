//! The child's side: reads its request, locks itself in, does the work, and reports the result.

use std::fs::File;
use std::io::{Read, Write};
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use chalkstream_pipeline::Fault;
use chalkstream_pipeline::context::{StepContext, StepEvent};
use chalkstream_pipeline::step::{self, StepRequest};
use serde_json::Value;

use super::protocol::{ChildRequest, Task};
use super::{probe, sandbox};

/// Longest request, in bytes.
const MAX_REQUEST_BYTES: u64 = 16 << 20;

/// Entry of the hidden command `chalkstream step`.
pub fn main() -> ExitCode {
    match sandbox::take_stdout() {
        Ok(events) => run(events),
        Err(_) => ExitCode::FAILURE,
    }
}

/// Does what standard input asks and writes events to `events`.
pub fn run(events: File) -> ExitCode {
    let emit = emitter(events);
    match work(&emit) {
        Ok(value) => emit(StepEvent::Result { value }),
        Err(failure) => emit(failure),
    }
    ExitCode::SUCCESS
}

type Emit = Arc<dyn Fn(StepEvent) + Send + Sync>;

/// Writes one line an event. A parent that is gone ends the child.
fn emitter(events: File) -> Emit {
    let events = Mutex::new(events);
    Arc::new(move |event| {
        let mut line = serde_json::to_vec(&event).unwrap_or_default();
        line.push(b'\n');
        let mut events = events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.write_all(&line).is_err() {
            std::process::exit(1);
        }
    })
}

fn work(emit: &Emit) -> Result<Value, StepEvent> {
    let request: ChildRequest = {
        let mut text = Vec::new();
        std::io::stdin().lock().take(MAX_REQUEST_BYTES).read_to_end(&mut text).map_err(ours)?;
        serde_json::from_slice(&text).map_err(ours)?
    };
    if matches!(request.task, Task::Registry) {
        return chalkstream_pipeline::gst::init().map(|()| Value::Null).map_err(reported);
    }
    sandbox::enter(&request.limits).map_err(|error| StepEvent::Error {
        code: "sandbox_unavailable".into(),
        message: format!("The sandbox could not be entered: {error}."),
        fault: Fault::Dependency,
    })?;
    let ctx = StepContext { out_dir: request.out_dir, emit: Arc::clone(emit), cancel: Arc::default() };
    match request.task {
        Task::Probe(probe) => probe::run(probe, &ctx).map_err(ours),
        Task::Step(request) => media(&request, &ctx),
        Task::Registry => Ok(Value::Null),
    }
}

fn media(request: &StepRequest, ctx: &StepContext) -> Result<Value, StepEvent> {
    let source = step::open_source(&request.source).map_err(reported)?;
    let run = AssertUnwindSafe(|| step::run(&request.step, source, ctx));
    match std::panic::catch_unwind(run) {
        Ok(result) => result.map_err(reported),
        // The panic's own text is on standard error, which the parent keeps.
        Err(_) => std::process::exit(101),
    }
}

/// The step's own error, its causes on standard error for the parent's log.
fn reported(error: chalkstream_pipeline::Error) -> StepEvent {
    let mut cause = std::error::Error::source(&error);
    complain(&error);
    while let Some(inner) = cause {
        complain(inner);
        cause = inner.source();
    }
    StepEvent::Error { code: error.code.into(), fault: error.fault(), message: error.message }
}

fn ours(error: impl std::fmt::Display) -> StepEvent {
    complain(&error);
    StepEvent::Error {
        code: "internal".into(),
        message: "Something went wrong on our side.".into(),
        fault: Fault::Ours,
    }
}

fn complain(error: &(impl std::fmt::Display + ?Sized)) {
    // Standard error may be gone with the parent; nothing is left to report to.
    let _ = writeln!(std::io::stderr(), "{error}");
}
