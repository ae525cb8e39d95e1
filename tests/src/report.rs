//! One line of the conformance table: what was measured on a recording, and what is wrong with it.

use serde_json::Value;

/// Longest source that is decoded completely to find a frame in it, in s; in longer ones ffmpeg
/// seeks.
pub const SEEK_FROM_S: f64 = 60.0;

/// One line of the table.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// The file's name.
    pub name: String,
    /// Minimum PSNR of luma over the times looked at, in dB, and SSIM there.
    pub similarity: Option<(f64, f64)>,
    /// `1920×1080 ⟳90`.
    pub size: String,
    /// Length made and length declared, in s.
    pub lengths_s: Option<(f64, f64)>,
    /// Audio later than video at the start and at the end, in ms, where it can be measured.
    pub av_offset_ms: [Option<f64>; 2],
    /// Ours less the reference's: mean luma and chromas, the most over the times looked at.
    pub colour: Option<[f64; 3]>,
    /// `none`, `pq` or `hlg`.
    pub hdr: String,
    /// How the source is served as it is, where that is to be judged: `as it is`, or why not.
    pub source: Option<String>,
    /// Codes of the warnings.
    pub warnings: Vec<String>,
    /// Refused with this code, as it should be.
    pub refused: Option<String>,
    /// Problems; empty if all is right.
    pub wrong: Vec<String>,
}

/// Everything that was warned of: about the file, and by steps.
pub fn warnings(answer: &Value) -> Vec<String> {
    let of = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|w| Some(w["message"].as_str()?.to_owned()))
            .collect()
    };
    let mut all = of(&answer["warnings"]);
    all.extend(of(&answer["media"]["warnings"]));
    for (_, step) in answer["steps"].as_object().into_iter().flatten() {
        all.extend(of(&step["report"]["warnings"]));
    }
    all.sort();
    all.dedup();
    all
}
