//! Leases jobs, plans their steps, runs each in a child process and writes the results back.

mod attempt;
mod books;
mod error;
mod failure;
mod growth;
mod ladder;
mod layout;
mod lease;
mod master;
mod media;
pub mod planner;
pub mod process;
mod record;
mod result;
pub mod runner;
mod scratch;
mod sink;
mod source;
mod sweeper;
mod verify;
mod worker;

pub use error::Error;
pub use failure::{Cause, StepFailure};
pub use media::models;
pub use worker::run;

/// Steps run at once: what the settings say, or one per core.
pub fn slots(settings: &chalkstream_config::Worker) -> usize {
    match settings.slots {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        given => given as usize,
    }
}
