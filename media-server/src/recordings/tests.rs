//! Platforms' requests on recordings, over HTTP.
#![allow(clippy::unwrap_used)]

use chalkstream_store::{
    EventKind, Events, FailureReport, JobSpec, Manifest, Queue, State, StepSpec, read_manifest, submit,
    write_manifest,
};
use futures_util::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::testing::{OTHER, Server, TENANT, World, lesson, until};

async fn json(server: &Server, method: Method, path: &str) -> (StatusCode, Value) {
    let response = server.request(method, path).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

/// A recording whose job waits for a worker.
async fn queued(world: &World, queue: &Queue) -> Manifest {
    let lesson = lesson(&world.store, TENANT).await;
    let mut manifest = lesson.manifest;
    manifest.fence += 1;
    manifest.state = State::Queued;
    manifest.dedupe = Some("content:x".to_owned() + &manifest.recording);
    write_manifest(&world.store, &manifest).await.unwrap();
    submit::submit(&world.store, queue, &JobSpec::for_recording(&manifest)).await.unwrap();
    manifest
}

#[tokio::test(flavor = "multi_thread")]
async fn work_is_cancelled_and_asked_for_again() {
    let world = World::new().await;
    let queue = Queue::connect(&world.settings.redis).await.unwrap();
    let id = queued(&world, &queue).await.recording;
    let server = world.server("a").await;

    let (status, body) = json(&server, Method::POST, &format!("/v1/recordings/{id}/cancel")).await;
    assert_eq!((status, &body["state"]), (StatusCode::OK, &json!("cancelled")), "{body}");
    assert!(submit::read(&world.store, TENANT, &id).await.unwrap().is_none());
    assert!(queue.lease("w", 1000).await.unwrap().is_none(), "no worker gets it");
    let (status, _) = json(&server, Method::POST, &format!("/v1/recordings/{id}/cancel")).await;
    assert_eq!(status, StatusCode::OK, "twice is fine");

    let (status, body) = json(&server, Method::POST, &format!("/v1/recordings/{id}/retry")).await;
    assert_eq!((status, &body["state"]), (StatusCode::ACCEPTED, &json!("queued")), "{body}");
    assert!(submit::read(&world.store, TENANT, &id).await.unwrap().is_some());
    let (status, problem) = json(&server, Method::POST, &format!("/v1/recordings/{id}/retry")).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("conflict")));

    let lease = queue.lease("w", 10_000).await.unwrap().unwrap();
    assert_eq!((lease.recording.as_str(), lease.step.as_str()), (id.as_str(), "inspect"));
    let (_, body) = json(&server, Method::GET, &format!("/v1/recordings/{id}")).await;
    assert_eq!(body["state"], "processing", "a worker has started: {body}");
    let (_, jobs) = json(&server, Method::GET, "/v1/jobs").await;
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 1, "{jobs}");
    let (_, failed) = json(&server, Method::GET, "/v1/jobs?failed=true").await;
    assert!(failed["jobs"].as_array().unwrap().is_empty(), "{failed}");

    // Redis loses everything: a retry rebuilds the job from its manifest.
    let (status, _) = json(&server, Method::POST, &format!("/v1/recordings/{id}/cancel")).await;
    assert_eq!(status, StatusCode::OK);
    queue.forget(TENANT, &id).await.unwrap();
    let (status, body) = json(&server, Method::POST, &format!("/v1/recordings/{id}/retry")).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    assert!(queue.job(TENANT, &id).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_keeps_what_was_just_made() {
    let world = World::new().await;
    let queue = Queue::connect(&world.settings.redis).await.unwrap();
    let id = queued(&world, &queue).await.recording;
    let server = world.server("a").await;
    let lease = queue.lease("w", 10_000).await.unwrap().unwrap();
    // The worker is about to write the manifest that records this.
    let result = json!({ "fence": lease.fence,
        "report": { "revision": { "id": 3, "master": "hls/3/master.m3u8" } },
        "objects": { "hls/3/master.m3u8": { "size_bytes": 7, "sha256": "00" } } });
    let more = [StepSpec {
        name: "later".into(),
        needs: Vec::new(),
        optional: false,
        priority: 0,
        cost_ms: 0,
        input: json!({}),
        requires: Vec::new(),
    }];
    queue.complete(&lease, result, &more).await.unwrap();
    let (status, body) = json(&server, Method::POST, &format!("/v1/recordings/{id}/cancel")).await;
    assert_eq!((status, &body["state"]), (StatusCode::OK, &json!("cancelled")), "{body}");
    let manifest = read_manifest(&world.store, TENANT, &id).await.unwrap().unwrap();
    assert_eq!(manifest.revision.unwrap().id, 3);
    assert_eq!(manifest.objects["hls/3/master.m3u8"].size_bytes, 7);
    assert!(manifest.objects.contains_key("source/original.mp4"));
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_paged_newest_first_and_a_tenants_own() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(lesson(&world.store, TENANT).await.id);
    }
    ids.reverse();
    let foreign = lesson(&world.store, OTHER).await.id;
    let server = world.server("a").await;
    let mut seen = Vec::new();
    let mut path = "/v1/recordings?limit=2".to_owned();
    loop {
        let (status, page) = json(&server, Method::GET, &path).await;
        assert_eq!(status, StatusCode::OK);
        seen.extend(
            page["recordings"].as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/recordings?limit=2&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ids);
    for path in ["", "/events", "/transcript.json"] {
        let (status, problem) = json(&server, Method::GET, &format!("/v1/recordings/{foreign}{path}")).await;
        assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!("not_found")), "{path}");
    }
    let words = server.request(Method::GET, &format!("/v1/recordings/{}/transcript.json", ids[0]));
    let words: Value = words.send().await.unwrap().json().await.unwrap();
    assert_eq!(words["cues"][0]["text"], format!("Fractions {}", ids[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_go_on_from_the_last_one_seen_and_are_a_tenants_own() {
    let world = World::new().await;
    let id = lesson(&world.store, TENANT).await.id;
    let server = world.server("a").await;
    let events = Events::connect(&world.settings.redis).unwrap();
    let publish = |tenant: &'static str, kind: EventKind, n: u64| {
        let (events, id) = (events.clone(), id.clone());
        async move { events.publish(tenant, &id, kind, json!({ "n": n })).await.unwrap() }
    };
    let publish_step = |tenant: &'static str, n: u64| publish(tenant, EventKind::Step, n);
    let first = publish_step(TENANT, 1).await;
    publish_step(TENANT, 2).await;
    publish_step(OTHER, 3).await;

    for path in ["/v1/events".to_owned(), format!("/v1/recordings/{id}/events")] {
        let response =
            server.request(Method::GET, &path).header("last-event-id", &first).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut stream = response.bytes_stream();
        let mut text = String::new();
        let reads = async {
            let mut leaked = false;
            while !text.contains("\"n\":5") || !text.contains("\"n\":7") {
                text += std::str::from_utf8(&stream.next().await.unwrap().unwrap()).unwrap();
                if text.contains("\"n\":2") && !std::mem::replace(&mut leaked, true) {
                    publish_step(OTHER, 4).await;
                    publish_step(TENANT, 5).await;
                    publish(OTHER, EventKind::Progress, 6).await;
                    publish(TENANT, EventKind::Progress, 7).await;
                }
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), reads).await.unwrap();
        assert!(!text.contains("\"n\":1"), "seen before: {text}");
        assert!(!text.contains("event: reset"), "nothing was lost: {text}");
        for other in ["\"n\":3", "\"n\":4", "\"n\":6"] {
            assert!(!text.contains(other), "another tenant's: {text}");
        }
        let progress = text.split("\n\n").find(|message| message.contains("event: progress")).unwrap();
        assert!(!progress.contains("id:"), "not a position in the stream: {progress}");
        assert_eq!(text.matches("\"n\":2").count(), 1, "once: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_count_jobs_and_steps_of_the_queue() {
    let world = World::new().await;
    let queue = Queue::connect(&world.settings.redis).await.unwrap();
    let server = world.server("a").await;
    for _ in 0..3 {
        queued(&world, &queue).await;
    }
    queue.lease("w", 60_000).await.unwrap().unwrap();
    let failure = FailureReport { code: "step_forbidden".into(), message: "It broke.".into() };
    let failed = queue.lease("w", 60_000).await.unwrap().unwrap();
    queue.fail(&failed, &failure).await.unwrap();
    let text = server.metrics().await;
    let stranger = server.open(Method::GET, "/metrics").send().await.unwrap();
    assert_eq!(stranger.status(), StatusCode::NOT_FOUND, "metrics have an address of their own");
    for line in [
        "chalkstream_queue_jobs{state=\"open\"} 2\n",
        "chalkstream_queue_jobs{state=\"failed\"} 1\n",
        "chalkstream_queue_steps{state=\"ready\"} 1\n",
        "chalkstream_queue_steps{state=\"leased\"} 1\n",
        "chalkstream_queue_steps{state=\"delayed\"} 0\n",
        "chalkstream_queue_ready_steps{class=\"look\"} 1\n",
        "chalkstream_queue_ready_steps{class=\"ladder\"} 0\n",
        "chalkstream_queue_lost_leases_total 0\n",
        "chalkstream_redis_up 1\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_redis_is_alive_and_not_ready() {
    let mut world = World::new().await;
    let server = world.server("a").await;
    until("it is ready", || async {
        let response = server.open(Method::GET, "/readyz").send().await.unwrap();
        response.status().is_success().then_some(())
    })
    .await;
    let before = server.metrics().await;
    assert!(before.contains("queue_jobs{"), "{before}");
    world.redis.kill();
    until("it says what is missing", || async {
        let response = server.open(Method::GET, "/readyz").send().await.unwrap();
        let (status, body) = (response.status(), response.json::<Value>().await.unwrap());
        (status == StatusCode::SERVICE_UNAVAILABLE && body["redis"] == false && body["store"] == true)
            .then_some(())
    })
    .await;
    assert_eq!(server.open(Method::GET, "/healthz").send().await.unwrap().status(), StatusCode::OK);
    let metrics = server.metrics().await;
    assert!(metrics.contains("route=\"/readyz\"") && metrics.ends_with("# EOF\n"), "{metrics}");
    assert!(!metrics.contains("queue_jobs{"), "unknown numbers are left out: {metrics}");
    assert!(metrics.contains("chalkstream_redis_up 0\n"), "{metrics}");
}
