//! One upload, one job, whatever Redis forgets.

use serde_json::Value;

use super::*;
use crate::queue::StepSpec;
use crate::testing::{RedisServer, folder};
use crate::{Manifest, write_manifest};

fn job(dedupe: &str) -> JobSpec {
    let step =
        StepSpec { name: "inspect".into(), needs: vec![], optional: false, priority: 0, input: Value::Null };
    JobSpec {
        tenant: "t".into(),
        recording: layout::new_recording_id(),
        steps: vec![step],
        due_at_ms: Some(7),
        dedupe: Some(dedupe.into()),
        traceparent: None,
    }
}

#[tokio::test]
async fn the_same_content_is_one_job_even_after_a_flush() {
    let (store, _folder) = folder().await;
    let redis = RedisServer::start().await;
    let queue = Queue::connect(&redis.settings()).await.unwrap();
    let (first, second) = (job("u:hash"), job("u:hash"));
    assert!(submit(&store, &queue, &first).await.unwrap().created);
    assert_eq!(read(&store, "t", &first.recording).await.unwrap().unwrap().job, first);
    let same = submit(&store, &queue, &second).await.unwrap();
    assert_eq!(same, Submitted { recording: first.recording.clone(), created: false });
    assert_eq!(read(&store, "t", &second.recording).await.unwrap(), None);

    redis.flush().await;
    assert!(!submit(&store, &queue, &second).await.unwrap().created);
    // Over and well: still the same recording, though its marker is gone.
    let mut manifest = Manifest::new("t", &first.recording);
    manifest.state = State::Ready;
    manifest.fence = 1;
    write_manifest(&store, &manifest).await.unwrap();
    clear(&store, "t", &first.recording).await.unwrap();
    assert_eq!(submit(&store, &queue, &second).await.unwrap().recording, first.recording);
    // Failed: the upload may be tried again.
    manifest.state = State::Failed;
    manifest.fence = 2;
    write_manifest(&store, &manifest).await.unwrap();
    assert!(submit(&store, &queue, &second).await.unwrap().created);
}

#[tokio::test]
async fn redis_away_leaves_the_marker() {
    let (store, _folder) = folder().await;
    let mut redis = RedisServer::start().await;
    let queue = Queue::connect(&redis.settings()).await.unwrap();
    redis.stop();
    let spec = job("u:hash");
    assert_eq!(submit(&store, &queue, &spec).await.unwrap_err().kind, Kind::Unavailable);
    assert!(read(&store, "t", &spec.recording).await.unwrap().is_some());
    redis.resume().await;
    let queue = Queue::connect(&redis.settings()).await.unwrap();
    let done = crate::rebuild::pending(&store, &queue).await.unwrap();
    assert_eq!(done.enqueued, [("t".to_string(), spec.recording.clone())]);
    assert_eq!(queue.job("t", &spec.recording).await.unwrap().unwrap().due_at_ms, Some(7));
}
