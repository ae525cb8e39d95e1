//! Outputs into object storage, hashed on the way. Segments of about a minute share an object.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chalkstream_store::{InventoryObject, ObjectFacts, Store};
use futures_util::future::BoxFuture;

use super::shared_files::{SharedFile, SharedFiles};
use super::{CollectedOutputs, Collector, keys, playlist};
use crate::failure::{Cause, StepFailure};
use crate::lease::LeaseGuard;
use crate::outage::wait_out;
use crate::runner::outputs::{Output, OutputSink};

/// Uploads outputs under the keys of one attempt.
pub struct ObjectSink<'a> {
    store: &'a Store,
    prefix: String,
    fence: u64,
    lease: &'a dyn LeaseGuard,
    outage_limit: Duration,
    collected: Collector,
    shared: SharedFiles,
    /// Folder of the rendition whose segments viewers are given at once.
    live: Option<String>,
}

impl<'a> ObjectSink<'a> {
    /// Uploads below `prefix` (`{tenant}/{recording}/`). Segments wait for others below `scratch`.
    pub fn new(
        store: &'a Store,
        prefix: String,
        fence: u64,
        lease: &'a dyn LeaseGuard,
        scratch: &Path,
    ) -> Result<Self, StepFailure> {
        let shared = SharedFiles::new(scratch).map_err(StepFailure::machine)?;
        Ok(Self {
            store,
            prefix,
            fence,
            lease,
            outage_limit: Duration::ZERO,
            collected: Collector::default(),
            shared,
            live: None,
        })
    }

    /// Segments in this folder are objects of their own as well, at once. They are removed when the
    /// manifest names the inventory, or by the sweep at the job's end.
    pub fn with_live(self, folder: String) -> Self {
        Self { live: Some(folder), ..self }
    }

    /// Uploads go on for so long while storage is away.
    pub fn with_outage_limit(self, outage_limit: Duration) -> Self {
        Self { outage_limit, ..self }
    }

    /// Uploads what still waits, and returns all outputs.
    pub async fn finish(self) -> Result<CollectedOutputs, StepFailure> {
        for file in self.shared.rest() {
            self.store_shared(file).await?;
        }
        Ok(self.collected.into_outputs())
    }

    fn key(&self, path: &str) -> String {
        format!("{}{}", self.prefix, keys::object(path, self.fence))
    }

    async fn put(&self, output: &Output) -> Result<ObjectFacts, StepFailure> {
        let key = self.key(&output.path);
        let facts = wait_out(self.outage_limit, || async {
            self.lease.ensure_held().await?;
            self.store.put_file(&key, &output.file).await.map_err(StepFailure::storage)
        })
        .await?;
        if facts.size_bytes != output.size_bytes {
            return Err(StepFailure::new(Cause::Unverified, "an output changed after it was announced"));
        }
        Ok(facts)
    }

    async fn store_shared(&self, file: SharedFile) -> Result<(), StepFailure> {
        let (target, file) = (self.shared.target(&file), Arc::new(file));
        let (joined, joining) = (target.clone(), Arc::clone(&file));
        let parts = tokio::task::spawn_blocking(move || joining.join(&joined));
        let parts = parts.await.map_err(StepFailure::ours)??;
        let size_bytes = parts.iter().map(|part| part.facts.size_bytes).sum();
        let facts = self.put(&Output { path: file.path.clone(), file: target.clone(), size_bytes }).await?;
        tokio::fs::remove_file(&target).await.map_err(StepFailure::machine)?;
        self.collected.add_shared(&file.path, InventoryObject { facts, parts }, file.segments())
    }
}

impl OutputSink for ObjectSink<'_> {
    fn take(&self, output: Output) -> BoxFuture<'_, Result<(), StepFailure>> {
        Box::pin(async move {
            let Some((number, file)) = keys::segment(&output.path) else {
                let text = playlist(&output.path, &output.file, output.size_bytes).await?;
                let facts = self.put(&output).await?;
                return self.collected.add(output.path, facts, text);
            };
            let folder = output.path.rsplit_once('/').map(|(folder, _)| folder);
            if folder == self.live.as_deref() {
                self.put(&output).await?;
            }
            match self.shared.take(output, number, file)? {
                Some(full) => self.store_shared(full).await,
                None => Ok(()),
            }
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
    struct TestLease(bool);

    impl LeaseGuard for TestLease {
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
        let lease = TestLease(true);
        let sink = ObjectSink::new(&store, "t/r/".into(), 7, &lease, folder.path()).unwrap();
        sink.take(output(folder.path(), "video/v240/index.m3u8", "#EXTM3U\n")).await.unwrap();
        assert_eq!(store.get("t/r/hls/video/7/v240/index.m3u8").await.unwrap(), "#EXTM3U\n");
        let outputs = sink.finish().await.unwrap();
        assert_eq!(outputs.playlists["video/v240/index.m3u8"], "#EXTM3U\n");
        assert_eq!(outputs.files["video/v240/index.m3u8"].size_bytes, 8);
    }

    #[tokio::test]
    async fn a_lost_lease_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        let lease = TestLease(false);
        let sink = ObjectSink::new(&store, "t/r/".into(), 7, &lease, folder.path()).unwrap();
        let failure = sink.take(output(folder.path(), "stills/poster.jpg", "x")).await.unwrap_err();
        assert_eq!(failure.cause, Cause::Cancelled);
        assert!(store.list("t/r/", None, 10).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_file_that_changed_after_it_was_announced_is_not_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        let lease = TestLease(true);
        let sink = ObjectSink::new(&store, "t/r/".into(), 7, &lease, folder.path()).unwrap();
        let mut announced = output(folder.path(), "stills/poster.jpg", "four");
        announced.size_bytes = 3;
        assert_eq!(sink.take(announced).await.unwrap_err().cause, Cause::Unverified);
    }

    #[tokio::test]
    async fn segments_share_objects_in_order_and_keep_their_own_facts() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        let lease = TestLease(true);
        let sink = ObjectSink::new(&store, "t/r/".into(), 7, &lease, folder.path()).unwrap();
        // They are taken four at a time, so two may come in any order.
        let numbers: Vec<u32> = (1..=20).chain([22, 21, 24, 25, 23, 26]).collect();
        let text = |number: u32| format!("segment {number};");
        for &number in &numbers {
            let path = format!("video/v240/{number:05}.m4s");
            sink.take(output(folder.path(), &path, &text(number))).await.unwrap();
        }
        sink.take(output(folder.path(), "video/v480/00001.m4s", "dropped")).await.unwrap();
        let first = store.get("t/r/hls/video/7/v240/segments-001.m4s").await.unwrap();
        assert_eq!(first, (1..=24).map(text).collect::<String>());
        assert!(store.head("t/r/hls/video/7/v240/segments-002.m4s").await.is_err());

        let outputs = sink.finish().await.unwrap();
        let facts = &outputs.files["video/v240/00025.m4s"];
        assert_eq!(*facts, ObjectFacts::from_bytes(text(25).as_bytes()));
        let objects = outputs.into_objects(7, |path| !path.starts_with("video/v480/"));
        let names: Vec<_> = objects.keys().map(String::as_str).collect();
        assert_eq!(names, ["hls/video/7/v240/segments-001.m4s", "hls/video/7/v240/segments-002.m4s"]);
        let second = &objects["hls/video/7/v240/segments-002.m4s"];
        assert_eq!(
            second.parts.iter().map(|part| &*part.name).collect::<Vec<_>>(),
            ["00025.m4s", "00026.m4s"]
        );
        let stored = store.get("t/r/hls/video/7/v240/segments-002.m4s").await.unwrap();
        assert_eq!(second.facts, ObjectFacts::from_bytes(&stored));
        let left = std::fs::read_dir(folder.path()).unwrap().flatten();
        let left: Vec<_> = left.map(|entry| entry.file_name()).filter(|name| name != "objects").collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[tokio::test]
    async fn a_live_segment_is_an_object_of_its_own_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        let lease = TestLease(true);
        let sink = ObjectSink::new(&store, "t/r/".into(), 7, &lease, folder.path()).unwrap();
        let sink = sink.with_live("video/v240".into());
        for path in ["video/v240/00001.m4s", "video/v480/00001.m4s"] {
            sink.take(output(folder.path(), path, "frames")).await.unwrap();
        }
        assert_eq!(store.get("t/r/hls/video/7/v240/00001.m4s").await.unwrap(), "frames");
        assert!(store.head("t/r/hls/video/7/v480/00001.m4s").await.is_err());
        let objects = sink.finish().await.unwrap().into_objects(7, |_| true);
        assert!(objects.keys().all(|key| key.ends_with("/segments-001.m4s")), "{objects:?}");
    }

    #[tokio::test]
    async fn a_segment_that_is_announced_twice_or_changes_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        let lease = TestLease(true);
        let path = "video/v240/00001.m4s";
        let sink = ObjectSink::new(&store, "t/r/".into(), 7, &lease, folder.path()).unwrap();
        sink.take(output(folder.path(), path, "x")).await.unwrap();
        let twice = sink.take(output(folder.path(), path, "x")).await.unwrap_err();
        assert_eq!(twice.cause, Cause::Unverified);

        let sink = ObjectSink::new(&store, "t/r/".into(), 7, &lease, folder.path()).unwrap();
        let mut announced = output(folder.path(), path, "four");
        announced.size_bytes = 3;
        sink.take(announced).await.unwrap();
        assert_eq!(sink.finish().await.unwrap_err().cause, Cause::Unverified);
    }
}
