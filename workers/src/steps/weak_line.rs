//! `weak_line`: makes the smallest rendition, which plays on the weakest line. It can be watched
//! while it is made (see [`crate::publish::live_rendition`]).

use super::cost::Cost;
use super::definition::{Class, Deadline, Execution, Input, StepDefinition, no_contribution};
use super::request::planned;
use super::verify;

/// Name of the step.
pub const NAME: &str = "weak_line";

/// The step.
pub const DEFINITION: StepDefinition = StepDefinition {
    name: NAME,
    class: Class::WeakLine,
    optional: false,
    requires: &[],
    cost: Cost::WEAK_LINE,
    execution: Execution::Child { deadline: Deadline::PerDuration, input: Input::Source, request: planned },
    verify: verify::transcode,
    contribute: no_contribution,
};
