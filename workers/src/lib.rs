//! Leases jobs, plans their steps, runs each in a child process and writes the results back.

mod admin;
mod admission;
mod attempt;
mod capabilities;
mod context;
mod drain;
mod error;
mod failure;
mod health;
mod lease;
mod machine;
mod manifest;
mod metrics;
mod outage;
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

pub use admission::{Capacity, check_disk};
pub use drain::Shutdown;
pub use error::Error;
pub use failure::{Cause, StepFailure};
pub use steps::request::models;
pub use worker::run;
