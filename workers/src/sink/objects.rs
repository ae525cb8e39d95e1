//! Outputs into object storage, hashed on the way.

use chalkstream_store::{Kind, ObjectFacts, Store};
use futures_util::future::BoxFuture;

use super::{Collected, Taken, playlist};
use crate::failure::{Cause, StepFailure};
use crate::growth::Growth;
use crate::layout;
use crate::runner::outputs::{Output, OutputSink, Segment};

/// Whether the lease an attempt works under still holds.
pub trait Holds: Send + Sync {
    /// Answers when the lease is known to hold; an error when it is lost. A worker that slept past its lease waits
    /// here for the queue's word before it writes anything more.
    fn holds(&self) -> BoxFuture<'_, Result<(), StepFailure>>;
}

/// Uploads outputs under the keys of one attempt.
pub struct ObjectSink<'a> {
    store: &'a Store,
    prefix: String,
    fence: u64,
    lease: &'a dyn Holds,
    growth: Option<&'a Growth<'a>>,
    collected: Collected,
}

impl<'a> ObjectSink<'a> {
    /// Uploads below `prefix` (`{tenant}/{recording}/`).
    pub fn new(store: &'a Store, prefix: String, fence: u64, lease: &'a dyn Holds) -> Self {
        Self { store, prefix, fence, lease, growth: None, collected: Collected::default() }
    }

    /// Also tells of a rendition as it grows.
    pub fn following(self, growth: Option<&'a Growth<'a>>) -> Self {
        Self { growth, ..self }
    }

    /// What was taken.
    pub fn into_taken(self) -> Taken {
        self.collected.into_taken()
    }
}

impl OutputSink for ObjectSink<'_> {
    fn take(&self, output: Output) -> BoxFuture<'_, Result<(), StepFailure>> {
        Box::pin(async move {
            self.lease.holds().await?;
            let text = playlist(&output.path, &output.file, output.size_bytes).await?;
            let key = format!("{}{}", self.prefix, layout::object(&output.path, self.fence));
            if let Some(growth) = self.growth.filter(|_| output.path.ends_with("/init.mp4")) {
                growth.init(&output.path, &tokio::fs::read(&output.file).await.map_err(StepFailure::ours)?);
            }
            let facts: ObjectFacts = self.store.put_file(&key, &output.file).await.map_err(storage)?;
            if facts.size_bytes != output.size_bytes {
                return Err(StepFailure::of(Cause::Unverified, "an output changed after it was announced"));
            }
            let path = output.path.clone();
            self.collected.add(output.path, facts, text)?;
            match self.growth {
                Some(growth) => growth.stored(&path).await,
                None => Ok(()),
            }
        })
    }

    fn segment(&self, segment: Segment) {
        if let Some(growth) = self.growth {
            growth.announced(segment);
        }
    }
}

/// A storage error as a step's failure. A refusal (a wrong key, a folder we may not write to) passes as an outage
/// does, when someone has put it right; what is gone or broken does not.
pub(crate) fn storage(error: chalkstream_store::Error) -> StepFailure {
    let cause = match error.kind {
        Kind::Unavailable | Kind::Internal => Cause::Storage,
        _ => Cause::Ours,
    };
    StepFailure::of(cause, error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use chalkstream_config as config;

    use super::*;

    /// A lease that holds, or does not.
    struct Lease(bool);

    impl Holds for Lease {
        fn holds(&self) -> BoxFuture<'_, Result<(), StepFailure>> {
            let held = if self.0 { Ok(()) } else { Err(StepFailure::of(Cause::Cancelled, "lost")) };
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
        let taken = sink.into_taken();
        assert_eq!(taken.playlists["video/v240/index.m3u8"], "#EXTM3U\n");
        assert_eq!(taken.outputs["video/v240/index.m3u8"].size_bytes, 8);
    }

    #[test]
    fn an_outage_is_told_from_what_is_gone_or_broken() {
        for (kind, cause) in [
            (Kind::Unavailable, Cause::Storage),
            (Kind::Internal, Cause::Storage),
            (Kind::NotFound, Cause::Ours),
            (Kind::Corrupt, Cause::Ours),
        ] {
            assert_eq!(storage(chalkstream_store::Error::new(kind, "x")).cause, cause, "{kind:?}");
        }
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
