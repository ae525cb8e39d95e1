//! The list of pupils' names of a tenant: one object, which nothing else holds.

use bytes::Bytes;
pub use chalkstream_formats::names::NameList;
use serde::{Deserialize, Serialize};

use crate::{Error, Kind, Result, Store, layout};

/// Version of the object.
const VERSION: u32 = 1;

/// The object.
#[derive(Serialize, Deserialize)]
struct StoredNames {
    version: u32,
    names: NameList,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    silence: bool,
}

/// The same without the names.
#[derive(Deserialize)]
struct StoredOption {
    version: u32,
    #[serde(default)]
    silence: bool,
}

/// Reads the list of a tenant; `None` if it has none.
///
/// # Errors
/// If storage does not answer, or what is there is no list. No error has a name in it.
pub async fn read(store: &Store, tenant: &str) -> Result<Option<NameList>> {
    let Some(body) = get(store, tenant).await? else { return Ok(None) };
    // The parser's own error would quote what it read.
    match serde_json::from_slice::<StoredNames>(&body) {
        Ok(stored) if stored.version == VERSION => Ok(Some(stored.names)),
        _ => Err(unreadable()),
    }
}

/// Whether the names of a tenant's list are silenced in audio too. A name that cannot be read does
/// not matter for it.
///
/// # Errors
/// If storage does not answer, or what is there does not say.
pub async fn is_silencing(store: &Store, tenant: &str) -> Result<bool> {
    let Some(body) = get(store, tenant).await? else { return Ok(false) };
    match serde_json::from_slice::<StoredOption>(&body) {
        Ok(stored) if stored.version == VERSION => Ok(stored.silence),
        _ => Err(unreadable()),
    }
}

async fn get(store: &Store, tenant: &str) -> Result<Option<Bytes>> {
    match store.get(&layout::names_key(tenant)).await {
        Ok(body) => Ok(Some(body)),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn unreadable() -> Error {
    Error::corrupt("the list of names is not one that can be read")
}

/// Writes the list of a tenant, in place of the one there is. `silence` says whether its names are
/// silenced in audio too.
///
/// # Errors
/// If storage does not answer.
pub async fn write(store: &Store, tenant: &str, names: NameList, silence: bool) -> Result<()> {
    let stored = StoredNames { version: VERSION, names, silence };
    let body = serde_json::to_vec(&stored).map_err(|_| Error::internal("names cannot be written"))?;
    store.put(&layout::names_key(tenant), Bytes::from(body)).await.map(drop)
}

/// Removes the list of a tenant; none is fine.
///
/// # Errors
/// If storage does not answer.
pub async fn remove(store: &Store, tenant: &str) -> Result<()> {
    store.delete(&layout::names_key(tenant)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_list_is_written_read_and_removed_and_a_broken_one_names_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let settings = chalkstream_config::Store { path: folder.path().to_owned(), ..Default::default() };
        let store = crate::open(&settings).await.unwrap();
        assert_eq!(read(&store, "school").await.unwrap(), None);
        let names = NameList::from_lines("Maria\nJosé Núñez").unwrap();
        for silence in [true, false] {
            write(&store, "school", names.clone(), silence).await.unwrap();
            assert_eq!(read(&store, "school").await.unwrap(), Some(names.clone()));
            assert_eq!(is_silencing(&store, "school").await.unwrap(), silence);
        }
        assert_eq!(read(&store, "other").await.unwrap(), None);
        assert!(!is_silencing(&store, "other").await.unwrap());
        for broken in
            [r#"["Maria"]"#, r#"{"version":1,"names":"Maria"}"#, r#"{"version":2,"names":["Maria"]}"#, ""]
        {
            let key = layout::names_key("school");
            store.put(&key, Bytes::from_static(broken.as_bytes())).await.unwrap();
            let error = read(&store, "school").await.unwrap_err();
            assert_eq!(error.kind, Kind::Corrupt);
            assert!(!format!("{error} {error:?}").contains("Maria"), "{error:?}");
        }
        // Whether names are silenced does not depend on one that cannot be read.
        for (broken, silence) in [
            (r#"{"version":1,"names":"Maria","silence":true}"#, Some(true)),
            (r#"{"version":1,"names":["Maria",["Jo"]]}"#, Some(false)),
            (r#"{"version":2,"names":[]}"#, None),
            ("", None),
        ] {
            let key = layout::names_key("school");
            store.put(&key, Bytes::from_static(broken.as_bytes())).await.unwrap();
            assert_eq!(is_silencing(&store, "school").await.ok(), silence, "{broken}");
        }
        remove(&store, "school").await.unwrap();
        remove(&store, "school").await.unwrap();
        assert_eq!(read(&store, "school").await.unwrap(), None);
    }
}
