//! Writing a recording's manifest, and with it the recording's entry in the lists.

use std::borrow::Cow;

use bytes::Bytes;

use crate::listing::entry;
use crate::recording::{ManifestFolder, NewestObjects};
use crate::{Error, Listed, Manifest, Result, Store, layout};

/// Manifests of a recording that are kept: a reader that listed just before a write still finds its
/// one.
const MAX_MANIFESTS: usize = 3;

/// Writes a manifest under its fence, and lists the recording under its state. A lower fence than
/// the highest there is kept as history and never read.
///
/// # Errors
/// If storage does not answer. What was not done then is done by writing it again.
pub async fn write_manifest(store: &Store, manifest: &Manifest) -> Result<()> {
    let written = put_manifest(store, manifest).await?;
    list_manifest(store, manifest, &written).await
}

/// A manifest in storage.
#[derive(Debug)]
pub struct WrittenManifest {
    key: String,
    size_bytes: u64,
}

/// Writes a manifest alone, for a caller that has to act between this and [`list_manifest`].
///
/// # Errors
/// If storage does not answer.
pub async fn put_manifest(store: &Store, manifest: &Manifest) -> Result<WrittenManifest> {
    let (tenant, recording) = (manifest.tenant.as_str(), manifest.recording.as_str());
    layout::check_ids(tenant, recording)?;
    let body = serde_json::to_vec(manifest)
        .map_err(|e| Error::internal("the manifest cannot be written as json").with_source(e))?;
    let size_bytes = body.len() as u64;
    let key = layout::manifest_key(tenant, recording, manifest.fence);
    store.put(&key, Bytes::from(body)).await?;
    Ok(WrittenManifest { key, size_bytes })
}

/// Lists the recording of a written manifest under its state, and sweeps older manifests.
///
/// # Errors
/// If storage does not answer.
pub async fn list_manifest(store: &Store, manifest: &Manifest, written: &WrittenManifest) -> Result<()> {
    let (tenant, recording) = (manifest.tenant.as_str(), manifest.recording.as_str());
    let mut folder = ManifestFolder::list(store, tenant, recording).await?;
    // The write is done; older ones are swept on the way, and by the next write where this fails.
    for old in folder.manifests.iter().rev().skip(MAX_MANIFESTS) {
        if let Err(error) = store.delete(&old.key).await {
            tracing::debug!(kind = error.kind.as_str(), "an old manifest was not removed");
            break;
        }
    }
    let corrections = folder.newest_corrections();
    let is_written = |newest: &Listed| newest.key == written.key && newest.size_bytes == written.size_bytes;
    let newest = folder.manifests.pop().filter(is_written);
    let known =
        newest.map(|newest| (NewestObjects { manifest: newest, corrections }, Cow::Borrowed(manifest)));
    entry::update(store, tenant, recording, known).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::folder;
    use crate::{Kind, read_manifest};

    #[tokio::test]
    async fn the_highest_fence_wins_and_history_is_swept() {
        let (store, _folder) = folder().await;
        let id = layout::new_recording_id();
        assert_eq!(read_manifest(&store, "t", &id).await.unwrap(), None);
        for fence in [5, 1_700_000_000_000, 7, 1_700_000_000_001, 6, 8, 9] {
            let mut manifest = Manifest::new("t", &id);
            manifest.fence = fence;
            manifest.title = format!("written under {fence}");
            write_manifest(&store, &manifest).await.unwrap();
        }
        let read = read_manifest(&store, "t", &id).await.unwrap().unwrap();
        assert_eq!(read.title, "written under 1700000000001");
        let kept = store.list(&layout::manifest_prefix("t", &id), None, 100).await.unwrap();
        assert_eq!(kept.len(), MAX_MANIFESTS);
        for (tenant, recording) in [("T", id.as_str()), ("t", ".."), ("..", id.as_str()), ("t", "a/b")] {
            assert_eq!(read_manifest(&store, tenant, recording).await.unwrap_err().kind, Kind::InvalidInput);
        }
        store.put(&layout::manifest_key("t", &id, u64::MAX), Bytes::from_static(b"{}")).await.unwrap();
        assert_eq!(read_manifest(&store, "t", &id).await.unwrap_err().kind, Kind::Corrupt);
    }
}
