//! How far a server has read the event stream, stored in the cluster itself: what the cluster loses
//! is read again.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::engine::Error;

/// The file with a server's name among those that share a cluster.
const NAME_FILE: &str = "opensearch-name";

/// How far a server is, and the indexes in which it is.
#[derive(Serialize, Deserialize)]
pub struct StoredPosition {
    pub position: String,
    /// The unique ids of indexes by name. If one is gone, so is what it had.
    pub indexes: BTreeMap<String, String>,
}

/// This server's name, made when it is first asked for.
pub fn name_of_server(folder: &Path) -> Result<String, Error> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(NAME_FILE);
    let known = std::fs::read_to_string(&path).ok().and_then(|text| uuid::Uuid::parse_str(text.trim()).ok());
    let name = known.unwrap_or_else(uuid::Uuid::now_v7).to_string();
    if known.is_none() {
        std::fs::write(path, &name)?;
    }
    Ok(name)
}
