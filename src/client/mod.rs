//! The HTTP client of a Chalkstream server.

pub mod api;
pub mod tus;
