//! What an attempt at a step made: its report, and every object with size and hash.

use std::collections::BTreeMap;

use chalkstream_pipeline::media::is_of_loss;
pub use chalkstream_store::StepResult;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::StepFailure;

/// The results of steps by name; an optional one that failed has none.
pub type Results = BTreeMap<String, StepResult>;

/// The report of a step, where it has a result.
pub fn report<T: DeserializeOwned>(results: &Results, step: &str) -> Result<Option<T>, StepFailure> {
    results.get(step).map(read_report).transpose()
}

/// The report of a result, as the type the step wrote.
pub fn read_report<T: DeserializeOwned>(result: &StepResult) -> Result<T, StepFailure> {
    T::deserialize(&result.report).map_err(StepFailure::ours)
}

/// How long what a step made is, in ms, where its report says so.
pub fn duration_ms(results: &Results, step: &str) -> Option<u64> {
    results.get(step)?.report["duration_ms"].as_u64()
}

/// Whether an output is of a rendition that was made, measured and found needless: it is in the report and nowhere else.
pub fn is_needless(report: &Value, path: &str) -> bool {
    let Some((rendition, _)) = path.strip_prefix("video/").and_then(|rest| rest.split_once('/')) else {
        return false;
    };
    report["dropped"].as_array().into_iter().flatten().any(|dropped| dropped["name"] == rendition)
}

/// What steps warned of, each once: codes and sentences.
pub fn warnings(results: &Results) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    for result in results.values() {
        for warning in result.report["warnings"].as_array().into_iter().flatten() {
            if !found.contains(warning) {
                found.push(warning.clone());
            }
        }
    }
    found
}

/// Whether a step warned that less comes out than should.
pub fn lost(results: &Results) -> bool {
    warnings(results).iter().any(|warning| warning["code"].as_str().is_none_or(is_of_loss))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn outputs_of_needless_renditions_are_told() {
        let report = json!({ "renditions": [], "dropped": [{ "name": "v480", "reason": "no_detail" }] });
        assert!(is_needless(&report, "video/v480/00001.m4s"));
        for path in
            ["video/v4800/00001.m4s", "video/v360/index.m3u8", "iframes/v480/index.m3u8", "video/v480"]
        {
            assert!(!is_needless(&report, path), "{path}");
        }
        assert!(!is_needless(&json!({ "renditions": [] }), "video/v480/00001.m4s"));
    }
}
