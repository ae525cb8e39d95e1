//! Listing and deleting by prefix, as a stream and as a batch.

use std::pin::pin;
use std::time::Duration;

use futures_util::{Stream, TryStreamExt, stream};

use super::{Listed, Store};
use crate::{Error, Result};

/// Keys of one page: five of S3's own pages, and few walks of a folder.
const PAGE_KEYS: usize = 5_000;

/// Lists everything under a prefix in byte order, page by page. Objects may be deleted meanwhile.
pub fn list_all<'a>(store: &'a Store, prefix: &'a str) -> impl Stream<Item = Result<Listed>> + 'a {
    list_all_of(store, prefix.to_owned())
}

/// The same of a prefix that the stream owns.
pub(crate) fn list_all_of(store: &Store, prefix: String) -> impl Stream<Item = Result<Listed>> + '_ {
    pages(store, prefix, Duration::MAX).map_ok(|page| stream::iter(page.into_iter().map(Ok))).try_flatten()
}

/// Every key under a prefix. Each page has `limit`: a long listing is no reason to give up.
pub(crate) async fn all_keys(store: &Store, prefix: &str, limit: Duration) -> Result<Vec<String>> {
    let mut pages = pin!(pages(store, prefix.to_owned(), limit));
    let mut keys = Vec::new();
    while let Some(page) = pages.try_next().await? {
        keys.extend(page.into_iter().map(|object| object.key));
    }
    Ok(keys)
}

fn pages(store: &Store, prefix: String, limit: Duration) -> impl Stream<Item = Result<Vec<Listed>>> + '_ {
    // The key after which the next page begins; `None` after the last page.
    stream::try_unfold((prefix, Some(String::new())), move |(prefix, after)| async move {
        let Some(after) = after else { return Ok(None) };
        let after = Some(after.as_str()).filter(|after| !after.is_empty());
        let page = in_time(limit, store.list(&prefix, after, PAGE_KEYS)).await?;
        let next = page.last().filter(|_| page.len() == PAGE_KEYS).map(|last| last.key.clone());
        Ok(Some((page, (prefix, next))))
    })
}

/// Deletes what `is_wanted` names under a prefix, and returns the number of objects.
///
/// # Errors
/// If storage does not answer.
pub async fn delete_where(store: &Store, prefix: &str, is_wanted: impl Fn(&str) -> bool) -> Result<u64> {
    let mut pages = pin!(pages(store, prefix.to_owned(), Duration::MAX));
    let mut deleted = 0;
    while let Some(page) = pages.try_next().await? {
        let keys: Vec<String> =
            page.into_iter().map(|object| object.key).filter(|key| is_wanted(key)).collect();
        store.delete_many(&keys).await?;
        deleted += keys.len() as u64;
    }
    Ok(deleted)
}

/// Deletes everything under a prefix, which must end with a slash, until nothing is left. Returns
/// the number of objects.
///
/// # Errors
/// If the prefix is no folder, or storage does not answer.
pub async fn delete_prefix(store: &Store, prefix: &str) -> Result<u64> {
    if !prefix.ends_with('/') || prefix.len() < 2 {
        return Err(Error::invalid("only a folder can be removed"));
    }
    let mut deleted = 0;
    loop {
        match delete_where(store, prefix, |_| true).await? {
            0 => return Ok(deleted),
            more => deleted += more,
        }
    }
}

/// Waits for storage at most so long.
pub(crate) async fn in_time<T>(limit: Duration, request: impl Future<Output = Result<T>>) -> Result<T> {
    let late = |_| Err(Error::unavailable("object storage did not answer in time"));
    tokio::time::timeout(limit, request).await.unwrap_or_else(late)
}
