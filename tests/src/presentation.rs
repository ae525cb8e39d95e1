//! A finished stream in a folder, read for the checkers: every playlist, every segment, what their
//! boxes say.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::apple::{Fact, Media, Presentation};
use crate::boxes;
use crate::playlist::{init_uri, lines, segments};
use crate::process::tool;

/// Reads the multivariant playlist at `master` and all it names. What is not there is left out, for
/// the rules to find.
pub fn read(master: &Path) -> Presentation {
    let text = std::fs::read_to_string(master).unwrap_or_default();
    let folder = master.parent().unwrap_or(Path::new("."));
    let mut found = Presentation { master: text.clone(), ..Presentation::default() };
    for line in lines(&text) {
        let uri = line.uri();
        let named = ["EXT-X-STREAM-INF", "EXT-X-MEDIA", "EXT-X-I-FRAME-STREAM-INF"];
        if !named.contains(&line.name.as_str()) || uri.is_empty() || found.media.contains_key(&uri) {
            continue;
        }
        if let Some(read) = media(&folder.join(&uri)) {
            found.media.insert(uri, read);
        }
    }
    found
}

/// A media playlist and its segments; `None` if the playlist is not there.
pub fn media(playlist: &Path) -> Option<Media> {
    let text = std::fs::read_to_string(playlist).ok()?;
    let mut media = Media { text, ..Media::default() };
    let Some(init) = init(playlist, &media.text) else {
        let read = |uri: &str| std::fs::read_to_string(playlist.with_file_name(uri)).unwrap_or_default();
        media.captions = segments(&media.text).iter().map(|segment| read(&segment.uri)).collect();
        return Some(media);
    };
    let scale = f64::from(boxes::timescale(&init));
    for (_, bytes) in bytes(playlist, &media.text) {
        let fragments = boxes::fragments(&bytes);
        let ticks: u64 = fragments.iter().map(|f| f.duration).sum();
        let samples: u32 = fragments.iter().map(|f| f.samples).sum();
        media.facts.push(Fact {
            size_bytes: bytes.len() as u64,
            duration_s: ticks as f64 / scale,
            samples,
            keyframe: fragments.first().is_some_and(|f| f.sync),
        });
        media.frame_s = media.frame_s.max(ticks as f64 / scale / f64::from(samples.max(1)));
    }
    Some(media)
}

fn init(playlist: &Path, text: &str) -> Option<Vec<u8>> {
    std::fs::read(playlist.with_file_name(init_uri(text)?)).ok()
}

/// Each segment's URI and bytes, byte ranges taken out.
pub fn bytes(playlist: &Path, text: &str) -> Vec<(String, Vec<u8>)> {
    let mut at = 0;
    segments(text)
        .into_iter()
        .map(|segment| {
            let complete = std::fs::read(playlist.with_file_name(&segment.uri)).unwrap_or_default();
            let part = match segment.byte_range {
                None => complete,
                Some((length, offset)) => {
                    let from = offset.unwrap_or(at) as usize;
                    at = from as u64 + length;
                    complete.get(from..from + length as usize).unwrap_or_default().to_vec()
                }
            };
            (segment.uri, part)
        })
        .collect()
}

/// A rendition as one file, init segment and all segments: ffmpeg seeks in that without surprises.
pub fn joined(playlist: &Path, scratch: &Path) -> PathBuf {
    let text = std::fs::read_to_string(playlist).unwrap_or_default();
    let mut complete = init(playlist, &text).unwrap_or_default();
    for (_, bytes) in bytes(playlist, &text) {
        complete.extend(bytes);
    }
    let name = playlist.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    let file = scratch.join(format!("{name}.joined.mp4"));
    std::fs::write(&file, complete).unwrap();
    file
}

/// Problems that ffprobe finds in each segment alone, with its init segment in front: an error, or
/// other samples than its boxes count.
pub fn probe_segments(playlist: &Path, scratch: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(playlist).unwrap_or_default();
    let Some(init) = init(playlist, &text) else { return Vec::new() };
    let mut wrong = Vec::new();
    for (uri, bytes) in &bytes(playlist, &text) {
        let alone: PathBuf = scratch.join("segment.mp4");
        std::fs::write(&alone, [&init[..], &bytes[..]].concat()).unwrap();
        let output = Command::new(tool("ffprobe", "ffmpeg"))
            .args(["-v", "error", "-count_packets", "-of", "csv=p=0"])
            .args(["-show_entries", "stream=nb_read_packets"])
            .arg(&alone)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let counted = String::from_utf8_lossy(&output.stdout).trim().trim_end_matches(',').parse::<u32>();
        let samples: u32 = boxes::fragments(bytes).iter().map(|f| f.samples).sum();
        if !said.is_empty() || counted != Ok(samples) {
            let first = said.lines().next().unwrap_or_default();
            wrong.push(format!("{uri}: ffprobe reads {counted:?} of {samples} samples {first}"));
        }
    }
    wrong
}
