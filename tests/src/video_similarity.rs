//! Our frames against those that ffmpeg decodes of the source: three times, and the shape.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::frames::{Frame, FrameSimilarity, compare, decode};
use crate::presentation;
use crate::report::{Row, SEEK_FROM_S};
use crate::source::ProbedSource;

/// Longest time that a frame of the source is looked for before the time that is compared, in s.
const LONGEST_FRAME_S: f64 = 61.0;

/// Compares frames near the start of the source's video, which is at `start_s`, in the middle and
/// near the end; returns how many ms late ours is at the start and at the end.
pub fn compare_video(
    file: &Path,
    out: &Path,
    scratch: &Path,
    answer: &Value,
    (index, stream, start_s): (u64, &Value, f64),
    row: &mut Row,
) -> [Option<f64>; 2] {
    let report = &answer["steps"]["weak_line"]["report"];
    let made = ["weak_line", "ladder", "ladder_top"]
        .iter()
        .filter_map(|step| answer["steps"][*step]["report"]["renditions"].as_array());
    let Some(top) =
        made.flatten().max_by_key(|r| r["height"].as_u64().unwrap_or(0) * r["width"].as_u64().unwrap_or(0))
    else {
        row.wrong.push("there is no video".into());
        return [None; 2];
    };
    let side = |field: &str| top[field].as_u64().unwrap_or(0) as usize;
    let size = (side("width"), side("height"));
    let rotation = ProbedSource::rotation(stream).rem_euclid(360);
    row.size = format!(
        "{}×{}{}",
        size.0,
        size.1,
        if rotation == 0 { String::new() } else { format!(" ⟳{rotation}") }
    );
    shape(stream, size, row);

    let rate =
        top["frame_rate"]["num"].as_f64().unwrap_or(25.0) / top["frame_rate"]["den"].as_f64().unwrap_or(1.0);
    // Each rendition ends within a frame of its own of the source's end.
    let own = if top["duration_ms"].is_null() { report } else { top };
    let frames = (side_s(own) * rate).round().max(1.0);
    let playlist: PathBuf = out.join("hls").join(top["playlist"].as_str().unwrap_or_default());
    let joined = presentation::joined(&playlist, scratch);
    let fields = answer["media"]["video"]["interlaced"] == true;
    let chain = ProbedSource::filter_chain(stream, size, fields);
    let source_rate = ProbedSource::rate(stream);
    let (mut worst, mut colour) = (None::<FrameSimilarity>, [0.0_f64; 3]);
    let mut late = [None; 2];
    let first = (start_s * rate).ceil().min(frames - 1.0);
    let positions = [0.1, 0.5, 0.9].map(|share| (first + (frames - first) * share).floor().min(frames - 1.0));
    for (position, frame) in positions.into_iter().enumerate() {
        let at_s = frame / rate;
        let ours_from = (at_s - 0.4 / rate).max(0.0);
        let only_one = ["-frames:v".to_owned(), "1".to_owned()];
        let ours = decode(&seek(ours_from), &joined, &only_one, "null", 0.0, size);
        let near_s = 1.6 / source_rate.min(rate);
        let from_s = (at_s - near_s).max(0.0);
        let count = ((near_s + 1.6 / source_rate) * source_rate).ceil().clamp(2.0, 12.0) + 1.0;
        let mut after = vec!["-map".into(), format!("0:v:{index}"), "-frames:v".into(), format!("{count}")];
        let near: Vec<(f64, Frame)> = if side_s(report) < SEEK_FROM_S {
            after.extend(seek(from_s));
            decode(&[], file, &after, &chain, from_s, size)
        } else {
            let found = decode(&seek(from_s), file, &after, &chain, 0.0, size);
            found.into_iter().map(|(at, frame)| (at + from_s, frame)).collect()
        };
        // Where none is near before it, one from long before is still on.
        let theirs = if near.first().is_none_or(|(at, _)| *at > at_s + 0.5 / rate) {
            let from_s = (at_s - LONGEST_FRAME_S).max(0.0);
            let length_s = at_s + near_s - from_s;
            let after = ["-map".into(), format!("0:v:{index}"), "-t".into(), format!("{length_s:.6}")];
            let before = if from_s > 0.0 { seek(from_s).to_vec() } else { Vec::new() };
            let mut all = decode(&before, file, &after, &chain, 0.0, size);
            all.drain(..all.len().saturating_sub(4));
            all.into_iter().map(|(at, frame)| (at + from_s, frame)).collect()
        } else {
            near
        };
        let (times, theirs): (Vec<f64>, Vec<Frame>) = theirs.into_iter().unzip();
        let Some(like) = ours.first().and_then(|(_, ours)| compare(ours, &theirs)) else {
            row.wrong.push(format!("no frame to compare at {at_s:.2} s"));
            continue;
        };
        // Only a frame that differs from its neighbours gives the time; and it may be held for the
        // source's frame.
        if position != 1 && theirs.len() > 2 && theirs.windows(2).all(|pair| differ(&pair[0], &pair[1])) {
            let ends = times.get(like.best + 1).copied().unwrap_or(times[like.best] + 1.0 / source_rate);
            let half = 0.5 / rate;
            let off_s = (at_s + half - times[like.best]).min(0.0) + (at_s - half - ends).max(0.0);
            late[position / 2] = Some(off_s * 1000.0);
        }
        for (most, off) in colour.iter_mut().zip(like.off) {
            if off.abs() > most.abs() {
                *most = off;
            }
        }
        if like.is_flipped {
            row.wrong.push(format!("the frame is not upright at {at_s:.2} s"));
        }
        if worst.is_none_or(|worst| like.psnr_db < worst.psnr_db) {
            worst = Some(like);
        }
    }
    if let Some(worst) = worst {
        row.similarity = Some((worst.psnr_db, worst.ssim));
        row.colour = Some(colour);
        if worst.psnr_db < 24.0 || worst.ssim < 0.8 {
            row.wrong.push(format!("the video differs: {:.1} dB, SSIM {:.3}", worst.psnr_db, worst.ssim));
        }
        // The mean of a handful of samples is hardly one.
        let tiny = size.0 * size.1 < 32 * 32;
        let allowed = match row.hdr.as_str() {
            "none" if tiny => [6.0, 4.5, 4.5],
            "none" => [3.0, 2.5, 2.5],
            _ => [6.0, 4.0, 4.0],
        };
        if colour.iter().zip(allowed).any(|(off, allowed)| off.abs() > allowed) {
            row.wrong.push(format!(
                "colours are off by {:.1} luma, {:.1} and {:.1} chroma",
                colour[0], colour[1], colour[2]
            ));
        }
    }
    late
}

fn seek(from_s: f64) -> [String; 2] {
    ["-ss".into(), format!("{from_s:.6}")]
}

/// Whether two frames can be distinguished.
fn differ(a: &Frame, b: &Frame) -> bool {
    compare(a, std::slice::from_ref(b)).is_some_and(|like| like.psnr_db < 40.0)
}

fn side_s(report: &Value) -> f64 {
    report["duration_ms"].as_f64().unwrap_or(0.0) / 1000.0
}

/// Aspect as displayed, and nothing larger than the source.
fn shape(stream: &Value, (width, height): (usize, usize), row: &mut Row) {
    let (display_width, display_height) = ProbedSource::display_size(stream);
    let (width, height) = (width as f64, height as f64);
    // Even sizes and full pixels cost up to two on each side.
    let wanted = height * display_width / display_height.max(1.0);
    let wanted_high = width * display_height / display_width.max(1.0);
    if (wanted - width).abs() > 2.5 && (wanted_high - height).abs() > 2.5 {
        row.wrong
            .push(format!("{width}×{height} is not the shape of {display_width:.0}×{display_height:.0}"));
    }
    if width > display_width + 1.5 || height > display_height + 1.5 {
        row.wrong.push(format!("{width}×{height} is larger than {display_width:.0}×{display_height:.0}"));
    }
}
