//! The durable side of a deletion: its record, the tombstone it leaves, and the count of what goes.
//!
//! While a deletion is under way its record lies in a marker. The marker is the order to finish it,
//! whichever server stops on the way. Afterwards the record is the receipt.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use chalkstream_formats::hex;

use crate::objects::list_all;
use crate::{Error, Kind, Manifest, Result, State, Store, layout, listing, read_manifest};

/// Fence of a tombstone. No other manifest can have a higher one, so a deletion is final.
const TOMBSTONE_FENCE: u64 = u64::MAX;

/// Number and size of objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Number of objects.
    pub objects: u64,
    /// Their bytes.
    pub size_bytes: u64,
}

impl Amount {
    /// Adds one object.
    pub fn add(&mut self, size_bytes: u64) {
        self.objects += 1;
        self.size_bytes += size_bytes;
    }
}

/// The objects of a recording, counted before the first one is removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// All of them.
    #[serde(flatten)]
    pub total: Amount,
    /// By what they belong to: `source`, `hls`, `stills`, `transcript`, …
    pub folders: BTreeMap<String, Amount>,
    /// Hex SHA-256 over a line `{key} {size}\n` for each object, in the order of their keys, which
    /// are relative to the recording.
    pub listing_sha256: String,
}

/// A deletion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deletion {
    /// Version of this format: 1.
    pub version: u32,
    /// The recording.
    pub recording: String,
    /// When it was asked for, in ms since 1970.
    pub requested_at_ms: u64,
    /// What there was to remove; `None` until it is counted.
    #[serde(rename = "inventory", default, skip_serializing_if = "Option::is_none")]
    pub contents: Option<Contents>,
    /// Hex SHA-256 of the uploaded file, if it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_sha256: Option<String>,
    /// Key of the object that stands for its deduplication value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe_key: Option<String>,
    /// Objects that were written later and removed too.
    #[serde(default)]
    pub late: Amount,
    /// When the tombstone was there, in ms since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buried_at_ms: Option<u64>,
    /// When objects, job and upload were gone, in ms since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emptied_at_ms: Option<u64>,
    /// When nothing of it was left anywhere, in ms since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased_at_ms: Option<u64>,
}

impl Deletion {
    /// A deletion of which nothing is done yet. `manifest` is `None` if it is lost or unreadable.
    pub fn new(tenant: &str, recording: &str, manifest: Option<&Manifest>, now_ms: u64) -> Self {
        let dedupe = manifest.and_then(|manifest| manifest.dedupe.as_deref());
        Self {
            version: 1,
            recording: recording.into(),
            requested_at_ms: now_ms,
            contents: None,
            source_sha256: manifest.and_then(|manifest| manifest.source.as_ref()?.sha256.clone()),
            dedupe_key: dedupe.map(|value| layout::dedupe_key(tenant, value)),
            late: Amount::default(),
            buried_at_ms: None,
            emptied_at_ms: None,
            erased_at_ms: None,
        }
    }
}

/// Reads a deletion, under way or finished; `None` if the recording was not deleted.
///
/// # Errors
/// If storage does not answer, or the receipt is corrupt.
pub async fn read(store: &Store, tenant: &str, recording: &str) -> Result<Option<Deletion>> {
    if let Some(deletion) = read_marker(store, tenant, recording).await? {
        return Ok(Some(deletion));
    }
    match get(store, &layout::receipt_key(tenant, recording)).await? {
        Some(body) => serde_json::from_slice(&body)
            .map(Some)
            .map_err(|e| Error::corrupt("a receipt cannot be read").with_source(e)),
        None => Ok(None),
    }
}

/// Reads a deletion that is under way; `None` if there is none.
///
/// # Errors
/// If storage does not answer.
pub async fn read_marker(store: &Store, tenant: &str, recording: &str) -> Result<Option<Deletion>> {
    layout::check_ids(tenant, recording)?;
    let Some(body) = get(store, &layout::deleted_key(tenant, recording)).await? else { return Ok(None) };
    Ok(Some(serde_json::from_slice(&body).unwrap_or_else(|_| {
        // Earlier builds wrote the time alone. A marker is an order, so even an unreadable one is
        // carried out.
        let at_ms = std::str::from_utf8(&body).ok().and_then(|text| text.parse().ok());
        Deletion::new(tenant, recording, None, at_ms.unwrap_or_else(crate::clock::now_ms))
    })))
}

async fn get(store: &Store, key: &str) -> Result<Option<Bytes>> {
    match store.get(key).await {
        Ok(body) => Ok(Some(body)),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the marker: from then on the deletion will be finished.
///
/// # Errors
/// If storage does not answer.
pub async fn mark(store: &Store, tenant: &str, deletion: &Deletion) -> Result<()> {
    put(store, &layout::deleted_key(tenant, &deletion.recording), deletion).await
}

/// Turns the marker into a receipt, and removes the tombstone: from then on the receipt alone says
/// that the recording was deleted.
///
/// # Errors
/// If storage does not answer.
pub async fn file_receipt(store: &Store, tenant: &str, deletion: &Deletion) -> Result<()> {
    let recording = deletion.recording.as_str();
    put(store, &layout::receipt_key(tenant, recording), deletion).await?;
    store.delete(&tombstone_key(tenant, recording)).await?;
    store.delete(&layout::deleted_key(tenant, recording)).await
}

async fn put(store: &Store, key: &str, deletion: &Deletion) -> Result<()> {
    let body = serde_json::to_vec(deletion)
        .map_err(|e| Error::internal("a deletion cannot be written as json").with_source(e))?;
    store.put(key, Bytes::from(body)).await
}

/// Writes the tombstone, unless it is there, and takes the recording out of all lists. Whatever is
/// written later, the recording stays deleted.
///
/// # Errors
/// If storage does not answer.
pub async fn bury(store: &Store, tenant: &str, recording: &str) -> Result<()> {
    match read_manifest(store, tenant, recording).await {
        Ok(Some(m)) if m.fence == TOMBSTONE_FENCE && m.state == State::Deleted => {}
        // An unreadable manifest can still be deleted.
        Err(error) if error.kind != Kind::Corrupt => return Err(error),
        _ => write_tombstone(store, tenant, recording).await?,
    }
    listing::remove(store, tenant, recording).await?;
    listing::remove_copies(store, tenant, recording).await
}

async fn write_tombstone(store: &Store, tenant: &str, recording: &str) -> Result<()> {
    let mut tombstone = Manifest::new(tenant, recording);
    tombstone.state = State::Deleted;
    tombstone.fence = TOMBSTONE_FENCE;
    let body = serde_json::to_vec(&tombstone)
        .map_err(|e| Error::internal("the tombstone cannot be written as json").with_source(e))?;
    // Not `write_manifest`: that removes history, which is still to be counted.
    store.put(&tombstone_key(tenant, recording), Bytes::from(body)).await
}

/// Counts everything of a recording but the tombstone.
///
/// # Errors
/// If storage does not answer.
pub async fn count(store: &Store, tenant: &str, recording: &str) -> Result<Contents> {
    let prefix = layout::recording_prefix(tenant, recording);
    let tombstone = tombstone_key(tenant, recording);
    let (mut contents, mut hash) = (Contents::default(), Sha256::new());
    let mut objects = std::pin::pin!(list_all(store, &prefix));
    while let Some(object) = objects.try_next().await? {
        if object.key == tombstone {
            continue;
        }
        let relative = object.key.strip_prefix(&prefix).unwrap_or_default();
        contents.total.add(object.size_bytes);
        contents.folders.entry(layout::part_of(relative).to_owned()).or_default().add(object.size_bytes);
        hash.update(format!("{relative} {}\n", object.size_bytes));
    }
    contents.listing_sha256 = hex::encode(&hash.finalize());
    Ok(contents)
}

/// Removes everything of a recording but the tombstone. Returns what that was.
///
/// # Errors
/// If storage does not answer.
pub async fn remove_objects(store: &Store, tenant: &str, recording: &str) -> Result<Amount> {
    let prefix = layout::recording_prefix(tenant, recording);
    let tombstone = tombstone_key(tenant, recording);
    let mut removed = Amount::default();
    let mut pages = std::pin::pin!(list_all(store, &prefix).try_chunks(BATCH_KEYS));
    while let Some(page) = pages.try_next().await.map_err(|cut_off| cut_off.1)? {
        let mut keys = Vec::with_capacity(page.len());
        for object in page.into_iter().filter(|object| object.key != tombstone) {
            removed.add(object.size_bytes);
            keys.push(object.key);
        }
        store.delete_many(&keys).await?;
    }
    Ok(removed)
}

/// Keys removed at once: as many as one request of the S3 API takes.
const BATCH_KEYS: usize = 1_000;

fn tombstone_key(tenant: &str, recording: &str) -> String {
    layout::manifest_key(tenant, recording, TOMBSTONE_FENCE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::folder;
    use crate::write_manifest;

    #[tokio::test]
    async fn what_is_removed_is_what_was_counted() {
        let (store, _folder) = folder().await;
        let id = layout::new_recording_id();
        let mut manifest = Manifest::new("t", &id);
        manifest.fence = 1_700_000_000_000;
        write_manifest(&store, &manifest).await.unwrap();
        for (key, size) in
            [("source/original.mp4", 7), ("hls/1/master.m3u8", 3), ("hls/video/1/00001.m4s", 5)]
        {
            let key = layout::object_key("t", &id, key);
            store.put(&key, Bytes::from(vec![0; size])).await.unwrap();
        }
        bury(&store, "t", &id).await.unwrap();
        // A worker that was asleep writes what it thinks is the newest manifest.
        manifest.fence = u64::MAX - 1;
        write_manifest(&store, &manifest).await.unwrap();
        assert_eq!(read_manifest(&store, "t", &id).await.unwrap().unwrap().state, State::Deleted);

        let contents = count(&store, "t", &id).await.unwrap();
        assert_eq!(contents.folders["hls"], Amount { objects: 2, size_bytes: 8 });
        assert_eq!(contents.folders["source"], Amount { objects: 1, size_bytes: 7 });
        assert_eq!(contents.folders["manifest"].objects, 2);
        assert_eq!(remove_objects(&store, "t", &id).await.unwrap(), contents.total);
        assert_eq!(remove_objects(&store, "t", &id).await.unwrap(), Amount::default());
        assert_eq!(read_manifest(&store, "t", &id).await.unwrap().unwrap().state, State::Deleted);
        let empty = count(&store, "t", &id).await.unwrap();
        assert_eq!(empty.listing_sha256, crate::objects::sha256_hex(b""));
    }

    #[tokio::test]
    async fn markers_of_earlier_builds_are_orders_too() {
        let (store, _folder) = folder().await;
        let id = layout::new_recording_id();
        store.put(&layout::deleted_key("t", &id), Bytes::from_static(b"1700000000000")).await.unwrap();
        let mut deletion = read_marker(&store, "t", &id).await.unwrap().unwrap();
        assert_eq!((deletion.requested_at_ms, deletion.emptied_at_ms), (1_700_000_000_000, None));
        mark(&store, "t", &deletion).await.unwrap();
        assert_eq!(read(&store, "t", &id).await.unwrap().unwrap(), deletion);
        deletion.erased_at_ms = Some(1_700_000_000_001);
        bury(&store, "t", &id).await.unwrap();
        file_receipt(&store, "t", &deletion).await.unwrap();
        assert_eq!(read_manifest(&store, "t", &id).await.unwrap(), None);
        assert_eq!(read_marker(&store, "t", &id).await.unwrap(), None);
        assert_eq!(read(&store, "t", &id).await.unwrap().unwrap(), deletion);
    }
}
