//! HTTP: uploads, recordings, links, sessions, delivery, search and the player page.

mod access;
mod admin;
mod app;
mod body;
mod clock;
mod corrections;
mod deletion;
mod delivery;
mod error;
mod events;
mod exclusive;
mod health;
mod http;
mod maintenance;
mod manifests;
mod metrics;
mod moments;
mod names;
mod openapi;
mod permits;
mod playback;
mod player;
mod problem;
mod reason;
mod recordings;
pub mod search;
mod serve;
pub mod token;
mod transcripts;
mod uploads;
mod url;
mod vocabulary;
mod webvtt;

#[cfg(test)]
mod testing;

pub use error::Error;
pub use openapi::document as openapi_document;
pub use serve::{serve, serve_on};
