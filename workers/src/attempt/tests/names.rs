//! A list of names that cannot be read, and names that cannot be silenced.

use chalkstream_store::Blame;

use super::*;
use crate::steps::{silenced_audio, transcribe};

impl World {
    /// Fails to make the transcript, and returns why.
    async fn failure(&self, lease: &Lease) -> StepFailure {
        let (progress, seen) = watch::channel(Progress::default());
        let handle = self.renewer.keep_alive(lease, Instant::now(), seen).await;
        let (context, cancel) = (&self.context, CancellationToken::new());
        let attempt = Attempt { context, lease, handle: &handle, cancel, progress };
        attempt.run().await.err().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_cannot_be_read_publishes_nothing_and_is_waited_for() {
    let mut world = world().await;
    // A step that gets as far as the model finds none.
    world.context.settings.speech.model_path = world.folder.path().to_owned();
    let store = world.context.store.clone();
    let broken = br#"{"version":1,"names":["Maria",["Jo"]]}"#;
    store.put(&layout::names_key("district"), broken[..].into()).await.unwrap();
    let manifest = world.uploaded().await;

    let mut refused = None;
    while let Some(lease) = world.context.queue.lease("w", 60_000).await.unwrap() {
        if lease.step == transcribe::NAME {
            let failure = world.failure(&lease).await;
            assert_eq!(
                (failure.code.as_str(), failure.blame(&lease.step)),
                ("names_unreadable", Blame::Outage)
            );
            assert!(!format!("{failure:?} {failure}").contains("Maria"), "{failure:?}");
            refused = Some(lease);
            continue;
        }
        world.done(&lease).await;
    }
    let read = read_manifest(&store, "district", &manifest.recording).await.unwrap().unwrap();
    assert_eq!(
        (read.state, read.files.get("transcript.json")),
        (State::Playable, None),
        "the video is there"
    );
    let prefix = layout::recording_prefix("district", &manifest.recording);
    let stored = store.list(&prefix, None, 1_000).await.unwrap();
    let words = stored.iter().filter(|one| one.key.contains("transcript") || one.key.contains("subtitles"));
    assert_eq!(words.count(), 0, "{stored:?}");

    // Once the list can be read, the step goes on.
    let lease = refused.unwrap();
    let list = NameList::from_lines("Maria").unwrap();
    chalkstream_store::names::write(&store, "district", list, false).await.unwrap();
    assert_eq!(world.failure(&lease).await.code, "model_missing");
}

impl World {
    /// Does the steps that a worker without a speech model can do; returns their names.
    async fn without_a_model(&self) -> Vec<String> {
        let (queue, mut done) = (&self.context.queue, Vec::new());
        while let Some(lease) = queue.lease("w", 60_000).await.unwrap() {
            done.push(lease.step.clone());
            if lease.step == transcribe::NAME {
                let failure = self.failure(&lease).await;
                let failed = queue.fail(&lease, &failure.to_report()).await.unwrap();
                self.context.manifests.update(&failed.job).await.unwrap();
            } else {
                self.done(&lease).await;
            }
        }
        done
    }

    async fn done(&self, lease: &Lease) {
        let outcome = self.attempt(lease, false).await;
        let result = serde_json::to_value(&outcome.result).unwrap();
        let job = self.context.queue.complete(lease, result, &outcome.added_steps).await.unwrap();
        self.context.manifests.update(&job).await.unwrap();
    }

    /// Keys of a recording's objects, relative to it.
    async fn keys(&self, manifest: &Manifest) -> Vec<String> {
        let prefix = layout::recording_prefix(&manifest.tenant, &manifest.recording);
        let stored = self.context.store.list(&prefix, None, 1_000).await.unwrap();
        stored.iter().map(|object| object.key[prefix.len()..].to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_cannot_be_silenced_let_nothing_be_published() {
    let mut world = world().await;
    world.context.settings.speech.model_path = world.folder.path().to_owned();
    world.context.settings.speech.enabled = false;
    let store = world.context.store.clone();
    let list = NameList::from_lines("Maria").unwrap();
    chalkstream_store::names::write(&store, "district", list, true).await.unwrap();
    let manifest = world.uploaded().await;
    let done = world.without_a_model().await;
    assert!(done.iter().any(|step| step == "weak_line"), "video is made meanwhile: {done:?}");
    let read = read_manifest(&store, "district", &manifest.recording).await.unwrap().unwrap();
    let failure = read.failure.as_ref().unwrap();
    assert_eq!((read.state, failure.code.as_str()), (State::Failed, "model_missing"));
    assert!(failure.message.contains("chalkstream model fetch"), "{failure:?}");
    assert!(read.revision.is_none() && read.playable_with.is_empty(), "{read:?}");
    let keys = world.keys(&manifest).await;
    let is_public = |key: &&String| {
        ["hls/audio/", "hls/source/", "index/", "hls/subtitles/", "transcript/"]
            .iter()
            .any(|p| key.starts_with(p))
            || key.ends_with("master.m3u8")
    };
    assert_eq!(keys.iter().find(is_public), None);

    // With a model, the recording goes on where it stopped.
    let job = world.context.queue.retry("district", &manifest.recording).await.unwrap().unwrap();
    world.context.manifests.update(&job).await.unwrap();
    let mut order = Vec::new();
    while let Some(lease) = world.context.queue.lease("w", 60_000).await.unwrap() {
        order.push(lease.step.clone());
        world.done(&lease).await;
    }
    let at = |step: &str| order.iter().position(|other| other == step);
    assert!(at(transcribe::NAME) < at(silenced_audio::NAME), "{order:?}");
    assert!(
        at(silenced_audio::NAME) < order.iter().position(|step| step.starts_with("publish")),
        "{order:?}"
    );
    let read = read_manifest(&store, "district", &manifest.recording).await.unwrap().unwrap();
    assert_eq!(read.state, State::Ready);
    assert!(read.playable_with.iter().any(|with| with == "sound"), "{:?}", read.playable_with);
    let keys = world.keys(&manifest).await;
    assert!(!keys.iter().any(|key| key.starts_with("work/") && key.contains("speech")), "{keys:?}");
    // Every revision that ever was has the silenced audio.
    let fence =
        StepResult::from_value(read.steps[silenced_audio::NAME].result.as_ref().unwrap()).unwrap().fence;
    for master in keys.iter().filter(|key| key.ends_with("master.m3u8")) {
        let text = store.get(&world.key(&manifest, master)).await.unwrap();
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert!(text.contains(&format!("../audio/{fence}/a32/")) && !text.contains("/source/"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn video_is_not_live_before_names_are_silenced() {
    let world = world().await;
    let list = NameList::from_lines("Maria").unwrap();
    for silence in [false, true] {
        chalkstream_store::names::write(&world.context.store, "district", list.clone(), silence)
            .await
            .unwrap();
        let manifest = world.uploaded().await;
        let lease = loop {
            let lease = world.context.queue.lease("w", 60_000).await.unwrap().unwrap();
            if lease.step == "weak_line" {
                break lease;
            }
            world.done(&lease).await;
        };
        let (progress, seen) = watch::channel(Progress::default());
        let handle = world.renewer.keep_alive(&lease, Instant::now(), seen).await;
        let (context, cancel) = (&world.context, CancellationToken::new());
        let attempt = Attempt { context, lease: &lease, handle: &handle, cancel, progress };
        let step: Step = serde_json::from_value(lease.input.clone()).unwrap();
        let results = Results::from_needs(&lease.needs).unwrap();
        let live = attempt.live_rendition(StepKind::WeakLine, &step, &results, &manifest).unwrap();
        assert_eq!(live.is_none(), silence);
        world.context.queue.cancel("district", &manifest.recording).await.unwrap();
    }
}
