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
    let done = Command::new(built_binary("chaos"))
        .args(["--faults", "18", "--lessons", "8", "--seed", "15", "--minutes", "7"])
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
        assert!(plan.faults.iter().any(|fault| fault.kind == kind), "{kind:?}");
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

/// A bucket with one recording that is as it should be.
fn bucket() -> TempDir {
    let objects = TempDir::new().unwrap();
    let facts = json!({ "size_bytes": 6, "sha256": sha256(b"lesson") });
    let manifest = json!({
        "state": "ready",
        "source": { "key": "source/original.mp4", "sha256": sha256(b"lesson") },
        "objects": { "source/original.mp4": facts },
    });
    let key = format!("{ID}/manifest/00000000000000000007.json");
    write(objects.path(), &key, manifest.to_string().as_bytes());
    write(objects.path(), &format!("{ID}/source/original.mp4"), b"lesson");
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
        ("source/original.mp4", &b"lessen"[..], "not what was written"),
        ("stills/7/poster.jpg", b"x", "nothing names it"),
        ("manifest/00000000000000000008.json", b"{}", "names no objects"),
    ] {
        let objects = bucket();
        write(objects.path(), &format!("{ID}/{key}"), bytes);
        let found = found(&objects, End::Ready);
        assert!(found.contains(problem), "{key}: {found}");
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
