//! Folders: what is special to this engine.
#![allow(clippy::unwrap_used)]

use tempfile::TempDir;

use super::super::{Area, SpokenCue, find};
use super::*;

fn lesson(tenant: &str, recording: &str) -> IndexedLesson {
    IndexedLesson { tenant: tenant.into(), recording: recording.into(), ..IndexedLesson::default() }
}

fn said(text: &str) -> SpokenLesson {
    let cue = SpokenCue { end_ms: 1_000, text: text.into(), ..SpokenCue::default() };
    SpokenLesson { language: "en".into(), cues: vec![cue], embedded: Vec::new() }
}

fn count(engine: &Embedded, tenant: &str, query: &str) -> usize {
    find(engine, query, &Area::for_tenant(tenant), 0, 50).unwrap().moments.len()
}

#[test]
fn more_tenants_than_can_be_open_are_written_and_found() {
    let folder = TempDir::new().unwrap();
    let engine = Embedded::open_with(folder.path(), 2).unwrap();
    let tenants: Vec<String> = (0..6).map(|n| format!("tenant-{n}")).collect();
    for round in 0..3 {
        for tenant in &tenants {
            engine.replace(&lesson(tenant, &format!("r{round}")), &said("these words")).unwrap();
        }
        engine.commit().unwrap();
        for tenant in &tenants {
            assert_eq!(count(&engine, tenant, "words"), round + 1, "{tenant}");
        }
        assert!(lock_of(&engine.open).len() <= 4, "two that are open, and two with a writer");
    }
    for tenant in &tenants {
        engine.remove(tenant, "r1").unwrap();
    }
    engine.commit().unwrap();
    while engine.purge().unwrap() > 0 {}
    for tenant in &tenants {
        assert_eq!(count(&engine, tenant, "words"), 2);
        assert!(!engine.has_words(tenant, "r1").unwrap());
        assert!(!engine.index(tenant).unwrap().has_leftovers().unwrap());
    }
    assert!(lock_of(&engine.unpurged).is_empty());
}

#[test]
fn an_index_that_cannot_be_read_is_made_again_and_the_position_forgotten() {
    let folder = TempDir::new().unwrap();
    let engine = Embedded::open(folder.path()).unwrap();
    for tenant in ["acme", "other"] {
        engine.replace(&lesson(tenant, "r1"), &said("these words")).unwrap();
    }
    engine.commit().unwrap();
    engine.set_position(Some("1-0")).unwrap();
    drop(engine);
    std::fs::create_dir(folder.path().join("v1")).unwrap();
    let acme = folder.path().join(format!("v{}/tenants/acme", schema::VERSION));
    std::fs::write(acme.join("meta.json"), "not an index").unwrap();

    let engine = Embedded::open(folder.path()).unwrap();
    assert!(!folder.path().join("v1").exists(), "another version's");
    assert_eq!(engine.position().unwrap(), None);
    assert_eq!((count(&engine, "acme", "words"), count(&engine, "other", "words")), (0, 1));
    engine.set_position(Some("2-0")).unwrap();
    assert_eq!(engine.position().unwrap(), None, "storage was not scanned since");
    engine.set_position(None).unwrap();
    engine.set_position(Some("3-0")).unwrap();
    assert_eq!(engine.position().unwrap().as_deref(), Some("3-0"));
}

#[test]
fn a_second_opener_is_refused_and_breaks_nothing() {
    let folder = TempDir::new().unwrap();
    let engine = Embedded::open(folder.path()).unwrap();
    engine.replace(&lesson("acme", "r1"), &said("kept words")).unwrap();
    engine.commit().unwrap();
    assert!(matches!(Embedded::open(folder.path()), Err(Error::InUse)));
    assert_eq!(count(&engine, "acme", "words"), 1);
}

#[test]
fn a_folder_deleted_while_it_is_open_stops_no_other_tenant() {
    let folder = TempDir::new().unwrap();
    let engine = Embedded::open(folder.path()).unwrap();
    for tenant in ["acme", "other"] {
        engine.replace(&lesson(tenant, "r1"), &said("these words")).unwrap();
        engine.remove(tenant, "r1").unwrap();
        engine.replace(&lesson(tenant, "r2"), &said("these words")).unwrap();
    }
    engine.commit().unwrap();
    let acme = folder.path().join(format!("v{}/tenants/acme", schema::VERSION));
    // The engine's own threads may be writing to it.
    while acme.exists() {
        let _ = std::fs::remove_dir_all(&acme);
    }

    // The first change may fail, and says so: the position is gone, and storage is scanned.
    let failed = engine.replace(&lesson("acme", "r3"), &said("these words")).and_then(|()| engine.commit());
    if failed.is_err() {
        assert_eq!(engine.position().unwrap(), None);
        engine.replace(&lesson("acme", "r3"), &said("these words")).unwrap();
        engine.commit().unwrap();
    }
    engine.replace(&lesson("other", "r3"), &said("these words")).unwrap();
    engine.commit().unwrap();
    assert_eq!((count(&engine, "acme", "words"), count(&engine, "other", "words")), (1, 2));
    engine.purge().unwrap();
    assert!(!engine.has_words("other", "r1").unwrap(), "purged");
}

#[test]
fn an_index_that_the_machine_has_no_files_or_memory_for_is_not_deleted() {
    let of_system = |code| Error::Folder(std::io::Error::from_raw_os_error(code));
    let reading =
        |error: std::io::Error| Error::Engine(OpenReadError::wrap_io_error(error, "meta.json".into()).into());
    for shortage in [of_system(EMFILE), of_system(ENFILE), reading(ErrorKind::OutOfMemory.into())] {
        assert!(is_shortage(&shortage), "{shortage}");
    }
    let not_found = OpenReadError::FileDoesNotExist("meta.json".into());
    for damage in [
        Error::Entry,
        Error::Engine(not_found.into()),
        reading(std::io::Error::new(ErrorKind::InvalidData, "no footer")),
    ] {
        assert!(!is_shortage(&damage), "{damage}");
    }
}
