//! The results of a job's steps, with their reports as types.

use std::collections::BTreeMap;

use chalkstream_pipeline::media::{MediaInfo, is_loss_code};
pub use chalkstream_store::StepResult;
use chalkstream_store::{JobView, StepSpec, projection};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::StepFailure;

/// The accepted results of a job, by step name. An optional step that failed has none.
#[derive(Clone, Debug, Default)]
pub struct Results(BTreeMap<String, StepResult>);

impl Results {
    /// The accepted results of a job.
    pub fn from_job(job: &JobView) -> Result<Self, StepFailure> {
        projection::results(job).map(Self).map_err(StepFailure::ours)
    }

    /// The results that a lease came with.
    pub fn from_needs(needs: &BTreeMap<String, Option<Value>>) -> Result<Self, StepFailure> {
        let results = needs.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let read = |(name, value): (&String, &Value)| {
            Ok((name.clone(), StepResult::from_value(value).map_err(StepFailure::ours)?))
        };
        results.map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Adds a result.
    pub fn insert(&mut self, step: &str, result: StepResult) {
        self.0.insert(step.to_owned(), result);
    }

    /// The result of a step; `None` if it has none.
    pub fn get(&self, step: &str) -> Option<&StepResult> {
        self.0.get(step)
    }

    /// All results, by step name.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &StepResult)> {
        self.0.iter()
    }

    /// The report of a step; `None` if it has no result.
    pub fn report<T: DeserializeOwned>(&self, step: &str) -> Result<Option<T>, StepFailure> {
        let report = self.get(step).map(|result| T::deserialize(&result.report));
        report.transpose().map_err(StepFailure::ours)
    }

    /// Facts about the file; `None` if it was not inspected yet.
    pub fn media(&self) -> Result<Option<MediaInfo>, StepFailure> {
        self.report(StepSpec::FIRST)
    }

    /// The fence of the attempt that made a step's result; 0 if it has none.
    pub fn fence(&self, step: &str) -> u64 {
        self.get(step).map_or(0, |result| result.fence)
    }

    /// Duration of what a step made, in ms, if its report says so.
    pub fn duration_ms(&self, step: &str) -> Option<u64> {
        self.get(step)?.report["duration_ms"].as_u64()
    }

    /// The warnings of all steps, each once: codes and sentences.
    pub fn warnings(&self) -> Vec<Value> {
        let mut found: Vec<Value> = Vec::new();
        for result in self.0.values() {
            for warning in result.report["warnings"].as_array().into_iter().flatten() {
                if !found.contains(warning) {
                    found.push(warning.clone());
                }
            }
        }
        found
    }

    /// Whether a step warned that less comes out than should.
    pub fn is_lossy(&self) -> bool {
        self.warnings().iter().any(|warning| warning["code"].as_str().is_none_or(is_loss_code))
    }
}

/// Whether an output belongs to a rendition that was made, measured and dropped: such a rendition
/// is in the report and nowhere else.
pub fn is_dropped(report: &Value, path: &str) -> bool {
    let rendition = path.strip_prefix("video/").and_then(|rest| rest.split_once('/'));
    let Some((rendition, _)) = rendition else { return false };
    let dropped = report["dropped"].as_array().into_iter().flatten();
    dropped.into_iter().any(|dropped| dropped["name"] == rendition)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn outputs_of_dropped_renditions_are_found() {
        let report = json!({ "renditions": [], "dropped": [{ "name": "v480", "reason": "no_detail" }] });
        assert!(is_dropped(&report, "video/v480/00001.m4s"));
        for path in
            ["video/v4800/00001.m4s", "video/v360/index.m3u8", "iframes/v480/index.m3u8", "video/v480"]
        {
            assert!(!is_dropped(&report, path), "{path}");
        }
        assert!(!is_dropped(&json!({ "renditions": [] }), "video/v480/00001.m4s"));
    }
}
