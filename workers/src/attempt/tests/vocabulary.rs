//! The vocabularies that a transcription gets.

use chalkstream_store::vocabulary;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_recordings_terms_come_before_the_tenants_and_unreadable_ones_are_left_out() {
    let world = world().await;
    let store = world.context.store.clone();
    let terms = |text: &str| Vocabulary::parse(text).unwrap();
    vocabulary::write(&store, "district", terms("TalkMoves")).await.unwrap();
    vocabulary::write(&store, "other", terms("secret")).await.unwrap();
    let mut manifest = world.uploaded().await;
    manifest.vocabulary = terms("numerator, Ms Okafor");
    // It survives in the manifest.
    let stored: Manifest = serde_json::from_str(&serde_json::to_string(&manifest).unwrap()).unwrap();
    assert_eq!(stored, manifest);

    let lease = world.context.queue.lease("w", 60_000).await.unwrap().unwrap();
    let (progress, seen) = watch::channel(Progress::default());
    let handle = world.renewer.keep_alive(&lease, Instant::now(), seen).await;
    let (context, cancel) = (&world.context, CancellationToken::new());
    let attempt = Attempt { context, lease: &lease, handle: &handle, cancel, progress };
    let lists = attempt.vocabulary(&manifest).await.unwrap();
    assert_eq!(lists, [terms("numerator, Ms Okafor"), terms("TalkMoves")]);

    let broken = br#"{"version":1,"terms":[5]}"#;
    store.put(&layout::vocabulary_key("district"), broken[..].into()).await.unwrap();
    let lists = attempt.vocabulary(&manifest).await.unwrap();
    assert_eq!(lists, [terms("numerator, Ms Okafor"), Vocabulary::default()]);
}
