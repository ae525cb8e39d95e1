//! Servers that share a cluster.

use serde_json::Value;

use super::cluster::{Osmem, http, runtime, settings};
use super::*;

/// A cluster of its own, and two servers with a folder each.
fn two_servers() -> (Osmem, String, [TempDir; 2], [OpenSearch; 2]) {
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let cluster = Osmem::start(0);
    let settings = settings(cluster.url(), folders[0].path());
    let servers = [0, 1].map(|n| OpenSearch::open(&settings, folders[n].path(), runtime()).unwrap());
    let index = format!("{}/{}_acme_v1_1", cluster.url(), settings.index_prefix);
    (cluster, index, folders, servers)
}

/// The number of documents in an index.
fn count(index: &str) -> u64 {
    let answer = async { http().get(format!("{index}/_count")).send().await?.json::<Value>().await };
    runtime().block_on(answer).unwrap()["count"].as_u64().unwrap()
}

#[test]
fn a_lost_index_is_noticed_and_a_server_has_a_position_of_its_own() {
    let (cluster, index, folders, [one, other]) = two_servers();
    for engine in [&one, &other] {
        engine.replace(&lesson("acme", "r1"), &transcript(&["shared words"])).unwrap();
        engine.commit().unwrap();
    }
    assert_eq!(found(&one, "words").len(), 1, "both wrote the same");
    one.set_position(Some("1-0")).unwrap();
    assert_eq!(other.position().unwrap(), None);
    other.set_position(Some("2-0")).unwrap();
    let settings = settings(cluster.url(), folders[0].path());
    let again = OpenSearch::open(&settings, folders[0].path(), runtime()).unwrap();
    assert_eq!(again.position().unwrap().as_deref(), Some("1-0"), "started again");

    let deleted = runtime().block_on(async { http().delete(index).send().await });
    assert_eq!(deleted.unwrap().status(), 200);
    assert_eq!((one.position().unwrap(), other.position().unwrap()), (None, None));
    assert!(found(&one, "words").is_empty());
    // The index is not made by the first document that comes, with any fields.
    one.replace(&lesson("acme", "r1"), &transcript(&["shared words"])).unwrap();
    assert!(one.commit().is_err());
    one.replace(&lesson("acme", "r1"), &transcript(&["shared words"])).unwrap();
    one.commit().unwrap();
    assert_eq!(found(&other, "words").len(), 1);
}

#[test]
fn a_version_is_found_completely_or_not_at_all_and_leaves_nothing_behind() {
    let (_cluster, index, _folders, [one, other]) = two_servers();
    one.replace(&lesson("acme", "r1"), &transcript(&["first words"])).unwrap();
    one.commit().unwrap();
    // More than one request may have, so the passages are sent before the commit.
    let long = "x".repeat(79);
    let line = format!("second words {}", vec![long.as_str(); 94].join(" "));
    let newer = IndexedLesson { version: "2".into(), ..lesson("acme", "r1") };
    one.replace(&newer, &transcript(&vec![line.as_str(); 200])).unwrap();
    other.replace(&lesson("acme", "r2"), &transcript(&["other words"])).unwrap();
    other.commit().unwrap();
    assert!(count(&index) > 100, "they are in the index");
    let area = Area::for_tenant("acme");
    assert_eq!(texts(&other, "words ", &area), ["first words", "other words"]);
    assert!(found(&other, "second ").is_empty());
    one.commit().unwrap();
    assert_eq!(found(&other, "second ").len(), MAX_LIMIT);
    assert!(found(&other, "first ").is_empty());

    // A passage and a lesson each.
    one.replace(&lesson("acme", "r1"), &transcript(&["third words"])).unwrap();
    one.commit().unwrap();
    assert_eq!(count(&index), 4);
    other.remove("acme", "r1").unwrap();
    other.commit().unwrap();
    assert_eq!(count(&index), 2);
}
