//! A recording's manifest, made from the queue's view of its job.

pub mod project;
pub mod writer;
