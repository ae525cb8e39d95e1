//! `publish_…`: each publishes a revision of everything that can be watched by then.

use chalkstream_store::Revision;
use serde::{Deserialize, Serialize};

use super::cost::Cost;
use super::definition::{Class, Execution, StepDefinition, no_contribution};

/// Publishes the source rendition.
pub const SOURCE: StepDefinition = definition("publish_source");
/// Publishes audio and stills.
pub const STILLS: StepDefinition = definition("publish_stills");
/// Publishes the weak line's rendition.
pub const WEAK_LINE: StepDefinition = definition("publish_weak_line");
/// Publishes the ladder.
pub const LADDER: StepDefinition = definition("publish_ladder");

/// A step that publishes. The worker checks what it publishes, and the revision in its report is
/// projected with the job (see [`chalkstream_store::projection`]).
pub const fn definition(name: &'static str) -> StepDefinition {
    StepDefinition {
        name,
        class: Class::Look,
        optional: false,
        requires: &[],
        cost: Cost::PUBLISH,
        execution: Execution::Publish,
        verify: |_, _, _| Ok(()),
        contribute: no_contribution,
    }
}

/// Report of a step that publishes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PublishReport {
    /// The published revision; `None` if there is nothing to watch yet.
    pub revision: Option<Revision>,
    /// Names of what can be watched with it.
    #[serde(default)]
    pub with: Vec<String>,
}
