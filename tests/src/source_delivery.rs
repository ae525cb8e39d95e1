//! A recording's source as it is served: uploaded, fetched as a player fetches it, and held against
//! the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use reqwest::{Method, Url};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::client::Client;
use crate::playlist::{init_uri, seconds, segments, uris};
use crate::process::tool;
use crate::source::ProbedSource;
use crate::up::Up;
use crate::{audio_sync, boxes, metadata_leaks, presentation};

/// Longest until it is known whether a recording is played as it is.
const DECIDED: Duration = Duration::from_secs(300);
/// Of longer recordings this much is compared, in s.
const COMPARED_S: f64 = 60.0;
/// Frames may be this far from their time, in s: containers round.
const APART_S: f64 = 0.02;

/// A server to upload to.
pub struct SourceDelivery {
    runtime: Runtime,
    up: Up,
    _data: TempDir,
}

impl SourceDelivery {
    /// Starts one.
    pub fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let data = TempDir::new().unwrap();
        let settings = [("SPEECH__ENABLED", "false".to_owned())];
        let up = runtime.block_on(Up::start(data.path(), &settings));
        Self { runtime, up, _data: data }
    }

    /// Problems of how an upload of a file ends: it is ready or refused with a sentence, and the
    /// worker lives.
    pub fn survives(&self, file: &Path, limit: Duration) -> Vec<String> {
        let client = self.up.client();
        self.runtime.block_on(async {
            let recording = client.upload(file).await;
            let ended = client.state(&recording, &["ready", "failed"], limit).await;
            let failure = &ended["failure"];
            let sentence = failure["message"].as_str().unwrap_or_default();
            let mut wrong = Vec::new();
            if ended["state"] == "failed" && !(failure["blame"] == "input" && sentence.ends_with('.')) {
                wrong.push(format!("uploaded, it failed otherwise than by its own fault: {failure}"));
            }
            if !client.open("/readyz").await.status().is_success() {
                wrong.push("uploaded, it left a server that is not ready".to_owned());
            }
            delete(&client, &recording).await;
            wrong
        })
    }

    /// Checks the source as it is served, or returns the code it is declined with. `video` and
    /// `audio` are the indexes of the tracks that were chosen.
    pub fn check(
        &self,
        file: &Path,
        video: u64,
        audio: Option<u64>,
        scratch: &Path,
    ) -> Result<DeliveryVerdict, String> {
        let out = scratch.join("served");
        let playlists = self.runtime.block_on(fetched(&self.up.client(), file, &out))?;
        let probed = ProbedSource::probe(file);
        let mut wrong = metadata_leaks::find(&out, &probed.secrets());
        for playlist in &playlists {
            wrong.extend(presentation::probe_segments(playlist, scratch));
            wrong.extend(times(playlist));
        }
        let of =
            |track: &str| playlists.iter().find(|path| path.parent().is_some_and(|p| p.ends_with(track)));
        match of("video") {
            None => wrong.push("no video".to_owned()),
            Some(playlist) => {
                let joined = presentation::joined(playlist, scratch);
                wrong.extend(compare_frames(file, video, probed.start_s(), &joined));
            }
        }
        let mut audio_compared = false;
        if let (Some(playlist), Some(index)) = (of("audio"), audio) {
            let length_s = seconds(&std::fs::read_to_string(playlist).unwrap());
            let joined = presentation::joined(playlist, scratch);
            // Alone, ffmpeg takes its first packet for the beginning.
            let begins_s = ProbedSource::probe(&joined).start_s();
            for from_s in [0.0, (length_s - audio_sync::WINDOW_S).max(0.0)] {
                let ours = audio_sync::decode(&joined, 0, from_s, length_s < COMPARED_S);
                let theirs = audio_sync::decode(file, index, from_s + begins_s, length_s < COMPARED_S);
                // None for silence and for a steady tone, which are alike at any time.
                let late_ms = audio_sync::lag_ms(&ours, &theirs);
                audio_compared |= late_ms.is_some();
                if let Some(late_ms) = late_ms.filter(|ms| ms.abs() > 1000.0 * APART_S) {
                    wrong.push(format!("audio is {late_ms:.0} ms late at {from_s:.0} s"));
                }
            }
        }
        let wrong = wrong.into_iter().map(|what| format!("source as served: {what}")).collect();
        Ok(DeliveryVerdict { audio_compared, wrong })
    }
}

/// Of a source that is served as it is.
#[derive(Debug)]
pub struct DeliveryVerdict {
    /// Whether its audio could be compared: it is served until ours is there, and may be silent.
    pub audio_compared: bool,
    /// The problem.
    pub wrong: Vec<String>,
}

/// Problems with the times in a track's segments: each begins where its playlist says, and nothing
/// is displayed before it is decoded.
fn times(playlist: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(playlist).unwrap();
    let init = init_uri(&text).map(|uri| std::fs::read(playlist.with_file_name(uri)).unwrap());
    let scale = init.map_or(1.0, |init| f64::from(boxes::timescale(&init)));
    let (mut wrong, mut at_s) = (Vec::new(), 0.0);
    for (segment, (uri, bytes)) in segments(&text).iter().zip(presentation::bytes(playlist, &text)) {
        let fragments = boxes::fragments(&bytes);
        let Some(first) = fragments.first() else {
            wrong.push(format!("{uri} has no samples"));
            continue;
        };
        let begins_s = first.start as f64 / scale;
        // Audio may begin a little after the frame.
        if (begins_s - at_s).abs() > if at_s == 0.0 { 0.5 } else { APART_S } {
            wrong.push(format!("{uri} begins at {begins_s:.3} s, its playlist says {at_s:.3} s"));
        }
        if fragments.iter().any(|fragment| fragment.least_offset < 0) {
            wrong.push(format!("{uri} has frames that are displayed before they are decoded"));
        }
        at_s += segment.duration_s;
    }
    wrong
}

/// Uploads a file and fetches its source's tracks into `out`, a folder each; returns their
/// playlists, or the code the source is declined with.
async fn fetched(client: &Client, file: &Path, out: &Path) -> Result<Vec<PathBuf>, String> {
    let recording = client.upload(file).await;
    let mut state = client.state(&recording, &["playable", "ready"], DECIDED).await;
    let listed = |state: &Value, name| {
        state["playable_with"].as_array().is_some_and(|with| with.iter().any(|other| other == name))
    };
    let (all, some) = (listed(&state, "source"), listed(&state, "hevc"));
    let mut playlists = Vec::new();
    if all || some {
        if some {
            // Its playlist stands next to those of complete revisions.
            state = client.state(&recording, &["ready"], DECIDED).await;
        }
        let link = client.link(&recording).await;
        let mut master = Url::parse(link["master_url"].as_str().unwrap()).unwrap();
        let mut text = client.text(master.as_str()).await;
        if some {
            let first = uris(&text).remove(0);
            let (base, _) = first.split_once("/hls/").unwrap();
            master = master.join(&format!("{base}/hls/{}/hevc.m3u8", state["revision"])).unwrap();
            text = client.text(master.as_str()).await;
        }
        for uri in uris(&text).iter().filter(|uri| uri.contains("/source/")) {
            let url = master.join(uri).unwrap();
            let text = client.text(url.as_str()).await;
            let track = if uri.contains("/video/") { "video" } else { "audio" };
            let playlist = out.join(track).join("index.m3u8");
            std::fs::create_dir_all(playlist.parent().unwrap()).unwrap();
            for name in uris(&text) {
                let answer = client.open(url.join(&name).unwrap().as_str()).await;
                assert!(answer.status().is_success(), "{name}: {}", answer.status());
                std::fs::write(playlist.with_file_name(name), answer.bytes().await.unwrap()).unwrap();
            }
            std::fs::write(&playlist, text).unwrap();
            playlists.push(playlist);
        }
    }
    delete(client, &recording).await;
    let declined = state["source_declined"]["code"].as_str().map(str::to_owned);
    if all || some {
        Ok(playlists)
    } else {
        Err(declined.expect("a source is served as it is, or declined with a code"))
    }
}

async fn delete(client: &Client, recording: &str) {
    let path = format!("/v1/recordings/{recording}");
    client.request(Method::DELETE, &path).send().await.unwrap().error_for_status().unwrap();
}

/// The frames of the file that are not in ours at their time, the same sample by sample, and the
/// other way round.
fn compare_frames(file: &Path, index: u64, start_s: f64, joined: &Path) -> Vec<String> {
    let theirs: Vec<_> =
        displayed_frames(file, index).into_iter().map(|(at_s, hash)| (at_s - start_s, hash)).collect();
    let ours = displayed_frames(joined, 0);
    if theirs.len() < 2 {
        return vec!["ffmpeg displays no frames of the file".to_owned()];
    }
    let missing = lacking(&theirs, &ours).map(|(lost, first_s)| {
        format!("{lost} of {} frames are not there at their time, the first at {first_s:.3} s", theirs.len())
    });
    // Ours may go on for what others need, and further where the comparison ends.
    let until_s = theirs.last().map_or(0.0, |(at_s, _)| *at_s);
    let compared: Vec<_> = ours.into_iter().filter(|(at_s, _)| *at_s <= until_s).collect();
    let added = lacking(&compared, &theirs)
        .map(|(more, first_s)| format!("{more} frames are not the file's, the first at {first_s:.3} s"));
    missing.into_iter().chain(added).collect()
}

/// How many of some frames others lack, and when the first of them is. The very first may be
/// displayed from 0 on.
fn lacking(all: &[(f64, String)], others: &[(f64, String)]) -> Option<(usize, f64)> {
    let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (at_s, hash) in others {
        times.entry(hash).or_default().push(*at_s);
    }
    let has = |(at_s, hash): &&(f64, String)| {
        times.get(hash.as_str()).is_some_and(|times| times.iter().any(|other| (other - at_s).abs() < APART_S))
    };
    let lacking: Vec<f64> = all.iter().skip(1).filter(|one| !has(one)).map(|(at_s, _)| *at_s).collect();
    Some((lacking.len(), *lacking.first()?))
}

/// Times and hashes of the frames ffmpeg displays.
fn displayed_frames(file: &Path, index: u64) -> Vec<(f64, String)> {
    let output = Command::new(tool("ffmpeg", "ffmpeg"))
        .args(["-v", "error", "-nostdin", "-noautorotate", "-copyts", "-i"])
        .arg(file)
        .args(["-map", &format!("0:v:{index}"), "-t", &COMPARED_S.to_string()])
        .args(["-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "framehash", "-hash", "md5", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let base = text.lines().find_map(|line| line.strip_prefix("#tb 0: ")?.split_once('/'));
    let Some((Ok(num), Ok(den))) = base.map(|(num, den)| (num.parse::<f64>(), den.parse::<f64>())) else {
        return Vec::new();
    };
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            Some((fields.get(2)?.parse::<f64>().ok()? * num / den, (*fields.get(5)?).to_owned()))
        })
        .collect()
}
