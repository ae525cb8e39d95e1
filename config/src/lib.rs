//! Typed settings: one struct per concern, read from a file, then the environment, then flags.
//!
//! `config/default.toml` is the commented reference; [`load`] tells every problem at once, each with its place.

mod checks;
mod document;
mod load;
mod names;
mod problem;
mod secret;
mod settings;
mod show;

pub use load::load;
pub use problem::{Place, Problem, Problems};
pub use secret::Secret;
pub use settings::*;
pub use show::{print, schema};
