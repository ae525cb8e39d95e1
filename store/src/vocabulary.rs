//! The vocabulary of a tenant: what its recogniser should know how to spell, in one object.

use bytes::Bytes;
pub use chalkstream_formats::vocabulary::Vocabulary;
use serde::{Deserialize, Serialize};

use crate::{Error, Kind, Result, Store, layout};

/// Version of the object.
const VERSION: u32 = 1;

/// The object.
#[derive(Serialize, Deserialize)]
struct StoredVocabulary {
    version: u32,
    terms: Vocabulary,
}

/// Reads the vocabulary of a tenant; an empty one if it has none.
///
/// # Errors
/// If storage does not answer, or the object is no vocabulary. No error has a term in it.
pub async fn read(store: &Store, tenant: &str) -> Result<Vocabulary> {
    let body = match store.get(&layout::vocabulary_key(tenant)).await {
        Ok(body) => body,
        Err(error) if error.kind == Kind::NotFound => return Ok(Vocabulary::default()),
        Err(error) => return Err(error),
    };
    // The parser's own error would quote what it read.
    match serde_json::from_slice::<StoredVocabulary>(&body) {
        Ok(stored) if stored.version == VERSION => Ok(stored.terms),
        _ => Err(Error::corrupt("the vocabulary is not one that can be read")),
    }
}

/// Writes the vocabulary of a tenant, in place of the one there is.
///
/// # Errors
/// If storage does not answer.
pub async fn write(store: &Store, tenant: &str, terms: Vocabulary) -> Result<()> {
    let stored = StoredVocabulary { version: VERSION, terms };
    let body =
        serde_json::to_vec(&stored).map_err(|_| Error::internal("the vocabulary cannot be written"))?;
    store.put(&layout::vocabulary_key(tenant), Bytes::from(body)).await.map(drop)
}

/// Removes the vocabulary of a tenant; none is fine.
///
/// # Errors
/// If storage does not answer.
pub async fn remove(store: &Store, tenant: &str) -> Result<()> {
    store.delete(&layout::vocabulary_key(tenant)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_vocabulary_is_written_read_and_removed_and_a_broken_one_shows_no_term() {
        let folder = tempfile::tempdir().unwrap();
        let settings = chalkstream_config::Store { path: folder.path().to_owned(), ..Default::default() };
        let store = crate::open(&settings).await.unwrap();
        assert!(read(&store, "school").await.unwrap().is_empty());
        let terms = Vocabulary::parse("numerator, Ms Okafor").unwrap();
        write(&store, "school", terms.clone()).await.unwrap();
        assert_eq!(read(&store, "school").await.unwrap(), terms);
        assert!(read(&store, "other").await.unwrap().is_empty());
        for broken in
            [r#"["Okafor"]"#, r#"{"version":1,"terms":"Okafor"}"#, r#"{"version":2,"terms":["Okafor"]}"#, ""]
        {
            let key = layout::vocabulary_key("school");
            store.put(&key, Bytes::from_static(broken.as_bytes())).await.unwrap();
            let error = read(&store, "school").await.unwrap_err();
            assert_eq!(error.kind, Kind::Corrupt);
            assert!(!format!("{error} {error:?}").contains("Okafor"), "{error:?}");
        }
        remove(&store, "school").await.unwrap();
        remove(&store, "school").await.unwrap();
        assert!(read(&store, "school").await.unwrap().is_empty());
    }
}
