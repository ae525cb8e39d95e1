//! Typed settings: one struct per concern, read from a file, then the environment, then flags.

mod secret;
mod settings;

pub use secret::Secret;
pub use settings::*;
