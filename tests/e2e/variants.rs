//! One new recording of each kind that went wrong once; `scripts/conformance --variants` makes more
//! of them.

use chalkstream_tests::variants::{self, KINDS};
use tempfile::TempDir;

/// Always the same recordings: chance is for the script.
const SEED: u64 = 13;

/// Makes the `index`th recording of a kind and has it judged: nothing may be wrong.
fn right(name: &str, index: usize) {
    let kind = KINDS.iter().find(|kind| kind.name == name).expect("a kind");
    let folder = TempDir::new().unwrap();
    let (row, steps) = variants::check(kind, index, SEED, folder.path());
    assert!(row.wrong.is_empty(), "{}:\n{}\nmade by\n{}", row.name, row.wrong.join("\n"), steps.join("\n"));
}

#[test]
fn a_clock_that_drifts() {
    right("drift", 0);
}

#[test]
fn a_file_that_was_not_closed() {
    right("unclosed", 1);
}

#[test]
fn a_voice_in_the_second_audio_track() {
    right("track", 0);
}

#[test]
fn a_quiet_voice_after_a_bang() {
    right("bang", 0);
}

#[test]
fn a_web_form_around_the_file() {
    right("refusals", 2);
}

#[test]
fn a_container_of_voice_memos() {
    right("containers", 0);
}

#[test]
fn slides_in_a_transport_stream() {
    right("slow", 3);
}

#[test]
fn a_call_that_begins_small() {
    right("growing", 0);
}

#[test]
fn a_part_of_a_recording_by_its_edit_list() {
    right("edits", 0);
}

#[test]
fn two_recordings_in_one_file() {
    right("joined", 0);
}
