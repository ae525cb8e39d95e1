//! `finish`: publishes the last revision, after all other steps.

use super::definition::StepDefinition;
use super::publish;

/// Name of the step.
pub const NAME: &str = "finish";

/// The step.
pub const DEFINITION: StepDefinition = publish::definition(NAME);
