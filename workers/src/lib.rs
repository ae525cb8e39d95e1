//! Leases jobs, plans their steps, runs each in a child process and writes the results back.

mod attempt;
mod capabilities;
mod context;
mod error;
mod failure;
mod health;
mod lease;
mod manifest;
mod outputs;
mod planner;
pub mod process;
mod publish;
pub mod runner;
mod sandbox_check;
mod scratch;
mod source;
mod steps;
mod sweeper;
mod worker;

pub use error::Error;
pub use failure::{Cause, StepFailure};
pub use steps::request::models;
pub use worker::run;

/// Number of steps to run at once: what the settings say, or one per core.
pub fn slots(settings: &chalkstream_config::Worker) -> usize {
    match settings.slots {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        given => given as usize,
    }
}
