//! What a run found wrong.

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The recording; empty if it concerns none.
    pub recording: String,
    /// What is wrong.
    pub what: String,
    /// The history of the recording, as text.
    pub history: String,
}

impl Violation {
    /// About a recording.
    pub fn about(recording: &str, what: impl Into<String>) -> Self {
        Self { recording: recording.to_owned(), what: what.into(), history: String::new() }
    }

    /// About the fleet.
    pub fn general(what: impl Into<String>) -> Self {
        Self::about("", what)
    }
}
