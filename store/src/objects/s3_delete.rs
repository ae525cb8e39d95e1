//! Removing many objects of a bucket: a thousand with one request, where the server can do that.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{Delete, Error as Refused, ObjectIdentifier};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::s3_client::{classify, from_sdk, retry};
use crate::{Error, Kind, Result};

/// Most keys of one `DeleteObjects` request.
const MAX_KEYS: usize = 1_000;
/// Requests at once where the server takes single keys only.
const MAX_DELETES_AT_ONCE: usize = 16;

/// Removes objects of one bucket.
pub(super) struct Remover<'a> {
    pub(super) client: &'a Client,
    pub(super) bucket: &'a str,
    pub(super) retry_for: Duration,
}

impl Remover<'_> {
    /// Removes one object; one that is not there is fine.
    pub(super) async fn one(&self, key: &str) -> Result<()> {
        let deleted = retry(self.retry_for, || async {
            let delete = self.client.delete_object().bucket(self.bucket).key(key);
            delete.send().await.map(drop).map_err(from_sdk)
        })
        .await;
        fine_if_absent(deleted)
    }

    /// Removes objects by their full keys; those that are not there are fine.
    pub(super) async fn many(&self, keys: &[String]) -> Result<()> {
        for batch in keys.chunks(MAX_KEYS) {
            match self.batch(batch).await {
                // Google's S3 API has no such request, and some servers want it signed otherwise.
                Err(error) if !error.is_transient() => {
                    tracing::debug!(%error, "batch not deleted at once, deleting single objects");
                    self.singly(batch).await?;
                }
                deleted => deleted?,
            }
        }
        Ok(())
    }

    async fn batch(&self, keys: &[String]) -> Result<()> {
        let objects = keys.iter().map(|key| ObjectIdentifier::builder().key(key).build());
        let objects = objects.collect::<std::result::Result<Vec<_>, _>>().map_err(unbuilt)?;
        let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build().map_err(unbuilt)?;
        // Sent again after a failure, it removes what is left: an absent key is no error.
        retry(self.retry_for, || async {
            let request = self.client.delete_objects().bucket(self.bucket).delete(delete.clone());
            let answer = request.send().await.map_err(from_sdk)?;
            answer.errors().iter().filter_map(refused).next().map_or(Ok(()), Err)
        })
        .await
    }

    async fn singly(&self, keys: &[String]) -> Result<()> {
        let deletes: Vec<_> = keys.iter().map(|key| self.one(key)).collect();
        stream::iter(deletes).buffer_unordered(MAX_DELETES_AT_ONCE).try_collect().await
    }
}

/// The error of one key in an answer; `None` if the key is not there, which is fine.
fn refused(key: &Refused) -> Option<Error> {
    let (kind, message) = classify(0, key.code().unwrap_or_default());
    (kind != Kind::NotFound).then(|| Error::new(kind, message))
}

fn unbuilt(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::internal("a request to object storage cannot be built").with_source(error)
}

/// Removing what is not there succeeds.
pub(super) fn fine_if_absent(done: Result<()>) -> Result<()> {
    match done {
        Err(error) if error.kind == Kind::NotFound => Ok(()),
        done => done,
    }
}
