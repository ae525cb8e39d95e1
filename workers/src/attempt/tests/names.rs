//! A list of names that cannot be read.

use chalkstream_store::Blame;

use super::*;
use crate::steps::transcribe;

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
        let outcome = world.attempt(&lease, false).await;
        let result = serde_json::to_value(&outcome.result).unwrap();
        let job = world.context.queue.complete(&lease, result, &outcome.added_steps).await.unwrap();
        world.context.manifests.update(&job).await.unwrap();
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
    chalkstream_store::names::write(&store, "district", list).await.unwrap();
    assert_eq!(world.failure(&lease).await.code, "model_missing");
}
