//! Names of metrics in the documents, the dashboard and the alerts are names that processes export.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use chalkstream_tests::process::free_port;
use chalkstream_tests::stack::Stack;
use chalkstream_tests::wait;

const PREFIX: &str = "chalkstream_";

/// Names as a query has them, with the endings that their types add.
fn exported(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in text.lines() {
        let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) else {
            continue;
        };
        let endings: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_count", "_sum"],
            "info" => &["_info"],
            _ => &[""],
        };
        names.extend(endings.iter().map(|ending| format!("{name}{ending}")));
    }
    names
}

/// Every name with our prefix in a text.
fn named(text: &str) -> BTreeSet<String> {
    let is_letter = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    text.match_indices(PREFIX)
        .map(|(at, _)| text[at..].split_at(text[at..].find(|letter| !is_letter(letter)).unwrap()))
        // The prefix itself is no metric, nor is a crate in a log filter.
        .filter(|(name, rest)| *name != PREFIX && !rest.starts_with("=debug"))
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// The metrics in the table of docs/guide/operate.md: names without prefix, labels in braces.
fn documented(text: &str) -> BTreeSet<String> {
    let table = text.split("| metric, with the prefix `chalkstream_`").nth(1).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.flat_map(|row| {
        let cell = row.trim_start_matches('|').split(" | ").next().unwrap();
        let names = cell.split('`').skip(1).step_by(2);
        names.map(|name| format!("{PREFIX}{}", name.split('{').next().unwrap())).collect::<Vec<_>>()
    })
    .collect()
}

/// A name without the endings of a histogram: the documents have those once.
fn family(name: &str) -> &str {
    let endings = ["_bucket", "_count", "_sum"];
    endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_that_is_named_is_exported_and_every_one_exported_is_documented() {
    let mut stack = Stack::fs().await;
    let server = stack.server().await;
    let client = stack.client(&server);
    let listen = format!("127.0.0.1:{}", free_port());
    let settings = [("WORKER__ADMIN_LISTEN".to_owned(), listen.clone())];
    let _worker = stack.start_worker("observed", &settings);
    // Reasons are labels that exist only from the first refusal on.
    client.open("/s/not-a-token/lesson/lesson.json").await;
    let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    let (http, address) = (&http, &format!("http://{listen}"));
    let worker_text = wait::until("the worker serves its metrics", Duration::from_secs(60), || async move {
        http.get(format!("{address}/metrics")).send().await.ok()?.text().await.ok()
    })
    .await;
    let health = http.get(format!("{address}/healthz")).send().await.unwrap().text().await.unwrap();
    assert!(health.contains("\"state\":\"working\""), "{health}");
    let server_text = client.metrics().await;
    for text in [&server_text, &worker_text] {
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
    let exported: BTreeSet<String> =
        exported(&server_text).into_iter().chain(exported(&worker_text)).collect();

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let operate = read("docs/guide/operate.md");
    for path in ["docker/grafana/dashboard.json", "docker/prometheus/alerts.yml", "docs/guide/runbook.md"] {
        let text = read(path);
        let named = named(&text);
        assert!(!named.is_empty(), "{path} names no metric");
        let unknown: Vec<&String> = named.difference(&exported).collect();
        assert!(unknown.is_empty(), "{path} has metrics that nothing exports: {unknown:?}");
    }
    let exported: BTreeSet<&str> = exported.iter().map(|name| family(name)).collect();
    let documented = documented(&operate);
    let documented: BTreeSet<&str> = documented.iter().map(String::as_str).collect();
    assert_eq!(exported, documented, "the table of docs/guide/operate.md is complete");
    let unknown: Vec<String> =
        named(&operate).into_iter().filter(|name| !exported.contains(family(name))).collect();
    assert!(unknown.is_empty(), "docs/guide/operate.md names metrics that nothing exports: {unknown:?}");
}
