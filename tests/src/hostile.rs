//! Files made to do harm: each ends within limits, with a sentence or a warning, and opens no
//! connection.

use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::media::ffmpeg;
use crate::process::{chalkstream, send, tool};
use crate::report::warnings;
use crate::source_delivery::SourceDelivery;

/// A file of a few MB that takes longer hangs.
const DEADLINE: Duration = Duration::from_secs(300);
/// Most memory of any process of the run, in MB.
const MOST_MB: u64 = 1024;
/// The discard port: scripts that others crafted point there.
const DISCARD: u16 = 9;

/// How a run ended.
pub struct Ended {
    /// Exit status.
    pub status: ExitStatus,
    /// Its output.
    pub answer: Value,
    /// Largest resident memory of any of its processes, in MB.
    pub peak_mb: u64,
    /// How long it took.
    pub took: Duration,
    /// Whether it was killed because it took too long.
    pub hung: bool,
}

/// Runs `process` and watches it.
pub fn run(file: &Path, out: &Path) -> Ended {
    let started = Instant::now();
    let printed = out.with_extension("answer");
    let mut child = Command::new(chalkstream())
        .env("CHALKSTREAM__SPEECH__ENABLED", "false")
        .args(["process", "--json", "--out"])
        .arg(out)
        .arg(file)
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&printed).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = child.id() as i32;
    // The deadline is kept by a thread, so that waiting can ask the kernel for the memory used.
    let (done, watched) = std::sync::mpsc::sync_channel::<()>(1);
    let guard = std::thread::spawn(move || {
        let late = watched.recv_timeout(DEADLINE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
        if late {
            send(pid, libc::SIGKILL);
        }
        late
    });
    let (status, peak_mb) = wait(pid);
    let _ = done.send(());
    let hung = guard.join().unwrap();
    // Already waited for: this only lets the handle know.
    let _ = child.try_wait();
    let text = std::fs::read(&printed).unwrap_or_default();
    let answer = serde_json::from_slice(&text).unwrap_or_default();
    Ended { status, answer, peak_mb, took: started.elapsed(), hung }
}

/// Waits for a child; its memory counts that of the children it waited for.
#[allow(unsafe_code)]
fn wait(pid: i32) -> (ExitStatus, u64) {
    let mut status = 0;
    // SAFETY: rusage is plain numbers, for which all zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to locals that outlive the call.
    unsafe {
        libc::wait4(pid, &raw mut status, 0, &raw mut usage);
    }
    (ExitStatus::from_raw(status), usage.ru_maxrss as u64 / 1024)
}

/// Returns the problems of a file's processing, alone and as an upload to a server with a worker,
/// and one line that says how it did.
pub fn check(
    file: &Path,
    folder: &Path,
    listeners: &[TcpListener],
    served: &SourceDelivery,
) -> (String, Vec<String>) {
    let ended = run(file, &folder.join("out"));
    let mut wrong = Vec::new();
    let warned = warnings(&ended.answer);
    let sentence = ended.answer["message"].as_str().unwrap_or_default();
    let line = format!(
        "{:>5.1} s {:>5} MB  {}",
        ended.took.as_secs_f64(),
        ended.peak_mb,
        match ended.status.code() {
            Some(0) if warned.is_empty() => "ready".to_owned(),
            Some(0) => format!("ready, warned: {}", warned.join(" ")),
            Some(code) =>
                format!("exit {code}, {}: {sentence}", ended.answer["code"].as_str().unwrap_or("?")),
            None => format!("{}", ended.status),
        }
    );
    if ended.hung {
        wrong.push(format!("did not end within {} s", DEADLINE.as_secs()));
    }
    if ended.peak_mb >= MOST_MB {
        wrong.push(format!("took {} MB", ended.peak_mb));
    }
    match ended.status.code() {
        Some(0) if warned.is_empty() => {
            let said = complaints(file);
            if !said.is_empty() {
                wrong.push(format!("ready without a warning, but ffmpeg says: {said}"));
            }
        }
        Some(0) => {}
        Some(3) if sentence.ends_with('.') && sentence.len() > 10 => {}
        _ => wrong.push("ended neither ready nor with a sentence about the file".into()),
    }
    wrong.extend(served.survives(file, DEADLINE));
    for listener in listeners {
        if listener.accept().is_ok() {
            wrong.push("opened a connection".into());
        }
    }
    (line, wrong)
}

/// The first thing ffmpeg complains about when it decodes a file to its end.
fn complaints(file: &Path) -> String {
    let output = Command::new(tool("ffmpeg", "ffmpeg"))
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(file)
        .args(["-map", "0:v:0?", "-map", "0:a:0?", "-fps_mode", "passthrough", "-f", "null", "-"])
        .output()
        .unwrap();
    // What its writer says of times that go back is not about what can be read.
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    said.lines().find(|line| !line.contains("non monotonically")).unwrap_or_default().to_owned()
}

/// Ears for connections: a port of our own, and that which files of others name.
pub fn listeners() -> [TcpListener; 2] {
    [0, DISCARD].map(listener)
}

/// An ear for connections at a port of the loopback; 0 takes a free one.
pub fn listener(port: u16) -> TcpListener {
    let ear = TcpListener::bind(("127.0.0.1", port)).unwrap_or_else(|error| {
        panic!("port {port} cannot be listened at ({error}): below 1024 run as root, or lower net.ipv4.ip_unprivileged_port_start")
    });
    ear.set_nonblocking(true).unwrap();
    ear
}

/// Short clips of 8K at 60 frames per second: of as many references as x264 and x265 write, and of
/// what they write by default.
pub fn large(folder: &Path) -> Vec<PathBuf> {
    const H264: &str = "libx264 -x264-params bframes=3:b-pyramid=normal:rc-lookahead=4:threads=2";
    const H265: &str = "libx265 -x265-params log-level=none:bframes=4:b-pyramid=1:rc-lookahead=5";
    let clips = [
        ("8k60_ref3.mp4", H264, "ref=3"),
        ("8k60_ref16.mp4", H264, "ref=16"),
        ("8k60_ref5.mkv", H265, "ref=5"),
    ];
    clips
        .into_iter()
        .map(|(name, codec, references)| {
            let path = folder.join(name);
            let source = "-f lavfi -i testsrc2=s=7680x4320:r=60 -frames:v 16";
            let coding = format!("{codec}:{references} -preset ultrafast -pix_fmt yuv420p");
            ffmpeg(&format!("{source} -c:v {coding}"), &path);
            path
        })
        .collect()
}

/// Playlists and scripts of every kind that players follow, named as recordings, pointing at a port
/// of ours and at a file of this machine.
pub fn scripts(folder: &Path, port: u16) -> Vec<PathBuf> {
    let url = format!("http://127.0.0.1:{port}/a");
    let all = [
        ("hls.mp4", format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{url}.ts\n#EXT-X-ENDLIST\n")),
        ("master.mov", format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{url}.m3u8\n")),
        ("concat.mp4", format!("ffconcat version 1.0\nfile '{url}.mp4'\nfile '/etc/passwd'\n")),
        (
            "dash.mp4",
            format!(
                "<?xml version=\"1.0\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\"><BaseURL>{url}/</BaseURL></MPD>\n"
            ),
        ),
        ("smil.mov", format!("<smil><body><video src=\"{url}.mp4\"/></body></smil>\n")),
        ("asx.wmv", format!("<asx version=\"3.0\"><entry><ref href=\"{url}.wmv\"/></entry></asx>\n")),
        ("pls.mp3", format!("[playlist]\nNumberOfEntries=1\nFile1={url}.mp3\n")),
        ("sdp.mp4", format!("v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio {port} RTP/AVP 0\n")),
        ("rtsptext.mov", format!("RTSPtext\nrtsp://127.0.0.1:{port}/a\n")),
        (
            "svg.mp4",
            format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\"><image xlink:href=\"{url}.png\"/></svg>\n"
            ),
        ),
    ];
    all.into_iter()
        .map(|(name, text)| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            path
        })
        .collect()
}
