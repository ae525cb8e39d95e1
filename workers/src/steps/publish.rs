//! `publish_…`: each publishes a revision of everything that can be watched by then.

use chalkstream_store::Revision;
use serde::{Deserialize, Serialize};

use super::definition::{Class, Execution, StepDefinition, no_contribution};

/// Publishes the source rendition.
pub const SOURCE: StepDefinition = definition("publish_source", Class::Watchable);
/// Publishes audio and stills.
pub const STILLS: StepDefinition = definition("publish_stills", Class::Watchable);
/// Publishes the weak line's rendition.
pub const WEAK_LINE: StepDefinition = definition("publish_weak_line", Class::Watchable);
/// Publishes the ladder.
pub const LADDER: StepDefinition = definition("publish_ladder", Class::Completing);

/// A step that publishes. The worker checks what it publishes, and the revision in its report is
/// projected with the job (see [`chalkstream_store::projection`]).
pub const fn definition(name: &'static str, class: Class) -> StepDefinition {
    StepDefinition {
        name,
        class,
        optional: false,
        requires: &[],
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
