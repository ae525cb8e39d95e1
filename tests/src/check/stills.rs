//! Poster, storyboard and the rendition of stills keep shapes as the renditions do.

use std::path::Path;

use super::rgb_frame::{RgbFrame, decode, dimensions, square, upright};
use crate::ground_truth::GroundTruth;
use crate::presentation::joined;
use crate::stream::files;

/// Returns the problems of poster, storyboard and stills.
pub fn problems(truth: &GroundTruth, out: &Path, scratch: &Path) -> Vec<String> {
    if truth.squares_s.is_empty() && truth.upright_s.is_empty() {
        return Vec::new();
    }
    let all = [("poster", poster(out)), ("storyboard", storyboard(out)), ("stills", stills(out, scratch))];
    let mut wrong = Vec::new();
    for (name, frames) in all {
        if frames.is_empty() {
            wrong.push(format!("{name}: there is no image"));
        }
        // In a flash there is nothing to see.
        for frame in frames.iter().filter(|frame| !frame.is_white()) {
            let mut said = Vec::new();
            if !truth.squares_s.is_empty() {
                said.extend(square(frame));
            }
            if !truth.upright_s.is_empty() {
                said.extend(upright(frame));
            }
            wrong.extend(said.into_iter().map(|what| format!("{name}: {what}")));
        }
    }
    wrong
}

fn poster(out: &Path) -> Vec<RgbFrame> {
    let poster = out.join("stills/poster.jpg");
    decode(&poster, None, dimensions(&poster))
}

fn stills(out: &Path, scratch: &Path) -> Vec<RgbFrame> {
    let playlist = files(out, "m3u8").into_iter().find(|path| path.ends_with("stills/index.m3u8"));
    playlist.map_or_else(Vec::new, |playlist| {
        let file = joined(&playlist, scratch);
        decode(&file, None, dimensions(&file))
    })
}

/// The images of the storyboard, cut out of its sheets as its captions say.
fn storyboard(out: &Path) -> Vec<RgbFrame> {
    let text = std::fs::read_to_string(out.join("stills/storyboard.vtt")).unwrap_or_default();
    let mut found = Vec::new();
    for (line, before) in text.lines().skip(1).zip(text.lines()) {
        let Some((sheet, area)) = line.split_once("#xywh=") else { continue };
        let sides: Vec<usize> = area.split(',').filter_map(|side| side.parse().ok()).collect();
        let [left, top, width, height] = sides[..] else { continue };
        let file = out.join("stills").join(sheet);
        let at_s = before.split(" --> ").next().map_or(0.0, seconds);
        for mut frame in decode(&file, None, dimensions(&file)) {
            frame.at_s = at_s;
            found.push(frame.part(left, top, width, height));
        }
    }
    found
}

/// A time such as `00:01:02.500`, in s.
fn seconds(text: &str) -> f64 {
    text.split(':').fold(0.0, |sum, part| sum * 60.0 + part.trim().parse::<f64>().unwrap_or(0.0))
}
