//! `weak_line`: makes the smallest rendition, which plays on the weakest line. It can be watched
//! while it is made (see [`crate::publish::live_rendition`]).

use super::definition::{Class, Cost, Execution, Input, StepDefinition, no_contribution};
use super::request::planned;
use super::verify;

/// Name of the step.
pub const NAME: &str = "weak_line";

/// The step.
pub const DEFINITION: StepDefinition = StepDefinition {
    name: NAME,
    class: Class::Watchable,
    optional: false,
    requires: &[],
    execution: Execution::Child { cost: Cost::PerDuration, input: Input::Source, request: planned },
    verify: verify::transcode,
    contribute: no_contribution,
};
