//! One upload, one job, whatever Redis forgets.

use super::*;
use crate::testing::{RedisServer, folder};
use crate::{Manifest, write_manifest};

/// A recording whose upload is complete, and its job.
async fn uploaded(store: &Store, dedupe: &str) -> (Manifest, JobSpec) {
    let mut manifest = Manifest::new("t", layout::new_recording_id());
    manifest.state = State::Queued;
    manifest.due_at_ms = Some(7);
    manifest.dedupe = Some(dedupe.into());
    write_manifest(store, &manifest).await.unwrap();
    let job = JobSpec::for_recording(&manifest);
    (manifest, job)
}

async fn duplicate_of(store: &Store, job: &JobSpec) -> Option<String> {
    let value = job.dedupe.as_deref().unwrap();
    find_duplicate(store, "t", value, &job.recording).await.unwrap()
}

#[tokio::test]
async fn the_same_content_is_one_job_even_after_a_flush() {
    let (store, _folder) = folder().await;
    let redis = RedisServer::start().await;
    let queue = Queue::connect(&redis.settings()).await.unwrap();
    let ((mut manifest, first), (_, second)) =
        (uploaded(&store, "u:hash").await, uploaded(&store, "u:hash").await);
    assert!(matches!(submit(&store, &queue, &first).await.unwrap(), Submission::Queued));
    assert_eq!(read(&store, "t", &first.recording).await.unwrap().unwrap().job, first);
    assert_eq!(duplicate_of(&store, &first).await, None, "not of itself");
    // Two at once: the queue distinguishes them.
    let Submission::Duplicate { recording } = submit(&store, &queue, &second).await.unwrap() else {
        panic!("queued twice");
    };
    assert_eq!(recording, first.recording);
    assert_eq!(read(&store, "t", &second.recording).await.unwrap(), None);

    redis.flush().await;
    assert_eq!(duplicate_of(&store, &second).await, Some(first.recording.clone()));
    // Over and well: still the same recording, though its marker is gone.
    manifest.state = State::Ready;
    manifest.fence = 1;
    write_manifest(&store, &manifest).await.unwrap();
    clear(&store, "t", &first.recording).await.unwrap();
    assert_eq!(duplicate_of(&store, &second).await, Some(first.recording.clone()));
    // Failed: the upload may be tried again.
    manifest.state = State::Failed;
    manifest.fence = 2;
    write_manifest(&store, &manifest).await.unwrap();
    assert_eq!(duplicate_of(&store, &second).await, None);
    assert!(matches!(submit(&store, &queue, &second).await.unwrap(), Submission::Queued));
}

#[tokio::test]
async fn redis_away_leaves_the_marker_and_the_value() {
    let (store, _folder) = folder().await;
    let mut redis = RedisServer::start().await;
    let queue = Queue::connect(&redis.settings()).await.unwrap();
    redis.stop();
    let (_, job) = uploaded(&store, "u:hash").await;
    let Submission::Deferred(error) = submit(&store, &queue, &job).await.unwrap() else {
        panic!("queued without Redis");
    };
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(read(&store, "t", &job.recording).await.unwrap().is_some());
    let (_, again) = uploaded(&store, "u:hash").await;
    assert_eq!(duplicate_of(&store, &again).await, Some(job.recording.clone()));
    redis.resume().await;
    let queue = Queue::connect(&redis.settings()).await.unwrap();
    let done = crate::rebuild::pending(&store, &queue).await.unwrap();
    assert_eq!(done.enqueued, [("t".to_string(), job.recording.clone())]);
    assert_eq!(queue.job("t", &job.recording).await.unwrap().unwrap().due_at_ms, Some(7));
}

#[tokio::test]
async fn a_crash_between_marker_and_queue_is_made_good_by_either_side() {
    let (store, _folder) = folder().await;
    let redis = RedisServer::start().await;
    let queue = Queue::connect(&redis.settings()).await.unwrap();
    // The server died after the marker: the sweeper queues the job.
    let (_, swept) = uploaded(&store, "u:one").await;
    mark(&store, &swept).await.unwrap();
    let done = crate::rebuild::pending(&store, &queue).await.unwrap();
    assert_eq!(done.enqueued, [("t".to_string(), swept.recording.clone())]);
    // The upload is finished again, after the sweeper or before it: one job either way.
    assert!(matches!(submit(&store, &queue, &swept).await.unwrap(), Submission::Queued));
    let (_, finished) = uploaded(&store, "u:two").await;
    mark(&store, &finished).await.unwrap();
    assert!(matches!(submit(&store, &queue, &finished).await.unwrap(), Submission::Queued));
    assert!(crate::rebuild::pending(&store, &queue).await.unwrap().enqueued.is_empty());
    assert_eq!(queue.jobs(None, crate::JobFilter::Open, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_deleted_recording_stands_for_nothing_although_the_queue_knows_it() {
    let (store, _folder) = folder().await;
    let redis = RedisServer::start().await;
    let queue = Queue::connect(&redis.settings()).await.unwrap();
    let ((deleted, first), (_, second)) =
        (uploaded(&store, "u:hash").await, uploaded(&store, "u:hash").await);
    assert!(matches!(submit(&store, &queue, &first).await.unwrap(), Submission::Queued));
    // Its deletion was cut off right after the tombstone.
    crate::deletion::bury(&store, "t", &deleted.recording).await.unwrap();
    assert!(matches!(submit(&store, &queue, &second).await.unwrap(), Submission::Queued));
    assert!(queue.job("t", &first.recording).await.unwrap().is_none());
    let (_, third) = uploaded(&store, "u:hash").await;
    let Submission::Duplicate { recording } = submit(&store, &queue, &third).await.unwrap() else {
        panic!("queued twice");
    };
    assert_eq!(recording, second.recording);
}
