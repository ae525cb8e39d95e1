//! A recording's source as it is served: uploaded, fetched as a player fetches it, and held against the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use reqwest::{Method, Url};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::client::Client;
use crate::playlist::{seconds, uris};
use crate::process::tool;
use crate::source::Probed;
use crate::up::Up;
use crate::{echo, presentation, traces};

/// Longest until it is known whether a recording is played as it is.
const DECIDED: Duration = Duration::from_secs(300);
/// Of longer recordings this much is compared, in s.
const COMPARED_S: f64 = 60.0;
/// Pictures may be this far from their time, in s: containers round.
const APART_S: f64 = 0.02;
/// Most segments that ffprobe reads one by one.
const PROBED: usize = 12;

/// A server to upload to.
pub struct Served {
    runtime: Runtime,
    up: Up,
    _data: TempDir,
}

impl Served {
    /// Starts one.
    pub fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let data = TempDir::new().unwrap();
        let settings = [("SPEECH__ENABLED", "false".to_owned())];
        let up = runtime.block_on(Up::start(data.path(), &settings));
        Self { runtime, up, _data: data }
    }

    /// What is wrong with the source as it is served; none where it is not served as it is. `picture` and `sound` are the
    /// places of the tracks that were chosen.
    pub fn problems(
        &self,
        file: &Path,
        picture: u64,
        sound: Option<u64>,
        scratch: &Path,
    ) -> Option<Vec<String>> {
        let out = scratch.join("served");
        let served = self.runtime.block_on(fetched(&self.up.client(), file, &out));
        let mut wrong = Vec::new();
        let playlists = served?;
        let probed = Probed::of(file);
        wrong.extend(traces::left(&out, &probed.secrets()));
        for playlist in &playlists {
            wrong.extend(presentation::probe_segments(playlist, PROBED, scratch));
        }
        let of =
            |track: &str| playlists.iter().find(|path| path.parent().is_some_and(|p| p.ends_with(track)));
        match of("video") {
            None => wrong.push("no picture".to_owned()),
            Some(playlist) => {
                let joined = presentation::joined(playlist, scratch);
                wrong.extend(pictures(file, picture, probed.start_s(), &joined));
            }
        }
        if let (Some(playlist), Some(index)) = (of("audio"), sound) {
            let length_s = seconds(&std::fs::read_to_string(playlist).unwrap());
            let joined = presentation::joined(playlist, scratch);
            // Alone, ffmpeg takes its first packet for the beginning.
            let begins_s = Probed::of(&joined).start_s();
            for from_s in [0.0, (length_s - echo::WINDOW_S).max(0.0)] {
                let ours = echo::listen(&joined, 0, from_s, length_s < COMPARED_S);
                let theirs = echo::listen(file, index, from_s + begins_s, length_s < COMPARED_S);
                if let Some(late_ms) = echo::lag_ms(&ours, &theirs).filter(|ms| ms.abs() > 1000.0 * APART_S) {
                    wrong.push(format!("sound is {late_ms:.0} ms late at {from_s:.0} s"));
                }
            }
        }
        Some(wrong.into_iter().map(|what| format!("source as served: {what}")).collect())
    }
}

/// Uploads a file and fetches its source's tracks into `out`, a folder each; answers their playlists.
async fn fetched(client: &Client, file: &Path, out: &Path) -> Option<Vec<PathBuf>> {
    let recording = client.upload(file).await;
    let state = client.state(&recording, &["playable", "ready"], DECIDED).await;
    let listed =
        state["playable_with"].as_array().is_some_and(|with| with.iter().any(|name| name == "source"));
    let mut playlists = Vec::new();
    if listed {
        let link = client.link(&recording).await;
        let master = Url::parse(link["master_url"].as_str().unwrap()).unwrap();
        for uri in uris(&client.text(master.as_str()).await).iter().filter(|uri| uri.contains("/source/")) {
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
    let path = format!("/v1/recordings/{recording}");
    client.request(Method::DELETE, &path).send().await.unwrap().error_for_status().unwrap();
    listed.then_some(playlists)
}

/// The pictures of the file that are not, the same sample by sample, in ours at their time.
fn pictures(file: &Path, index: u64, start_s: f64, joined: &Path) -> Vec<String> {
    let theirs = shown(file, index);
    let mut ours: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (at_s, hash) in shown(joined, 0) {
        ours.entry(hash).or_default().push(at_s);
    }
    // The first picture may be shown from 0 on.
    let missing: Vec<f64> = theirs
        .iter()
        .skip(1)
        .map(|(at_s, hash)| (at_s - start_s, hash))
        .filter(|(at_s, hash)| {
            !ours.get(*hash).is_some_and(|times| times.iter().any(|ours| (ours - at_s).abs() < APART_S))
        })
        .map(|(at_s, _)| at_s)
        .collect();
    let mut wrong = Vec::new();
    if theirs.is_empty() {
        wrong.push("ffmpeg shows no picture of the file".to_owned());
    }
    if let Some(first) = missing.first() {
        let (lost, all) = (missing.len(), theirs.len());
        wrong
            .push(format!("{lost} of {all} pictures are not there at their time, the first at {first:.3} s"));
    }
    wrong
}

/// Times and hashes of the pictures ffmpeg shows.
fn shown(file: &Path, index: u64) -> Vec<(f64, String)> {
    let output = Command::new(tool("ffmpeg", "ffmpeg"))
        .args(["-v", "error", "-nostdin", "-noautorotate", "-copyts", "-i"])
        .arg(file)
        .args(["-map", &format!("0:v:{index}"), "-t", &COMPARED_S.to_string()])
        .args(["-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "framehash", "-hash", "md5", "-"])
        .output()
        .unwrap();
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
