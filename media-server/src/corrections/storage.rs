//! Layers in storage. Each change is an object of its own with the complete layer, among the
//! recording's manifests; the highest number counts. No storage needs compare-and-swap: a lease in
//! Redis lets one writer in at a time, and a writer that lost its lease finds the other's object
//! after its own.

use bytes::Bytes;
use chalkstream_store::{Error, Kind, ManifestFolder, Result, Store, layout, listing};

use super::layer::{Layer, MAX_LAYER_BYTES};

/// Layers of a recording that are kept: a reader that listed just before a write still finds its
/// one.
const MAX_KEPT: usize = 3;
/// How often a layer is read whose object is gone: a newer one has replaced it.
const MAX_READS: usize = 5;

/// A layer as it is in storage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredLayer {
    /// The corrections.
    pub layer: Layer,
    /// Names this content: empty if nothing was ever corrected.
    pub tag: String,
}

/// Reads the newest layer of a recording; an empty one if nothing was corrected.
///
/// # Errors
/// If storage does not answer, or a layer is corrupt.
pub async fn read(store: &Store, tenant: &str, recording: &str) -> Result<StoredLayer> {
    for _ in 0..MAX_READS {
        let folder = ManifestFolder::list(store, tenant, recording).await?;
        match read_objects(store, &folder.newest_corrections()).await {
            Err(error) if error.kind == Kind::NotFound => {}
            read => return read,
        }
    }
    Err(too_fast())
}

/// Reads the layer that is in these objects: usually one, and none if nothing was corrected.
///
/// # Errors
/// `NotFound` if one is gone, because a newer one has replaced it.
pub async fn read_objects(store: &Store, keys: &[String]) -> Result<StoredLayer> {
    let mut read = StoredLayer::default();
    for key in keys {
        let layer: Layer = serde_json::from_slice(&store.get(key).await?)
            .map_err(|e| Error::new(Kind::Corrupt, "corrections cannot be read").with_source(e))?;
        let (number, writer) = layout::parse_corrections_key(key).unwrap_or_default();
        read.layer.merge(layer);
        let separator = if read.tag.is_empty() { "" } else { "." };
        read.tag = format!("{}{separator}{number}-{writer}", read.tag);
    }
    Ok(read)
}

/// Why a layer could not be read.
pub fn too_fast() -> Error {
    Error::new(Kind::Unavailable, "the corrections change faster than they can be read")
}

/// Writes the next layer of a recording, and sweeps older ones.
///
/// # Errors
/// `Conflict` if another writer wrote one meanwhile: then this one is not there.
pub async fn write(store: &Store, tenant: &str, recording: &str, layer: &Layer) -> Result<()> {
    let body = serde_json::to_vec(layer)
        .map_err(|e| Error::new(Kind::Internal, "corrections cannot be written").with_source(e))?;
    if body.len() > MAX_LAYER_BYTES {
        return Err(Error::new(Kind::InvalidInput, "the corrections are too large"));
    }
    let writer = uuid::Uuid::now_v7().simple().to_string();
    let key = layout::corrections_key(tenant, recording, layer.number, &writer[20..]);
    let is_first = ManifestFolder::list(store, tenant, recording).await?.corrections.is_empty();
    if is_first {
        // Before it: after a crash, a scan of lists looks for corrections in vain, but misses none.
        listing::expect_corrections(store, tenant, recording).await?;
    }
    let put = store.put(&key, Bytes::from(body)).await;
    if is_first {
        // A worker that wrote a manifest meanwhile may have found none, and its entry counts. So
        // does that of before, if nothing was written.
        listing::repair(store, tenant, recording).await?;
    }
    put?;
    let folder = ManifestFolder::list(store, tenant, recording).await?;
    if folder.newest_corrections() != [key.clone()] {
        store.delete(&key).await?;
        return Err(Error::new(Kind::Conflict, "another correction was written meanwhile"));
    }
    for old in folder.corrections.iter().rev().skip(MAX_KEPT) {
        // The next write sweeps it.
        if let Err(error) = store.delete(&old.key).await {
            tracing::debug!(kind = error.kind.as_str(), "an old layer was not removed");
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chalkstream_store::{Manifest, write_manifest};

    use super::super::layer::Anchor;
    use super::*;

    async fn folder() -> (Store, tempfile::TempDir) {
        let folder = tempfile::TempDir::new().unwrap();
        let settings =
            chalkstream_config::Store { path: folder.path().join("objects"), ..Default::default() };
        (chalkstream_store::open(&settings).await.unwrap(), folder)
    }

    fn corrected(layer: &Layer, start_ms: u64, text: &str) -> Layer {
        let mut layer = layer.clone();
        let anchor = Anchor { start_ms, end_ms: start_ms + 1000, quote: "heard".into() };
        layer.correct(None, anchor, (text, "ann"), 1).unwrap();
        layer
    }

    #[tokio::test]
    async fn the_newest_layer_counts_and_older_ones_are_swept() {
        let (store, _folder) = folder().await;
        let id = layout::new_recording_id();
        assert_eq!(read(&store, "t", &id).await.unwrap(), StoredLayer::default());
        let mut layer = Layer::default();
        let mut tags = std::collections::HashSet::new();
        for n in 0..12 {
            layer = corrected(&layer, n * 1000, "x");
            write(&store, "t", &id, &layer).await.unwrap();
            let stored = read(&store, "t", &id).await.unwrap();
            assert_eq!(stored.layer, layer);
            assert!(tags.insert(stored.tag));
        }
        let kept = ManifestFolder::list(&store, "t", &id).await.unwrap().corrections;
        assert_eq!(kept.len(), MAX_KEPT);
    }

    #[tokio::test]
    async fn a_writer_that_comes_late_is_refused_and_leaves_nothing() {
        let (store, _folder) = folder().await;
        let id = layout::new_recording_id();
        let first = corrected(&Layer::default(), 0, "first");
        write(&store, "t", &id, &first).await.unwrap();
        // It read before the first one wrote, and was paused beyond its lease.
        let late = corrected(&Layer::default(), 9000, "late");
        assert_eq!(write(&store, "t", &id, &late).await.unwrap_err().kind, Kind::Conflict);
        assert_eq!(read(&store, "t", &id).await.unwrap().layer, first);
        let second = corrected(&first, 5000, "second");
        write(&store, "t", &id, &second).await.unwrap();
        assert_eq!(write(&store, "t", &id, &late).await.unwrap_err().kind, Kind::Conflict);
        assert_eq!(read(&store, "t", &id).await.unwrap().layer, second);
    }

    #[tokio::test]
    async fn lists_say_that_there_may_be_corrections_whoever_writes_between() {
        let (store, _folder) = folder().await;
        let mut manifest = Manifest::new("t", layout::new_recording_id());
        let id = manifest.recording.clone();
        write_manifest(&store, &manifest).await.unwrap();
        let says = async || {
            let entries = listing::page(&store, "t", manifest.state, None, 10).await.unwrap();
            listing::read(&store, &entries[0]).await.unwrap().unwrap().may_have_corrections
        };
        assert!(!says().await);
        // A server that ends here has corrected nothing, and a reader looks in vain.
        listing::expect_corrections(&store, "t", &id).await.unwrap();
        assert!(says().await);
        assert_eq!(read(&store, "t", &id).await.unwrap(), StoredLayer::default());
        // A comparison of all manifests, between the entry and the corrections of another server.
        listing::build::verify(&store, "t").await.unwrap();
        assert!(!says().await);
        write(&store, "t", &id, &corrected(&Layer::default(), 0, "x")).await.unwrap();
        assert!(says().await);
        manifest.fence = 1;
        write_manifest(&store, &manifest).await.unwrap();
        assert!(says().await, "a worker's manifest");
        assert_eq!(listing::build::verify(&store, "t").await.unwrap().repaired, 0);
        // A server that ended between the two, and whose entry a worker wrote over.
        listing::remove(&store, "t", &id).await.unwrap();
        listing::build::verify(&store, "t").await.unwrap();
        assert!(says().await);
    }

    #[tokio::test]
    async fn two_objects_of_one_number_are_read_as_one_layer() {
        let (store, _folder) = folder().await;
        let id = layout::new_recording_id();
        for (writer, start_ms) in [("aa", 0), ("bb", 5000)] {
            let layer = corrected(&Layer::default(), start_ms, writer);
            let key = layout::corrections_key("t", &id, 1, writer);
            store.put(&key, serde_json::to_vec(&layer).unwrap().into()).await.unwrap();
        }
        let stored = read(&store, "t", &id).await.unwrap();
        assert_eq!((stored.layer.corrections.len(), stored.layer.number), (2, 1));
        assert_eq!(stored.tag, "1-aa.1-bb");
    }
}
