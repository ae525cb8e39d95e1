//! Recordings that were refused keep their source for some days: a limit may be raised, or a
//! decoder installed, and then it can be tried again.
//!
//! A marker in storage says since when. It names the fence of the manifest that says so, and counts
//! only while that is the newest one.

use std::pin::pin;

use bytes::Bytes;
use futures_util::TryStreamExt;

use crate::clock::now_ms;
use crate::failure::Blame;
use crate::objects::list_all;
use crate::{
    Kind, Manifest, Result, State, Store, delete_prefix, layout, read_manifest, submit, write_manifest,
};

impl Manifest {
    /// Whether it was refused: it failed by its own fault.
    pub fn is_refused(&self) -> bool {
        let failure = self.failure.as_ref();
        self.state == State::Failed && failure.is_some_and(|failure| failure.blame == Blame::Input)
    }
}

/// Notes that a recording was refused, so that its source goes when its time is over.
///
/// # Errors
/// If storage does not answer.
pub async fn mark(store: &Store, manifest: &Manifest) -> Result<()> {
    let key = layout::refused_key(&manifest.tenant, now_ms(), manifest.fence, &manifest.recording);
    store.put(&key, Bytes::new()).await
}

/// Removes the sources of recordings that were refused more than `kept_ms` ago, and returns their
/// number. What failed otherwise, or was tried again, is left alone.
///
/// # Errors
/// If storage does not answer.
pub async fn expire(store: &Store, kept_ms: u64) -> Result<u64> {
    let before_ms = now_ms().saturating_sub(kept_ms);
    let mut expired = 0;
    for tenant in store.list_dirs("").await?.iter().filter(|tenant| layout::valid_tenant(tenant)) {
        let prefix = layout::refused_prefix(tenant);
        let mut markers = pin!(list_all(store, &prefix));
        while let Some(marker) = markers.try_next().await? {
            let Some((at_ms, fence, recording)) = layout::parse_refused(&marker.key, &prefix) else {
                continue;
            };
            // They are listed by their time.
            if at_ms > before_ms {
                break;
            }
            match remove_source(store, tenant, recording, fence).await {
                Ok(true) => {
                    expired += 1;
                    tracing::info!(recording_id = recording, tenant_id = tenant, "refused source removed");
                }
                Ok(false) => {}
                // The marker stays, and the others' time goes on.
                Err(error) if error.kind == Kind::Corrupt => {
                    let (recording_id, tenant_id) = (recording, tenant.as_str());
                    tracing::error!(recording_id, tenant_id, %error, "manifest cannot be read");
                    continue;
                }
                Err(error) => return Err(error),
            }
            store.delete(&marker.key).await?;
        }
    }
    Ok(expired)
}

async fn remove_source(store: &Store, tenant: &str, recording: &str, fence: u64) -> Result<bool> {
    let Some(mut manifest) = read_manifest(store, tenant, recording).await? else { return Ok(false) };
    let is_pending = submit::read(store, tenant, recording).await?.is_some();
    // This very refusal, or this very removal, which was cut short.
    let is_same = manifest.fence == fence || manifest.fence == fence + 1;
    if !is_same || !manifest.is_refused() || is_pending {
        return Ok(false);
    }
    // First no one may rely on it.
    manifest.objects.retain(|key, _| !key.starts_with("source/"));
    manifest.fence = fence + 1;
    write_manifest(store, &manifest).await?;
    // A retry may have come first: its marker precedes all else that it does.
    let newest = read_manifest(store, tenant, recording).await?;
    let is_newest = newest.is_some_and(|newest| newest.fence == manifest.fence);
    if !is_newest || submit::read(store, tenant, recording).await?.is_some() {
        return Ok(false);
    }
    delete_prefix(store, &layout::object_key(tenant, recording, "source/")).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ObjectFacts;
    use crate::failure::Failure;
    use crate::testing::folder;

    async fn failed(store: &Store, blame: Blame) -> Manifest {
        let mut manifest = Manifest::new("t", layout::new_recording_id());
        manifest.fence = 7;
        manifest.state = State::Failed;
        let (code, message, step) = ("x".into(), "X.".into(), "inspect".into());
        manifest.failure = Some(Failure { code, message, step, blame });
        let facts = ObjectFacts { size_bytes: 1, sha256: String::new() };
        manifest.objects.insert("source/original.mp4".into(), facts);
        store.put(&source(&manifest), Bytes::from_static(b"x")).await.unwrap();
        write_manifest(store, &manifest).await.unwrap();
        mark(store, &manifest).await.unwrap();
        manifest
    }

    fn source(manifest: &Manifest) -> String {
        layout::object_key("t", &manifest.recording, "source/original.mp4")
    }

    #[tokio::test]
    async fn a_refused_source_goes_when_its_time_is_over_and_no_other_does() {
        let (store, _folder) = folder().await;
        let refused = failed(&store, Blame::Input).await;
        let other = failed(&store, Blame::Internal).await;
        let mut again = failed(&store, Blame::Input).await;
        again.fence = 1_800_000_000_000;
        again.state = State::Queued;
        write_manifest(&store, &again).await.unwrap();

        assert_eq!(expire(&store, 60_000).await.unwrap(), 0);
        assert!(store.get(&source(&refused)).await.is_ok());
        assert_eq!(expire(&store, 0).await.unwrap(), 1);
        assert!(store.get(&source(&refused)).await.is_err());
        let manifest = read_manifest(&store, "t", &refused.recording).await.unwrap().unwrap();
        assert!(manifest.is_refused() && manifest.objects.is_empty(), "why stays, so a retry is refused");
        for kept in [&other, &again] {
            assert!(store.get(&source(kept)).await.is_ok());
        }
        assert!(store.list(&layout::refused_prefix("t"), None, 10).await.unwrap().is_empty());
        assert_eq!(expire(&store, 0).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_manifest_that_cannot_be_read_does_not_keep_the_others() {
        let (store, _folder) = folder().await;
        let unreadable = failed(&store, Blame::Input).await;
        let other = failed(&store, Blame::Input).await;
        let key = layout::manifest_key("t", &unreadable.recording, unreadable.fence);
        store.put(&key, Bytes::from_static(b"{")).await.unwrap();
        assert_eq!(expire(&store, 0).await.unwrap(), 1);
        assert!(store.get(&source(&unreadable)).await.is_ok());
        assert!(store.get(&source(&other)).await.is_err());
        let markers = store.list(&layout::refused_prefix("t"), None, 10).await.unwrap();
        assert_eq!(markers.len(), 1, "it is tried again");
    }

    #[tokio::test]
    async fn a_removal_that_was_cut_short_is_finished() {
        let (store, _folder) = folder().await;
        let mut refused = failed(&store, Blame::Input).await;
        refused.fence += 1;
        refused.objects.clear();
        write_manifest(&store, &refused).await.unwrap();
        assert_eq!(expire(&store, 0).await.unwrap(), 1);
        assert!(store.get(&source(&refused)).await.is_err());
    }
}
