//! The job that every recording begins with.

use chalkstream_store::{JobSpec, Manifest, StepSpec};
use serde_json::json;

/// The job of a recording whose source is stored: its first step inspects the file.
pub fn first_job(manifest: &Manifest) -> JobSpec {
    JobSpec {
        tenant: manifest.tenant.clone(),
        recording: manifest.recording.clone(),
        steps: vec![StepSpec {
            name: "inspect".into(),
            needs: Vec::new(),
            optional: false,
            priority: 0,
            input: json!({}),
        }],
        due_at_ms: manifest.due_at_ms,
        dedupe: manifest.dedupe.clone(),
        traceparent: manifest.traceparent.clone(),
    }
}
