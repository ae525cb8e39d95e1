//! Typed settings: one struct per concern, read from a file, then the environment, then flags.
//!
//! `config/default.toml` is the commented reference. [`load`] reports every problem at once, each
//! with its origin.

mod admin_listen;
mod checks;
mod document;
mod load;
mod names;
mod problem;
mod redis;
mod search;
mod secret;
mod settings;
mod show;

pub use admin_listen::AdminListen;
pub use load::load;
pub use problem::{Origin, Problems, SettingProblem};
pub use redis::{Redis, RedisTopology};
pub use search::{OpenSearch, Search, SearchEngineKind};
pub use secret::Secret;
pub use settings::*;
pub use show::{print, schema};
