//! The video renditions that `process` reports.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// A track of frames in the stream.
pub struct ReportedRendition {
    /// Its media playlist.
    pub playlist: PathBuf,
    /// Width and height, in pixels.
    pub size: (usize, usize),
    /// Frames per second.
    pub rate: f64,
}

/// The renditions of all sizes, the largest first.
pub fn renditions(out: &Path, answer: &Value) -> Vec<ReportedRendition> {
    let mut found: Vec<ReportedRendition> = ["weak_line", "ladder", "ladder_top"]
        .iter()
        .filter_map(|step| answer["steps"][*step]["report"]["renditions"].as_array())
        .flatten()
        .map(|made| {
            let number = |value: &Value, or: f64| value.as_f64().unwrap_or(or);
            let rate = &made["frame_rate"];
            ReportedRendition {
                playlist: out.join("hls").join(made["playlist"].as_str().unwrap_or_default()),
                size: (number(&made["width"], 0.0) as usize, number(&made["height"], 0.0) as usize),
                rate: number(&rate["num"], 25.0) / number(&rate["den"], 1.0),
            }
        })
        .collect();
    // Of a small source the two largest have one size: the one with all frames is first.
    let area = |made: &ReportedRendition| made.size.0 * made.size.1;
    found.sort_by(|a, b| area(b).cmp(&area(a)).then(b.rate.total_cmp(&a.rate)));
    found
}
