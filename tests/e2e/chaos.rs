//! A short form of `scripts/chaos`, and its checks: one that finds nothing proves nothing.

use std::path::Path;
use std::process::Command;

use chalkstream_tests::chaos::client::{Acknowledged, End};
use chalkstream_tests::chaos::history::LogLine;
use chalkstream_tests::chaos::plan::{FaultKind, Plan};
use chalkstream_tests::chaos::violation::Violation;
use chalkstream_tests::chaos::{steps, storage};
use chalkstream_tests::process::built_binary;
use chalkstream_tests::uploads::sha256;
use serde_json::json;
use tempfile::TempDir;

#[test]
fn what_was_promised_holds_under_fire() {
    let faults = FaultKind::ALL.len().to_string();
    let done = Command::new(built_binary("chaos"))
        .args(["--faults", &faults, "--lessons", "8", "--seed", "15", "--minutes", "7"])
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&done.stdout);
    println!("{report}");
    assert!(done.status.success(), "{report}\n{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_seed_is_a_plan_and_few_faults_are_of_different_kinds() {
    let plan = Plan::new(7, FaultKind::ALL.len(), 40);
    assert_eq!(plan, Plan::new(7, FaultKind::ALL.len(), 40));
    assert_ne!(plan, Plan::new(8, FaultKind::ALL.len(), 40));
    for (kind, ..) in FaultKind::ALL {
        assert!(plan.faults.iter().any(|fault| fault.kind == *kind), "{kind:?}");
    }
}

const ID: &str = "01900000-0000-7000-8000-000000000001";

fn recording(end: End) -> Acknowledged {
    Acknowledged {
        tenant: 0,
        recording: ID.to_owned(),
        sha256: sha256(b"lesson"),
        size_bytes: 6,
        end,
        is_complete: true,
        retried_at_ms: vec![5_000_000],
    }
}

fn write(objects: &Path, key: &str, bytes: &[u8]) {
    let path = objects.join("school-0").join(key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

const SOURCE: &str = "source/original.mp4";
const INVENTORY: &str = "inventory/7/ladder.json";
const SEGMENTS: &str = "hls/v360/7/segments-0";

/// A bucket with one recording that is as it should be. An inventory names its two segments, which
/// share an object.
fn bucket() -> TempDir {
    let objects = TempDir::new().unwrap();
    let facts = |bytes: &[u8]| json!({ "size_bytes": bytes.len(), "sha256": sha256(bytes) });
    let mut segments = facts(b"onetwo");
    let parts = ["one", "two"].map(|name| {
        let mut part = facts(name.as_bytes());
        part["name"] = json!(name);
        part
    });
    segments["parts"] = json!(parts);
    let inventory = json!({ "version": 1, "fence": 7, "step": "ladder", "objects": { SEGMENTS: segments } });
    let inventory = inventory.to_string();
    let reference =
        json!({ "key": INVENTORY, "objects": 1, "size_bytes": 6, "sha256": sha256(inventory.as_bytes()) });
    let manifest = json!({
        "state": "ready",
        "source": { "key": SOURCE, "sha256": sha256(b"lesson") },
        "objects": { SOURCE: facts(b"lesson") },
        "inventories": { "7": reference },
    });
    for (key, bytes) in [
        (SOURCE, "lesson"),
        (SEGMENTS, "onetwo"),
        (INVENTORY, &inventory),
        ("manifest/00000000000000000007.json", &manifest.to_string()),
    ] {
        write(objects.path(), &format!("{ID}/{key}"), bytes.as_bytes());
    }
    objects
}

fn found(objects: &TempDir, end: End) -> String {
    let violations = storage::check(objects.path(), &[recording(end)]);
    let texts: Vec<String> = violations.into_iter().map(|Violation { what, .. }| what).collect();
    texts.join("; ")
}

#[test]
fn storage_is_held_to_what_was_promised() {
    assert_eq!(found(&bucket(), End::Ready), "");
    for (key, bytes, problem) in [
        (SOURCE, "lessen", "bytes that are not what was written"),
        (SEGMENTS, "ontwoo", "in hls/v360/7/segments-0 is not what was written"),
        (SEGMENTS, "onetwothree", "has bytes of no part"),
        (SEGMENTS, "onetw", "is too short"),
        (INVENTORY, "{\"objects\":{}}", "names 0 objects of 0 bytes"),
        ("stills/7/poster.jpg", "x", "nothing names it"),
        ("hls/v360/9/segments-0", "onetwo", "nothing names it"),
        ("inventory/9/ladder.json", "{}", "nothing names it"),
        ("source/.original.mp4.tmp", "les", "nothing names it"),
        ("manifest/00000000000000000008.json", "{}", "names no objects"),
    ] {
        let objects = bucket();
        write(objects.path(), &format!("{ID}/{key}"), bytes.as_bytes());
        let found = found(&objects, End::Ready);
        assert!(found.contains(problem), "{key}: {found}");
    }
    for key in [SOURCE, SEGMENTS, INVENTORY] {
        let objects = bucket();
        std::fs::remove_file(objects.path().join("school-0").join(ID).join(key)).unwrap();
        let found = found(&objects, End::Ready);
        assert!(found.contains(key) && found.contains("No such file"), "{key}: {found}");
    }
    let other = "01900000-0000-7000-8000-000000000002";
    for (key, problem) in [
        (format!("_pending/{ID}"), "still marked as unfinished"),
        (format!("_uploads/{ID}.json"), "unfinished upload"),
        (format!("{other}/source/original.mp4"), "acknowledged to no client"),
    ] {
        let objects = bucket();
        write(objects.path(), &key, b"x");
        let found = found(&objects, End::Ready);
        assert!(found.contains(problem), "{key}: {found}");
    }
    assert!(found(&bucket(), End::Cancelled).contains("not cancelled"));
    assert!(found(&bucket(), End::Deleted).contains("source/original.mp4 is there"));
}

#[test]
fn an_inventory_is_what_was_written() {
    let objects = bucket();
    let path = objects.path().join("school-0").join(ID).join(INVENTORY);
    let mut inventory = std::fs::read(&path).unwrap();
    inventory.push(b' ');
    std::fs::write(path, inventory).unwrap();
    let found = found(&objects, End::Ready);
    assert!(found.contains("ladder.json: ") && found.contains("not what was written"), "{found}");
}

#[test]
fn a_temporary_file_that_a_worker_left_is_found() {
    let scratch = TempDir::new().unwrap();
    let folders = [scratch.path().to_owned()];
    std::fs::create_dir_all(scratch.path().join("worker-1/attempt")).unwrap();
    assert_eq!(storage::temporary_files(&folders), []);
    std::fs::write(scratch.path().join("worker-1/attempt/segment.tmp"), b"x").unwrap();
    let found = storage::temporary_files(&folders);
    assert!(found.len() == 1 && found[0].what.ends_with("segment.tmp was left"), "{found:?}");
}

#[test]
fn a_step_that_was_done_runs_again_only_for_a_reason() {
    let done = |at_ms| LogLine {
        process: "worker-1".to_owned(),
        at_ms,
        level: "INFO".to_owned(),
        fields: json!({ "message": "step done", "recording_id": ID, "step": "stills" })
            .as_object()
            .cloned()
            .unwrap_or_default(),
    };
    let count = |first, second, losses: &[u64]| {
        steps::count(&[done(first), done(second)], &[recording(End::Ready)], losses).1.len()
    };
    assert_eq!(count(1_000_000, 1_060_000, &[]), 1);
    assert_eq!(count(1_000_000, 1_060_000, &[1_030_000]), 0, "Redis was emptied between");
    assert_eq!(count(1_000_000, 1_060_000, &[1_070_000]), 1);
    assert_eq!(count(4_000_000, 6_000_000, &[]), 0, "a client retried it");
}
