//! A short form of `scripts/chaos`: every kind of fault once, on few lessons.

use std::process::Command;

use chalkstream_tests::process::built_binary;

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
