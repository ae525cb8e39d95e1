//! Uploads when servers die, pause, or write late.
#![allow(clippy::unwrap_used)]

use axum::body::Body;
use bytes::Bytes;
use chalkstream_store::objects::sha256_hex;
use chalkstream_store::{
    Blame, Failure, JobSpec, Kind, Manifest, Queue, State, layout, read_manifest, rebuild, submit,
    write_manifest,
};
use reqwest::{Method, StatusCode};
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;

use super::ingest::Ingest;
use super::service::Uploads;
use super::state::{self, Upload};
use super::tests::{MIB, begin, bytes, code, create, durable, offset, patch, path, state_of, text};
use super::{discard, finish, housekeeping};
use crate::app::App;
use crate::testing::{Server, TENANT, World, until};

/// The upload part of a server, for what no request does.
pub async fn inside(world: &World) -> Uploads {
    let mut settings = world.settings.clone();
    settings.server.index_path = world.folder.path().join("inside");
    let bound = "127.0.0.1:1".parse().unwrap();
    App::start(settings, bound, CancellationToken::new()).await.unwrap().uploads.clone()
}

async fn recording_state(world: &World, id: &str) -> Option<State> {
    read_manifest(&world.store, TENANT, id).await.unwrap().map(|manifest| manifest.state)
}

/// Names of all objects of uploads.
pub async fn kept(world: &World) -> Vec<String> {
    let listed = world.store.list(&layout::uploads_prefix(TENANT), None, 100).await.unwrap();
    listed.into_iter().map(|object| object.key.rsplit('/').next().unwrap().to_owned()).collect()
}

/// Sends the first `to` bytes, then the connection breaks.
async fn cut_at(world: &World, server: &Server, path: &str, file: &[u8], to: usize) {
    let mut line = begin(server, path, 0, file.len(), &file[..to]).await;
    line.shutdown().await.unwrap();
    drop(line);
    durable(world, path.rsplit('/').next().unwrap(), to).await;
}

async fn delete(server: &Server, id: &str) {
    let response = server.request(Method::DELETE, &format!("/v1/recordings/{id}")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_writer_undoes_no_finished_upload() {
    let world = World::new().await;
    let server = world.server("a").await;
    let file = bytes(MIB, 1);
    let created = create(&server, file.len(), None).await;
    let (path, id) = (path(&created), text(&created, "chalkstream-recording"));
    let mut late = state_of(&world, &id).await;
    assert_eq!(patch(&server, &path, 0, file.clone()).await.status(), StatusCode::NO_CONTENT);

    late.expires_at_ms = 1;
    state::write(&world.store, &late).await.unwrap();
    assert_eq!(offset(&server, &path).await, file.len(), "acknowledged stays acknowledged");
    let uploads = inside(&world).await;
    until("its open state is gone again", || async {
        housekeeping::clean_up(&uploads, TENANT).await.unwrap();
        (kept(&world).await == [format!("{id}.done")]).then_some(())
    })
    .await;
    // Even without the record of it, a recording does not belong to an upload.
    discard::discard(&uploads, &late).await.unwrap();
    assert_eq!(recording_state(&world, &id).await, Some(State::Queued));
    world.store.head(&late.source_key()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_was_overtaken_stops() {
    let world = World::new().await;
    let server = world.server("a").await;
    let created = create(&server, MIB, None).await;
    let id = text(&created, "chalkstream-recording");
    let uploads = inside(&world).await;
    let (mut one, mut two) = (state_of(&world, &id).await, state_of(&world, &id).await);
    let mut paused = Ingest::resume(&uploads, &mut one).await.unwrap();
    let mut newer = Ingest::resume(&uploads, &mut two).await.unwrap();
    let stop = CancellationToken::new();
    newer.take(Body::from(vec![2; 1000]), &stop).await.unwrap();
    let refused = paused.take(Body::from(vec![1; 500]), &stop).await.unwrap_err();
    assert_eq!(refused.code(), "upload_locked");
    assert_eq!(offset(&server, &path(&created)).await, 1000);
    let tail = world.store.get(&layout::upload_tail_key(TENANT, &id)).await.unwrap();
    assert!(tail == vec![2; 1000], "nothing was written over the newer bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_were_written_over_are_asked_for_again() {
    let world = World::new().await;
    let server = world.server("a").await;
    let file = bytes(MIB, 3);
    let created = create(&server, file.len(), None).await;
    let (path, id) = (path(&created), text(&created, "chalkstream-recording"));
    cut_at(&world, &server, &path, &file, 1000).await;
    world.store.put(&layout::upload_tail_key(TENANT, &id), Bytes::from(vec![0; 2000])).await.unwrap();

    let response = patch(&server, &path, 1000, file[1000..].to_vec()).await;
    assert_eq!(text(&response, "upload-offset"), "0");
    assert_eq!(code(response).await, (409, "upload_offset".into()));
    assert_eq!(patch(&server, &path, 0, file.clone()).await.status(), StatusCode::NO_CONTENT);
    let source = world.store.get(&state_of(&world, &id).await.source_key()).await.unwrap();
    assert!(source == file);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_last_byte_is_durable_is_finished_by_whoever_finds_it() {
    let world = World::new().await;
    let server = world.server("a").await;
    let mut ids = Vec::new();
    for seed in [4, 5] {
        let file = bytes(1000, seed);
        let created = create(&server, file.len(), None).await;
        let id = text(&created, "chalkstream-recording");
        // The server died after it wrote the tail, before it marked the upload complete.
        world.store.put(&layout::upload_tail_key(TENANT, &id), Bytes::from(file.clone())).await.unwrap();
        let mut upload = state_of(&world, &id).await;
        upload.keep_tail(&file);
        upload.expires_at_ms = 1;
        state::write(&world.store, &upload).await.unwrap();
        ids.push((path(&created), id));
    }
    let (path, id) = &ids[0];
    assert_eq!(offset(&server, path).await, 1000);
    assert_eq!(recording_state(&world, id).await, Some(State::Queued), "who sees all bytes there is done");
    let uploads = inside(&world).await;
    let (_, id) = &ids[1];
    until("it is finished although nobody asks", || async {
        housekeeping::clean_up(&uploads, TENANT).await.unwrap();
        (recording_state(&world, id).await == Some(State::Queued)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_the_marker_and_the_queue_costs_no_job_and_makes_no_second_one() {
    let world = World::new().await;
    let server = world.server("a").await;
    let queue = Queue::connect(&world.settings.redis).await.unwrap();
    let uploads = inside(&world).await;
    for (seed, swept) in [(10, false), (11, true)] {
        let file = bytes(1000, seed);
        let created = create(&server, file.len(), None).await;
        let (path, id) = (path(&created), text(&created, "chalkstream-recording"));
        // What a server that dies right after the marker leaves behind.
        world.store.put(&layout::upload_tail_key(TENANT, &id), Bytes::from(file.clone())).await.unwrap();
        let mut upload = state_of(&world, &id).await;
        upload.keep_tail(&file);
        upload.complete = true;
        state::write(&world.store, &upload).await.unwrap();
        world.store.put(&upload.source_key(), Bytes::from(file.clone())).await.unwrap();
        let manifest = finish::queued_manifest(&uploads, &upload, &sha256_hex(&file)).await.unwrap();
        write_manifest(&world.store, &manifest).await.unwrap();
        let job = JobSpec::for_recording(&manifest);
        submit::mark(&world.store, &job).await.unwrap();
        assert!(queue.job(TENANT, &id).await.unwrap().is_none());
        if swept {
            // A worker's sweeper finds the marker before the client comes back.
            rebuild::pending(&world.store, &queue).await.unwrap();
            assert!(queue.job(TENANT, &id).await.unwrap().is_some());
        }

        assert_eq!(offset(&server, &path).await, file.len(), "the client learns that it is done");
        let view = queue.job(TENANT, &id).await.unwrap().unwrap();
        assert_eq!(view.steps.len(), 1, "one job, one step");
        assert_eq!(state_of(&world, &id).await.finished.unwrap().recording, id);
        assert!(submit::read(&world.store, TENANT, &id).await.unwrap().is_some());
        let again = create(&server, file.len(), None).await;
        let response = patch(&server, &self::path(&again), 0, file.clone()).await;
        assert_eq!(text(&response, "chalkstream-recording"), id, "the same file is still one recording");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_recording_is_gone_or_failed_by_our_fault_makes_a_new_one() {
    let world = World::new().await;
    let server = world.server("a").await;
    let queue = Queue::connect(&world.settings.redis).await.unwrap();
    let file = bytes(1000, 6);
    let mut ids = Vec::new();
    for round in 0..4 {
        let created = create(&server, file.len(), Some("k")).await;
        assert_eq!(created.status(), StatusCode::CREATED, "round {round}");
        let id = text(&created, "chalkstream-recording");
        assert!(!ids.contains(&id));
        let response = patch(&server, &path(&created), 0, file.clone()).await;
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert_eq!(text(&response, "chalkstream-recording"), id, "nor is it another's");
        let mut manifest = read_manifest(&world.store, TENANT, &id).await.unwrap().unwrap();
        manifest.fence = u64::MAX;
        match round {
            0 => delete(&server, &id).await,
            1 => manifest.state = State::Cancelled,
            _ => manifest.state = State::Failed,
        }
        if round > 0 {
            let blame = if round == 2 { Blame::Internal } else { Blame::Input };
            let (code, message, step) = ("x".into(), "X.".into(), "inspect".into());
            manifest.failure = Some(Failure { code, message, step, blame });
            write_manifest(&world.store, &manifest).await.unwrap();
            queue.cancel(TENANT, &id).await.unwrap();
        }
        ids.push(id);
    }
    let again = create(&server, file.len(), Some("k")).await;
    assert_eq!(again.status(), StatusCode::OK, "the file's own fault stays");
    assert_eq!(Some(&text(&again, "chalkstream-recording")), ids.last());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_deleted_during_its_upload_stays_deleted() {
    let world = World::new().await;
    let server = world.server("a").await;
    let file = bytes(9 * MIB, 7);
    let created = create(&server, file.len(), None).await;
    let (path, id) = (path(&created), text(&created, "chalkstream-recording"));
    let line = begin(&server, &path, 0, file.len(), &file[..8 * MIB + 9]).await;
    until("a part is durable", || async { (!state_of(&world, &id).await.parts.is_empty()).then_some(()) })
        .await;
    let open = state_of(&world, &id).await;
    delete(&server, &id).await;
    drop(line);
    until("the upload is gone", || async { kept(&world).await.is_empty().then_some(()) }).await;
    let response = patch(&server, &path, 8 * MIB + 9, file[8 * MIB + 9..].to_vec()).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    let part =
        world.store.put_part(&open.source_key(), open.multipart.as_ref().unwrap(), 2, Bytes::new()).await;
    assert_eq!(part.unwrap_err().kind, Kind::NotFound, "its parts are dropped");

    // The deletion was cut off before the upload went.
    let created = create(&server, 1000, None).await;
    let (path, id) = (self::path(&created), text(&created, "chalkstream-recording"));
    let mut tombstone = Manifest::new(TENANT, &id);
    (tombstone.fence, tombstone.state) = (1, State::Deleted);
    write_manifest(&world.store, &tombstone).await.unwrap();
    assert_eq!(code(patch(&server, &path, 0, bytes(1000, 8)).await).await, (410, "upload_gone".into()));
    assert_eq!(recording_state(&world, &id).await, Some(State::Deleted));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_upload_that_cannot_be_read_keeps_no_other_and_orphans_are_swept() {
    let world = World::new().await;
    let uploads = inside(&world).await;
    let id = |n: u8| format!("00000000-000{n}-7000-8000-000000000000");
    let key = |name: String| layout::uploads_prefix(TENANT) + &name;
    for name in [format!("{}.json", id(1)), format!("{}.tail", id(2))] {
        world.store.put(&key(name), Bytes::from_static(b"{")).await.unwrap();
    }
    let mut expired = Upload::new(TENANT, 10, 1, super::protocol::UploadMetadata::default(), 0, 1);
    expired.id = id(3);
    state::write(&world.store, &expired).await.unwrap();
    until("only the broken one is left", || async {
        housekeeping::clean_up(&uploads, TENANT).await.unwrap();
        (kept(&world).await == [format!("{}.json", id(1))]).then_some(())
    })
    .await;
}
