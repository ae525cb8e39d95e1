//! Tenants: one object each under `_system/tenants/`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A tenant: a district, a programme. Nothing of one is ever reachable from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its id, as in keys and paths.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}
