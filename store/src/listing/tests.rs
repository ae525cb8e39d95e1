use bytes::Bytes;

use super::build;
use super::entry::{body, page, read, remove, repair, states, write};
use crate::deletion;
use crate::objects::sha256_hex;
use crate::testing::folder;
use crate::{
    Failure, Manifest, ObjectFacts, State, StepRecord, Store, layout, read_manifest, write_manifest,
};

async fn listed(store: &Store, state: State) -> Vec<String> {
    let page = page(store, "t", state, None, 100).await.unwrap();
    page.into_iter().map(|entry| entry.recording).collect()
}

fn manifest(state: State, fence: u64) -> Manifest {
    Manifest { state, fence, ..Manifest::new("t", layout::new_recording_id()) }
}

#[tokio::test]
async fn a_recording_is_in_the_list_of_its_state_alone() {
    let (store, _folder) = folder().await;
    let mut lesson = manifest(State::Processing, 5);
    let other = manifest(State::Ready, 5);
    write_manifest(&store, &lesson).await.unwrap();
    write_manifest(&store, &other).await.unwrap();
    assert_eq!(listed(&store, State::Processing).await, [lesson.recording.clone()]);
    (lesson.state, lesson.fence) = (State::Ready, 6);
    write_manifest(&store, &lesson).await.unwrap();
    assert_eq!(listed(&store, State::Processing).await, Vec::<String>::new());
    let newest_first = [other.recording.clone(), lesson.recording.clone()];
    assert_eq!(listed(&store, State::Ready).await, newest_first);
    let after = page(&store, "t", State::Ready, Some(&other.recording), 1).await.unwrap();
    assert_eq!(after[0].recording, lesson.recording);
    assert_eq!(read(&store, &after[0]).await.unwrap().unwrap().fence, 6);

    // A worker that was asleep writes an older one.
    write_manifest(&store, &Manifest { state: State::Failed, fence: 4, ..lesson.clone() }).await.unwrap();
    assert_eq!(listed(&store, State::Failed).await, Vec::<String>::new());
    assert_eq!(listed(&store, State::Ready).await, newest_first);

    deletion::bury(&store, "t", &lesson.recording).await.unwrap();
    write_manifest(&store, &Manifest { state: State::Failed, fence: 9, ..lesson }).await.unwrap();
    assert_eq!(listed(&store, State::Failed).await, Vec::<String>::new());
    assert_eq!(listed(&store, State::Ready).await, [other.recording]);
}

#[tokio::test]
async fn an_entry_stays_small_however_long_the_lesson() {
    let mut long = manifest(State::Ready, 5);
    let facts = ObjectFacts { size_bytes: 1, sha256: sha256_hex(b"") };
    long.objects = (0..100_000).map(|at| (format!("hls/video/9/v480/{at}.m4s"), facts.clone())).collect();
    let result = serde_json::json!({ "fence": 1, "report": {}, "objects": long.objects });
    for name in ["inspect", "ladder", "stills", "audio", "transcribe"] {
        let record: StepRecord =
            serde_json::from_value(serde_json::json!({ "state": "done", "result": result })).unwrap();
        long.steps.insert(name.into(), record);
    }
    let size_bytes = body(&long, false).unwrap().len();
    println!("an entry of a long lesson has {size_bytes} bytes");
    assert!(size_bytes < 2_000, "{size_bytes}");
}

#[tokio::test]
async fn what_crashes_left_is_repaired() {
    let (store, _folder) = folder().await;
    let (hidden, doubled, gone) =
        (manifest(State::Ready, 5), manifest(State::Ready, 5), manifest(State::Queued, 1));
    for lesson in [&hidden, &doubled, &gone] {
        write_manifest(&store, lesson).await.unwrap();
    }
    // Cut off before its entry, between two entries, and a recording that was never acknowledged.
    remove(&store, "t", &hidden.recording).await.unwrap();
    write(&store, &Manifest { state: State::Failed, ..doubled.clone() }, false).await.unwrap();
    write(&store, &doubled, false).await.unwrap();
    let failed = layout::list_key("t", "failed", &doubled.recording);
    store.put(&failed, Bytes::from_static(b"{}")).await.unwrap();
    store.delete(&layout::manifest_key("t", &gone.recording, 1)).await.unwrap();

    assert_eq!(build::built_at_ms(&store, "t").await.unwrap(), None);
    let verified = build::verify(&store, "t").await.unwrap();
    assert_eq!(verified, build::Verified { recordings: 3, repaired: 3 });
    assert!(build::built_at_ms(&store, "t").await.unwrap().is_some());
    assert_eq!(listed(&store, State::Ready).await, [doubled.recording, hidden.recording]);
    assert_eq!(listed(&store, State::Failed).await, Vec::<String>::new());
    assert_eq!(listed(&store, State::Queued).await, Vec::<String>::new());
    assert_eq!(build::verify(&store, "t").await.unwrap().repaired, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_at_the_same_time_leave_one_entry() {
    let (store, _folder) = folder().await;
    for _ in 0..20 {
        let lesson = manifest(State::Queued, 1);
        let some = [State::Processing, State::Playable, State::Ready, State::Failed];
        let mut writes = tokio::task::JoinSet::new();
        for n in 0..12 {
            let (store, mut lesson) = (store.clone(), lesson.clone());
            writes.spawn(async move {
                (lesson.fence, lesson.state) = (10 + n, some[n as usize % 4]);
                lesson.failure = (lesson.state == State::Failed).then(|| Failure {
                    code: "x".into(),
                    message: "X.".into(),
                    step: "inspect".into(),
                    blame: crate::Blame::Input,
                });
                // Of so many at once one may give up; its caller writes again.
                let _ = write_manifest(&store, &lesson).await;
            });
        }
        writes.join_all().await;
        repair(&store, "t", &lesson.recording).await.unwrap();
        let newest = read_manifest(&store, "t", &lesson.recording).await.unwrap().unwrap();
        for state in states() {
            let is_listed = listed(&store, state).await.contains(&lesson.recording);
            assert_eq!(is_listed, state == newest.state, "{}", state.as_str());
        }
    }
}
