//! A cluster that is away: a shortage that passes, never damage.

use chalkstream_config::SearchEngineKind;
use chalkstream_store::{EventKind, Events};
use reqwest::Method;
use serde_json::json;

use super::cluster::{Osmem, runtime, settings};
use super::*;
use crate::testing::{Server, TENANT, World, until};

#[test]
fn changes_that_a_cluster_did_not_get_are_asked_for_again() {
    let folder = TempDir::new().unwrap();
    let cluster = Osmem::start(0);
    let port = cluster.port();
    let settings = settings(cluster.url(), folder.path());
    let engine = OpenSearch::open(&settings, folder.path(), runtime()).unwrap();
    engine.replace(&lesson("acme", "r1"), &transcript(&["kept words"])).unwrap();
    engine.commit().unwrap();
    engine.set_position(Some("1-0")).unwrap();
    drop(cluster);

    let is_outage = |failed: Option<Error>| failed.is_some_and(|error| error.is_outage());
    let area = Area::for_tenant("acme");
    assert!(is_outage(find(&engine, "words", &area, 0, 9).err()));
    assert!(is_outage(engine.lesson("acme", "r1").err()));
    assert!(is_outage(engine.has_words("acme", "r1").err()), "no receipt on a guess");
    assert!(is_outage(engine.position().err()));
    engine.replace(&lesson("acme", "r2"), &transcript(&["more words"])).unwrap();
    assert!(is_outage(engine.commit().err()));

    // It comes back without its data, as this one has it in memory.
    let _cluster = Osmem::start(port);
    assert!(is_outage(engine.set_position(Some("2-0")).err()), "r2 was dropped, and is asked for first");
    assert_eq!(engine.position().unwrap(), None);
    engine.replace(&lesson("acme", "r2"), &transcript(&["more words"])).unwrap();
    engine.commit().unwrap();
    engine.set_position(Some("2-0")).unwrap();
    assert_eq!(engine.position().unwrap().as_deref(), Some("2-0"));
    assert_eq!(texts(&engine, "words", &area), ["more words"]);
    assert_eq!(engine.tenants().unwrap(), ["acme"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_answers_503_while_its_cluster_is_away_and_then_finds_everything() {
    let mut world = World::new().await;
    let cluster = Osmem::start(0);
    let port = cluster.port();
    world.settings.search.engine = SearchEngineKind::OpenSearch;
    world.settings.search.opensearch = settings(cluster.url(), world.folder.path());
    drop(cluster);
    let events = Events::connect(&world.settings.redis).unwrap();
    feed_tests::lesson(&world.store, TENANT, "one denominator").await;
    let server = world.server("index").await;
    assert_eq!(status(&server).await, 503, "its cluster was never there");

    let cluster = Osmem::start(port);
    finds(&server, 1).await;
    drop(cluster);
    let second = feed_tests::lesson(&world.store, TENANT, "two denominators").await;
    events.publish(TENANT, &second.recording, EventKind::TranscriptReady, json!({})).await.unwrap();
    assert_eq!(status(&server).await, 503);
    let _cluster = Osmem::start(port);
    finds(&server, 2).await;
}

async fn ask(server: &Server) -> reqwest::Response {
    let request = server.request(Method::GET, "/v1/search");
    request.query(&[("q", "denominator"), ("viewer", "coach-7")]).send().await.unwrap()
}

async fn status(server: &Server) -> u16 {
    ask(server).await.status().as_u16()
}

async fn finds(server: &Server, count: usize) {
    until(&format!("{count} moments"), || async {
        let response = ask(server).await;
        let found: serde_json::Value = response.json().await.ok()?;
        (found["moments"].as_array()?.len() == count).then_some(())
    })
    .await;
}
