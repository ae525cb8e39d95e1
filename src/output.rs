//! The one place that prints: results to standard output, everything else to standard error.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::{IsTerminal, Write};

use serde_json::Value;

/// One JSON document.
pub fn json(value: &Value) {
    line(&format!("{value:#}"));
}

/// A line of the result. A reader that has gone away is not an error.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// A whole text, as it is.
pub fn text(text: &str) {
    let _ = write!(std::io::stdout().lock(), "{text}");
}

/// A line for whoever watches.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Whether someone watches.
pub fn watched() -> bool {
    std::io::stderr().is_terminal()
}
