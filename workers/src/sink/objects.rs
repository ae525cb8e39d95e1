//! Outputs into object storage, hashed on the way.

use chalkstream_store::{ObjectFacts, Store};
use futures_util::future::BoxFuture;

use super::{Collected, Taken, playlist};
use crate::failure::{Cause, StepFailure};
use crate::layout;
use crate::runner::outputs::{Output, OutputSink};

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
    collected: Collected,
}

impl<'a> ObjectSink<'a> {
    /// Uploads below `prefix` (`{tenant}/{recording}/`).
    pub fn new(store: &'a Store, prefix: String, fence: u64, lease: &'a dyn Holds) -> Self {
        Self { store, prefix, fence, lease, collected: Collected::default() }
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
            let facts: ObjectFacts = self.store.put_file(&key, &output.file).await.map_err(storage)?;
            if facts.size_bytes != output.size_bytes {
                return Err(StepFailure::of(Cause::Unverified, "an output changed after it was announced"));
            }
            self.collected.add(output.path, facts, text);
            Ok(())
        })
    }
}

/// A storage error as a step's failure.
pub(crate) fn storage(error: chalkstream_store::Error) -> StepFailure {
    StepFailure::of(if error.retryable() { Cause::Storage } else { Cause::Ours }, error)
}
