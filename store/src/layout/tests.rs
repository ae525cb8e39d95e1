//! Keys are what they were.

use super::*;

#[test]
fn ids_are_checked() {
    assert!(valid_tenant("district-9"));
    for bad in ["", "A", "a/b", "..", "_system", "a b", &"a".repeat(41)] {
        assert!(!valid_tenant(bad), "{bad}");
    }
    assert!(valid_recording(&new_recording_id()));
    for bad in
        ["", "..", "0198-", "0198C0DE-0000-7000-8000-000000000000", "0198c0de00007000800000000000000000-0"]
    {
        assert!(!valid_recording(bad), "{bad}");
    }
}

#[test]
fn an_extension_never_leaves_its_segment() {
    assert_eq!(source_relative("IMG_0001.MOV"), "source/original.mov");
    for hostile in ["x./../../etc", "noext", "a.", "a.mp4/..", "a.\u{0}", "a.verylongext"] {
        assert_eq!(source_relative(hostile), "source/original.bin");
    }
}

#[test]
fn an_attempts_keys_carry_its_fence() {
    for key in ["hls/video/17/v240/00001.m4s", "index/17/video", "work/17/speech.wav"] {
        assert_eq!(fence_of(key), Some(17), "{key}");
    }
    assert_eq!(fence_of(&inventory_relative(17, "ladder")), Some(17));
    for key in ["hls/1/master.m3u8", "source/original.mp4", "manifest/00000000000000000017.json"] {
        assert_eq!(fence_of(key), None, "{key}");
    }
}

#[test]
fn newer_recordings_are_listed_first() {
    let (old, new) = ("0198c0de-0000-7000-8000-000000000000", "0198c0de-0001-7000-8000-000000000000");
    assert!(list_key("t", "ready", new) < list_key("t", "ready", old));
    let key = list_key("t", "ready", old);
    assert_eq!(
        key,
        format!("{}{}fe673f21-ffff-8fff-7fff-ffffffffffff", list_prefix("t", "ready"), list_folder(old))
    );
    assert_eq!(listed_recording(&key).unwrap(), old);
    assert_eq!(listed_recording("t/_list/ready/fe673/x"), None);
}

#[test]
fn manifests_sort_by_fence() {
    assert!(manifest_key("t", "r", 9) < manifest_key("t", "r", 10));
    assert!(manifest_key("t", "r", 99) < manifest_key("t", "r", u64::MAX));
    assert!(corrections_key("t", "r", 9, "b") < corrections_key("t", "r", 10, "a"));
    assert_eq!(parse_corrections_key(&corrections_key("t", "r", 10, "a1")), Some((10, "a1")));
    assert_eq!(parse_corrections_key(&manifest_key("t", "r", 10)), None);
    assert!(corrections_key("t", "r", 1, "a").starts_with(&manifest_prefix("t", "r")));
    assert_eq!(fence_of("corrections/00000000000000000010-a1.json"), None);
}
