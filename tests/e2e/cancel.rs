//! Cancel and delete stop the work; a failing optional step costs nothing else.

use std::time::Duration;

use chalkstream_tests::media::{clip, heavy_clip};
use chalkstream_tests::process::{alive, step_child};
use chalkstream_tests::stack::Stack;
use chalkstream_tests::wait;
use reqwest::Method;
use serde_json::json;

use crate::CLIP;

#[tokio::test(flavor = "multi_thread")]
async fn cancel_stops_the_child_within_five_seconds() {
    let mut stack = Stack::fs().await;
    let server = stack.server().await;
    let worker = stack.worker();
    let client = stack.client(&server);
    let recording = client.upload(&heavy_clip(stack.folder(), 60)).await;
    let child = step_child(worker.id(), CLIP).await;
    client.post(&format!("/v1/recordings/{recording}/cancel"), &json!({})).await;
    wait::until("the child is gone", Duration::from_secs(5), || async { (!alive(child)).then_some(()) })
        .await;
    client.state(&recording, &["cancelled"], Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_stops_the_work_and_leaves_no_object() {
    let mut stack = Stack::fs().await;
    let server = stack.server().await;
    let worker = stack.worker();
    let client = stack.client(&server);
    let recording = client.upload(&heavy_clip(stack.folder(), 30)).await;
    let child = step_child(worker.id(), CLIP).await;
    let answer = client.request(Method::DELETE, &format!("/v1/recordings/{recording}")).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    wait::until("the child is gone", Duration::from_secs(5), || async { (!alive(child)).then_some(()) })
        .await;
    let folder = stack.objects().join("district").join(&recording);
    wait::until("its media are gone", Duration::from_secs(30), || async {
        let left = ["source", "hls", "stills", "transcript", "work"];
        left.iter()
            .all(|name| !folder.join(name).read_dir().is_ok_and(|mut d| d.next().is_some()))
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_model_costs_the_transcript_and_not_the_video() {
    let mut stack = Stack::fs().await;
    let none = stack.folder().join("no-models").display().to_string();
    stack.set("SPEECH__MODEL_PATH", &none);
    let server = stack.server().await;
    let _worker = stack.worker();
    let client = stack.client(&server);
    let recording = client.upload(&clip(stack.folder(), 6)).await;
    let recording_view = client.state(&recording, &["ready"], CLIP).await;
    let text = recording_view.to_string();
    assert!(text.contains("model_missing"), "the failed step is listed with its code: {recording_view}");
}
