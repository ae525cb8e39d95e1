//! Outputs into object storage, hashed on the way.

use chalkstream_store::{ObjectFacts, Store};
use futures_util::future::BoxFuture;

use super::{CollectedOutputs, Collector, keys, playlist};
use crate::failure::{Cause, StepFailure};
use crate::lease::LeaseGuard;
use crate::runner::outputs::{Output, OutputSink};

/// Uploads outputs under the keys of one attempt.
pub struct ObjectSink<'a> {
    store: &'a Store,
    prefix: String,
    fence: u64,
    lease: &'a dyn LeaseGuard,
    collected: Collector,
}

impl<'a> ObjectSink<'a> {
    /// Uploads below `prefix` (`{tenant}/{recording}/`).
    pub fn new(store: &'a Store, prefix: String, fence: u64, lease: &'a dyn LeaseGuard) -> Self {
        Self { store, prefix, fence, lease, collected: Collector::default() }
    }

    /// The outputs that were uploaded.
    pub fn into_outputs(self) -> CollectedOutputs {
        self.collected.into_outputs()
    }
}

impl OutputSink for ObjectSink<'_> {
    fn take(&self, output: Output) -> BoxFuture<'_, Result<(), StepFailure>> {
        Box::pin(async move {
            self.lease.ensure_held().await?;
            let text = playlist(&output.path, &output.file, output.size_bytes).await?;
            let key = format!("{}{}", self.prefix, keys::object(&output.path, self.fence));
            let stored = self.store.put_file(&key, &output.file).await;
            let facts: ObjectFacts = stored.map_err(StepFailure::storage)?;
            if facts.size_bytes != output.size_bytes {
                return Err(StepFailure::new(Cause::Unverified, "an output changed after it was announced"));
            }
            self.collected.add(output.path, facts, text)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use chalkstream_config as config;

    use super::*;

    /// A lease that holds, or does not.
    struct Lease(bool);

    impl LeaseGuard for Lease {
        fn ensure_held(&self) -> BoxFuture<'_, Result<(), StepFailure>> {
            let held = if self.0 { Ok(()) } else { Err(StepFailure::new(Cause::Cancelled, "lost")) };
            Box::pin(std::future::ready(held))
        }
    }

    async fn store(folder: &Path) -> Store {
        let settings = config::Store { path: folder.join("objects"), ..Default::default() };
        chalkstream_store::open(&settings).await.unwrap()
    }

    fn output(folder: &Path, path: &str, text: &str) -> Output {
        let file = folder.join("made");
        std::fs::write(&file, text).unwrap();
        Output { path: path.into(), file, size_bytes: text.len() as u64 }
    }

    #[tokio::test]
    async fn an_output_goes_under_its_attempts_fence_with_size_and_hash() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        let lease = Lease(true);
        let sink = ObjectSink::new(&store, "t/r/".into(), 7, &lease);
        sink.take(output(folder.path(), "video/v240/index.m3u8", "#EXTM3U\n")).await.unwrap();
        assert_eq!(store.get("t/r/hls/video/7/v240/index.m3u8").await.unwrap(), "#EXTM3U\n");
        let outputs = sink.into_outputs();
        assert_eq!(outputs.playlists["video/v240/index.m3u8"], "#EXTM3U\n");
        assert_eq!(outputs.files["video/v240/index.m3u8"].size_bytes, 8);
    }

    #[tokio::test]
    async fn a_lost_lease_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        let lease = Lease(false);
        let sink = ObjectSink::new(&store, "t/r/".into(), 7, &lease);
        let failure = sink.take(output(folder.path(), "stills/poster.jpg", "x")).await.unwrap_err();
        assert_eq!(failure.cause, Cause::Cancelled);
        assert!(store.list("t/r/", None, 10).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_file_that_changed_after_it_was_announced_is_not_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        let lease = Lease(true);
        let sink = ObjectSink::new(&store, "t/r/".into(), 7, &lease);
        let mut announced = output(folder.path(), "stills/poster.jpg", "four");
        announced.size_bytes = 3;
        assert_eq!(sink.take(announced).await.unwrap_err().cause, Cause::Unverified);
    }
}
