//! A worker that is asked to stop: steps that end in time are not made twice, and what is left is
//! another worker's at once.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chalkstream_tests::chaos::storage::files;
use chalkstream_tests::media::ffmpeg;
use chalkstream_tests::stack::Stack;
use chalkstream_tests::wait;

use crate::CLIP;
use crate::kill::nothing_twice;

/// A clip whose ladder takes seconds, and settings under which it has one.
pub fn laddered_clip(stack: &mut Stack, seconds: u32) -> PathBuf {
    stack.set("SPEECH__ENABLED", "false");
    stack.set("SOURCE_RENDITION__ENABLED", "false");
    let out = stack.folder().join("laddered.mp4");
    let noise = format!("testsrc2=s=640x360:r=30:d={seconds},noise=alls=20:allf=t");
    ffmpeg(&format!("-f lavfi -i {noise} -c:v libx264 -preset ultrafast -b:v 3M -pix_fmt yuv420p"), &out);
    out
}

/// Fence of the attempt at `step` that a worker runs now, by its scratch folder.
pub fn running_fence(scratch: &Path, step: &str) -> Option<u64> {
    let workers = std::fs::read_dir(scratch).ok()?.flatten();
    let steps = workers.filter_map(|worker| std::fs::read_dir(worker.path()).ok()).flatten().flatten();
    let mark = format!("-{step}-");
    steps.filter_map(|folder| folder.file_name().to_str()?.rsplit_once(&mark)?.1.parse().ok()).next()
}

/// Waits until a worker runs `step`; returns the attempt's fence.
pub async fn step_runs(scratch: &Path, step: &str) -> u64 {
    wait::until("the step runs", CLIP, || async { running_fence(scratch, step) }).await
}

/// Whether what is stored was made by the attempt with this fence, and by no other one at its step.
pub fn is_made_by(objects: &Path, recording: &str, rendition: &str, fence: u64) -> bool {
    let all = files(objects);
    let mut made =
        all.keys().filter(|key| key.contains(recording) && key.contains(&format!("/{rendition}/")));
    let mut count = 0;
    let only = made.all(|key| {
        count += 1;
        key.contains(&format!("/{fence}/"))
    });
    only && count > 0
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_a_ladder_end_that_is_soon_done() {
    const GRACE: Duration = Duration::from_secs(300);
    let mut stack = Stack::fs().await;
    stack.set("WORKER__DRAIN_MS", &GRACE.as_millis().to_string());
    let clip = laddered_clip(&mut stack, 10);
    let server = stack.server().await;
    let mut first = stack.worker();
    let client = stack.client(&server);
    let recording = client.upload(&clip).await;
    let fence = step_runs(&stack.folder().join("scratch-2"), "ladder").await;
    first.signal(libc::SIGTERM);
    let _second = stack.worker();
    assert!(first.ended(GRACE).await.success());
    assert!(!first.log().contains("step given up"), "the step ended in time");
    client.state(&recording, &["ready"], CLIP).await;
    assert!(is_made_by(&stack.objects(), &recording, "v360", fence), "the ladder was made once");
    nothing_twice(&stack.objects(), &recording).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_end_in_time_is_another_workers_long_before_its_lease_ends() {
    const GRACE: Duration = Duration::from_millis(500);
    let mut stack = Stack::fs().await;
    stack.set("WORKER__DRAIN_MS", &GRACE.as_millis().to_string());
    // Were it not handed back, the other worker would wait for this: longer than the test does.
    stack.set("WORKER__LEASE_MS", &(2 * CLIP).as_millis().to_string());
    let clip = laddered_clip(&mut stack, 40);
    let server = stack.server().await;
    let mut first = stack.worker();
    let client = stack.client(&server);
    let recording = client.upload(&clip).await;
    let fence = step_runs(&stack.folder().join("scratch-2"), "ladder").await;
    let second = stack.worker();
    wait::until("the other worker is there", CLIP, || async {
        second.log().contains("worker started").then_some(())
    })
    .await;
    let asked = Instant::now();
    first.signal(libc::SIGTERM);
    let again = step_runs(&stack.folder().join("scratch-3"), "ladder").await;
    let taken = asked.elapsed();
    assert!(again > fence);
    assert!(taken >= GRACE, "the step had its grace period: {taken:?}");
    assert!(first.ended(CLIP).await.success());
    let view = client.state(&recording, &["ready"], CLIP).await;
    assert_eq!(view["failed_optional"].as_array().map_or(0, Vec::len), 0, "{view}");
    assert!(is_made_by(&stack.objects(), &recording, "v360", again));
    nothing_twice(&stack.objects(), &recording).await;
}
