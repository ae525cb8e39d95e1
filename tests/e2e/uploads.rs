//! An upload survives a cut line, a change of server and a double click.

use bytes::Bytes;
use chalkstream_tests::media::heavy_clip;
use chalkstream_tests::stack::Stack;
use chalkstream_tests::wait;
use reqwest::StatusCode;
use std::time::Duration;

use crate::CLIP;

const MIB: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_cut_at_three_mebibytes_resumes_on_a_second_server() {
    let mut stack = Stack::s3().await;
    let mut first = stack.server().await;
    let second = stack.server().await;
    let _worker = stack.worker();
    let file = std::fs::read(heavy_clip(stack.folder(), 24)).unwrap();
    assert!(file.len() > 6 * MIB, "the clip is too small for this test: {} bytes", file.len());

    let client = stack.client(&first);
    let created = client.create(file.len() as u64, "lesson.mp4", None).await;
    assert_eq!(created.status(), StatusCode::CREATED);
    let recording = created.headers()["chalkstream-recording"].to_str().unwrap().to_owned();
    let location = created.headers()["location"].to_str().unwrap().to_owned();
    let path = location[location.find("/v1/").unwrap()..].to_owned();

    // Three mebibytes, then the line is cut with the body unfinished.
    let head = Bytes::copy_from_slice(&file[..3 * MIB]);
    let (sender, body) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let stream = futures_stream(body);
    let request = client.patch(&path, 0, reqwest::Body::wrap_stream(stream)).send();
    let sending = tokio::spawn(request);
    sender.send(Ok(head)).await.unwrap();
    sender.send(Err(std::io::Error::other("the line is cut"))).await.unwrap();
    drop(sender);
    assert!(sending.await.unwrap().is_err(), "the cut request cannot have been answered");

    // A HEAD ends the request that brings the bytes: it must not come before they do.
    let received = stack.client(&first);
    wait::until("the bytes have come in", Duration::from_secs(30), || async {
        (received.uploaded_bytes().await >= 3 * MIB as u64).then_some(())
    })
    .await;
    let client = stack.client(&second);
    let offset = client.offset(&path).await as usize;
    first.process.kill();
    assert_eq!(client.offset(&path).await as usize, offset, "what was durable stays so");
    assert!(offset <= 3 * MIB, "{offset} is more than was sent");
    let answer = client.patch(&path, offset as u64, file[offset..].to_vec()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT, "{}", answer.text().await.unwrap());

    let recording_view = client.state(&recording, &["ready"], CLIP).await;
    let folder = stack.objects().join("district").join(&recording).join("source");
    let stored = std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|entry| std::fs::read(entry.path()).unwrap())
        .find(|bytes| bytes.len() == file.len());
    assert_eq!(stored.as_deref(), Some(&file[..]), "the stored source is the file: {recording_view}");
}

fn futures_stream(
    mut body: tokio::sync::mpsc::Receiver<Result<Bytes, std::io::Error>>,
) -> impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> {
    futures_util::stream::poll_fn(move |context| body.poll_recv(context))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_idempotency_key_twice_is_one_job() {
    let mut stack = Stack::fs().await;
    let server = stack.server().await;
    let client = stack.client(&server);
    let one = client.create(1000, "a.mp4", Some("click-1")).await;
    let two = client.create(1000, "a.mp4", Some("click-1")).await;
    assert_eq!(one.status(), StatusCode::CREATED);
    assert!(two.status().is_success(), "{}", two.status());
    assert_eq!(one.headers()["chalkstream-recording"], two.headers()["chalkstream-recording"]);
    let other = client.create(1000, "a.mp4", Some("click-2")).await;
    assert_ne!(one.headers()["chalkstream-recording"], other.headers()["chalkstream-recording"]);

    let location = one.headers()["location"].to_str().unwrap();
    client.patch(location, 0, vec![0_u8; 1000]).send().await.unwrap();
    let again = client.create(1000, "a.mp4", Some("click-1")).await;
    assert_eq!(one.headers()["chalkstream-recording"], again.headers()["chalkstream-recording"]);
    let jobs = client.get("/v1/jobs").await;
    let text = jobs.to_string();
    let id = one.headers()["chalkstream-recording"].to_str().unwrap();
    assert_eq!(text.matches(id).count(), 1, "one job: {jobs}");
}
