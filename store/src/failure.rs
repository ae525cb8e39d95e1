//! The failure table: for each code whose fault it is, how often its step is tried, and who may
//! report it.
//!
//! Only inspection may blame the recording, and a second attempt confirms it. No failure deletes a
//! source.

use serde::{Deserialize, Serialize};

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The recording: it would fail the same way on every machine.
    Input,
    /// The machine that worked on it. Earlier builds wrote `dependency`.
    #[serde(alias = "dependency")]
    Machine,
    /// Our software. Earlier builds wrote `ours`.
    #[serde(alias = "ours")]
    Internal,
    /// A service that did not answer: storage.
    Outage,
}

/// Why a recording, or one step of it, failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable, API-visible code.
    pub code: String,
    /// One plain sentence.
    pub message: String,
    /// The step it happened in.
    pub step: String,
    /// Whose fault. Earlier builds wrote `fault`.
    #[serde(alias = "fault")]
    pub blame: Blame,
}

/// How often a step is tried after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tries {
    /// Never again: it would fail the same way.
    Never,
    /// Once more, to confirm what inspection said; on another worker if there is one.
    Confirm,
    /// Once more: the same input mostly crashes again.
    Twice,
    /// With growing waits, up to the policy's attempts.
    Counted,
    /// Uncounted, by other workers first. It counts only if a worker that failed the step did other
    /// steps well since: then the step is to blame.
    Machine,
    /// With growing waits, for days. It does not count.
    Outage,
    /// Only where another worker may be able to.
    Elsewhere,
    /// Uncounted, up to a limit of its own: a process that was killed says little about the step.
    Lost,
}

/// Who may report a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reporter {
    /// The child process that inspects a file.
    Inspection,
    /// The child process of any step.
    Step,
    /// The worker, which watches its children.
    Worker,
    /// The queue, which watches its workers.
    Queue,
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Stable, API-visible code.
    pub code: &'static str,
    /// Whose fault it is.
    pub blame: Blame,
    /// How often the step is tried.
    pub tries: Tries,
    /// Who may report it.
    pub reporter: Reporter,
}

/// Code of an error of our own that has no better one.
pub const INTERNAL: &str = "internal";
/// Code of a step that failed by what its child says is not the recording's fault.
pub const STEP_FAILED: &str = "step_failed";
/// Code of a step that cannot remove names, because their list cannot be read.
pub const NAMES_UNREADABLE: &str = "names_unreadable";
/// Code of a step whose worker stopped answering too often.
pub const WORKER_LOST: &str = "worker_lost";
/// Code by which a worker is paused whose refusal another worker did not confirm.
pub const REFUSAL_REFUTED: &str = "refusal_refuted";

const fn rule(code: &'static str, blame: Blame, tries: Tries, reporter: Reporter) -> Rule {
    Rule { code, blame, tries, reporter }
}

/// What is wrong with a file.
const fn input(code: &'static str) -> Rule {
    rule(code, Blame::Input, Tries::Confirm, Reporter::Inspection)
}

/// The table.
pub const TABLE: &[Rule] = &[
    input("archive_not_media"),
    input("decode_failed"),
    input("document_not_media"),
    input("empty_file"),
    input("encrypted"),
    input("form_not_media"),
    input("image_not_video"),
    input("incomplete_file"),
    input("link_not_media"),
    input("no_playable_track"),
    input("not_media"),
    input("page_not_media"),
    input("playlist_not_media"),
    input("sidecar_not_media"),
    input("too_long"),
    input("too_many_pixels"),
    input("too_many_references"),
    input("too_many_tracks"),
    input("truncated_no_index"),
    input("unsupported_codec"),
    input("unsupported_container"),
    rule("model_missing", Blame::Machine, Tries::Elsewhere, Reporter::Step),
    rule("tool_missing", Blame::Machine, Tries::Elsewhere, Reporter::Step),
    rule("sandbox_unavailable", Blame::Machine, Tries::Machine, Reporter::Step),
    rule(STEP_FAILED, Blame::Internal, Tries::Twice, Reporter::Step),
    rule("cancelled", Blame::Internal, Tries::Never, Reporter::Worker),
    rule("disk_full", Blame::Machine, Tries::Machine, Reporter::Worker),
    rule(INTERNAL, Blame::Internal, Tries::Counted, Reporter::Worker),
    rule("machine_failed", Blame::Machine, Tries::Machine, Reporter::Worker),
    rule(NAMES_UNREADABLE, Blame::Outage, Tries::Outage, Reporter::Worker),
    rule("output_too_large", Blame::Internal, Tries::Never, Reporter::Worker),
    rule("step_crashed", Blame::Internal, Tries::Twice, Reporter::Worker),
    rule("step_disk", Blame::Internal, Tries::Twice, Reporter::Worker),
    rule("step_forbidden", Blame::Internal, Tries::Never, Reporter::Worker),
    rule("step_killed", Blame::Machine, Tries::Lost, Reporter::Worker),
    rule("step_memory", Blame::Internal, Tries::Twice, Reporter::Worker),
    rule("step_stalled", Blame::Internal, Tries::Twice, Reporter::Worker),
    rule("step_too_slow", Blame::Internal, Tries::Twice, Reporter::Worker),
    rule("step_unknown", Blame::Machine, Tries::Elsewhere, Reporter::Worker),
    rule("step_unverified", Blame::Internal, Tries::Twice, Reporter::Worker),
    rule("storage_unavailable", Blame::Outage, Tries::Outage, Reporter::Worker),
    rule(WORKER_LOST, Blame::Machine, Tries::Lost, Reporter::Queue),
];

/// The row of a code; `None` if the table has none.
pub fn find(code: &str) -> Option<&'static Rule> {
    TABLE.iter().find(|rule| rule.code == code)
}

/// Whether a failure says that its worker lacks something: a model, a tool or a newer version.
pub fn is_missing_dependency(code: &str) -> bool {
    find(code).is_some_and(|rule| rule.tries == Tries::Elsewhere)
}

/// Whether a child process may report a code at all.
pub fn is_reportable_by_child(code: &str) -> bool {
    find(code).is_some_and(|rule| matches!(rule.reporter, Reporter::Inspection | Reporter::Step))
}

/// What follows from a code that a step failed with.
///
/// A code that is not in the table is an error of our own. So is one that only inspection may
/// report, from any other step: a file that passed inspection can be decoded.
pub fn judge(code: &str, is_inspection: bool) -> (Blame, Tries) {
    match find(code) {
        None => (Blame::Internal, Tries::Twice),
        Some(rule) if rule.reporter == Reporter::Inspection && !is_inspection => {
            (Blame::Internal, Tries::Twice)
        }
        Some(rule) => (rule.blame, rule.tries),
    }
}

impl Tries {
    /// Its name in the queue's scripts.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Confirm => "confirm",
            Self::Twice => "twice",
            Self::Counted => "counted",
            Self::Machine => "machine",
            Self::Outage => "outage",
            Self::Elsewhere => "elsewhere",
            Self::Lost => "lost",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn only_inspection_may_blame_the_recording_and_it_is_always_confirmed() {
        for rule in TABLE {
            let blames_input = rule.blame == Blame::Input;
            assert_eq!(blames_input, rule.reporter == Reporter::Inspection, "{}", rule.code);
            assert_eq!(blames_input, rule.tries == Tries::Confirm, "{}", rule.code);
            assert_ne!(judge(rule.code, false).0, Blame::Input, "{}", rule.code);
        }
        assert_eq!(judge("unsupported_codec", true), (Blame::Input, Tries::Confirm));
        assert_eq!(judge("decode_failed", false), (Blame::Internal, Tries::Twice));
        assert_eq!(judge("made_up", true), (Blame::Internal, Tries::Twice));
    }

    #[test]
    fn every_code_has_one_row() {
        let codes: BTreeSet<&str> = TABLE.iter().map(|rule| rule.code).collect();
        assert_eq!(codes.len(), TABLE.len());
    }

    #[test]
    fn failures_of_earlier_builds_can_be_read() {
        for (fault, blame) in
            [("input", Blame::Input), ("dependency", Blame::Machine), ("ours", Blame::Internal)]
        {
            let text = format!(r#"{{"code":"x","message":"X.","step":"inspect","fault":"{fault}"}}"#);
            let failure: Failure = serde_json::from_str(&text).unwrap();
            assert_eq!(failure.blame, blame);
            assert_eq!(serde_json::to_value(&failure).unwrap().get("fault"), None);
        }
    }
}
