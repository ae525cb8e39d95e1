//! Whose fault a failure is.

use serde::{Deserialize, Serialize};

/// Whose fault a failure is. It decides whether the work is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The recording itself: never tried again.
    Input,
    /// A dependency: storage, Redis, a missing model. A person tries it again.
    Dependency,
    /// Our own: may be tried again.
    Ours,
}
