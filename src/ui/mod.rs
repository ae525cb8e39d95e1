//! Output for the person or program that runs a command.

pub mod output;
pub mod progress;
