//! The transcript against what is said.

use std::path::Path;

use serde_json::Value;

use crate::ground_truth::Words;
use crate::stream::files;

/// How far the first word may be off, in s.
const OFF_S: f64 = 0.7;

/// Problems of the transcript.
pub fn problems(expected: &Words, out: &Path) -> Vec<String> {
    let found: Vec<(f64, String)> = files(out, "json")
        .into_iter()
        .find(|path| path.ends_with("transcript/transcript.json"))
        .and_then(|path| serde_json::from_slice::<Value>(&std::fs::read(path).ok()?).ok())
        .map_or_else(Vec::new, |transcript| words(&transcript));
    let text = found.iter().map(|(_, word)| word.as_str()).collect::<Vec<_>>().join(" ");
    let mut wrong = Vec::new();
    let right = expected.said.iter().filter(|word| found.iter().any(|(_, said)| said == *word)).count();
    if right < expected.at_least {
        let (all, least) = (expected.said.len(), expected.at_least);
        wrong.push(format!("the transcript has {right} of {all} words, fewer than {least}: «{text}»"));
    }
    if let (Some(expected_s), Some((first_s, word))) = (expected.first_s, found.first())
        && (first_s - expected_s).abs() > OFF_S
    {
        wrong.push(format!("the first word «{word}» is at {first_s:.2} s, not at {expected_s:.2} s"));
    }
    wrong
}

/// The words of a transcript with their times, in lower case and without punctuation.
fn words(transcript: &Value) -> Vec<(f64, String)> {
    let cues = transcript["cues"].as_array().into_iter().flatten();
    cues.flat_map(|cue| cue["words"].as_array().into_iter().flatten())
        .filter_map(|word| Some((word["start_ms"].as_f64()? / 1000.0, plain(word["text"].as_str()?))))
        .collect()
}

/// A word as it is compared.
pub fn plain(word: &str) -> String {
    word.to_lowercase().chars().filter(|letter| letter.is_alphanumeric() || *letter == '\'').collect()
}
