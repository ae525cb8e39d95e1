//! A job as it is made from a recording's manifest.

use crate::Manifest;
use crate::queue::JobSpec;
use crate::step::StepSpec;

impl JobSpec {
    /// The job that a recording begins with: one step, whose result plans the rest.
    pub fn for_recording(manifest: &Manifest) -> Self {
        Self { steps: vec![StepSpec::first()], ..Self::from_records(manifest) }
    }

    /// The job with the steps that a manifest records.
    pub fn from_records(manifest: &Manifest) -> Self {
        Self {
            tenant: manifest.tenant.clone(),
            recording: manifest.recording.clone(),
            steps: manifest.steps.iter().map(|(name, record)| record.spec(name)).collect(),
            due_at_ms: manifest.due_at_ms,
            dedupe: manifest.dedupe.clone(),
        }
    }
}
