//! Packages files made by ffmpeg, assembles them as a server does, and compares the packets with
//! what ffmpeg reads in them.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::*;
use crate::fmp4::read;
use crate::limits::Limits;
use crate::source::FileSource;
use crate::steps::inspect::{self, InspectRequest};

/// Twelve seconds of moving video, and of a tone.
const VIDEO: &[&str] = &["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30:duration=12"];
const TONE: &[&str] = &["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=12"];
/// Reordered frames, in groups of 1.6 s.
const X264: &[&str] =
    &["-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-g", "48", "-pix_fmt", "yuv420p"];
const AAC: &[&str] = &["-c:a", "aac", "-b:a", "64k"];

fn run(program: &str, args: &[&str]) -> String {
    let made = Command::new(program).args(["-v", "error"]).args(args).output();
    let made = made.unwrap_or_else(|e| panic!("{program} is missing: apt-get install ffmpeg ({e})"));
    assert!(made.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap()
}

struct Workspace(tempfile::TempDir);

impl Workspace {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Makes a file with ffmpeg.
    fn make(&self, name: &str, parts: &[&[&str]]) -> PathBuf {
        let to = self.path(name);
        let args: Vec<&str> = parts.concat().into_iter().chain(["-y", to.to_str().unwrap()]).collect();
        run("ffmpeg", &args);
        to
    }

    fn package(&self, file: &Path) -> SourceRenditionReport {
        crate::gst::init().unwrap();
        let source: Source = Arc::new(FileSource::open(file).unwrap());
        let ctx = StepContext { out_dir: self.path("out"), emit: Arc::new(|_| ()), cancel: Arc::default() };
        let limits = Limits::default();
        let media = inspect::run(
            &InspectRequest { limits: limits.clone(), vad_model_path: None },
            source.clone(),
            &ctx,
        )
        .unwrap();
        super::run(&SourceRenditionRequest { media, limits, max_segment_ms: 6000 }, source, &ctx).unwrap()
    }

    fn code(&self, file: &Path) -> String {
        let report = self.package(file);
        assert_eq!(report.declined.is_none(), report.video.is_some() || report.hevc.is_some());
        report.declined.map_or_else(|| "fine".into(), |declined| declined.code)
    }
}

/// A track as a server delivers it: the init segment, and each segment with start and duration in
/// seconds.
struct AssembledTrack {
    init: Vec<u8>,
    segments: Vec<(f64, f64, Vec<u8>)>,
}

/// Assembles a track by the layout in docs/ref/objects.md, without our own reader.
fn assemble(source: &Path, index: &Path) -> AssembledTrack {
    let (source, index) = (std::fs::read(source).unwrap(), std::fs::read(index).unwrap());
    let number = |at: usize| u32::from_be_bytes(index[at..at + 4].try_into().unwrap()) as usize;
    let wide = |at: usize| number(at) << 32 | number(at + 4);
    assert_eq!((&index[..8], number(8), wide(24)), (&b"chalkidx"[..], 2, source.len()));
    let (timescale, count, init) = (number(12) as f64, number(16), number(20));
    let entry = |segment: usize| 40 + init + segment * 48;
    let segments = (0..count).map(|segment| {
        let at = entry(segment);
        let (runs, record, moof) = (number(at + 12), wide(at + 16), number(at + 24));
        let mut bytes = index[record + runs * 8..][..moof].to_vec();
        let from = wide(at + 32);
        let mut read = from;
        for run in 0..runs {
            read += number(record + run * 8);
            let take = number(record + run * 8 + 4);
            bytes.extend(&source[read..read + take]);
            read += take;
        }
        assert_eq!((bytes.len(), read), (moof + number(at + 28), from + number(at + 40)));
        (wide(at) as f64 / timescale, number(at + 8) as f64 / timescale, bytes)
    });
    AssembledTrack { init: index[40..40 + init].to_vec(), segments: segments.collect() }
}

#[test]
fn sample_tables_give_all_presentation_times() {
    let workspace = Workspace::new();
    let file = workspace.make("timed.mp4", &[VIDEO, TONE, X264, AAC]);
    let timing_of = |bytes: Vec<u8>, handler: &[u8; 4]| {
        std::fs::write(&file, &bytes).unwrap();
        let source = FileSource::open(&file).unwrap();
        let index = MovieIndex::read(&source).unwrap();
        let movie = Movie::parse(&index);
        let track = movie.nth_track(handler, 0).unwrap().clone();
        let presented =
            crate::mp4::sample_times::sample_times(&index, &movie, &track, bytes.len() as u64, 100)?;
        Some((
            presented.samples,
            presented.times_ns.len(),
            track.edit.map_or(presented.end_ns, |e| presented.end_ns - e.start_ns + e.delay_ns),
        ))
    };
    let bytes = std::fs::read(&file).unwrap();
    let (samples, kept, end_ns) = timing_of(bytes.clone(), b"vide").unwrap();
    assert_eq!((samples, kept), (360, 100));
    assert!((end_ns - 12_000_000_000).abs() < 1_000_000, "{end_ns}");
    let (_, _, end_ns) = timing_of(bytes.clone(), b"soun").unwrap();
    assert!((end_ns - 12_000_000_000).abs() < 45_000_000, "{end_ns}");
    // Samples past the end of the file, and a time of a century.
    let changed = |kind: &[u8; 4], at: usize, word: u32| {
        let mut bytes = bytes.clone();
        let found = bytes.windows(4).position(|w| w == kind).unwrap();
        bytes[found + at..found + at + 4].copy_from_slice(&word.to_be_bytes());
        bytes
    };
    assert!(timing_of(changed(b"stco", 12, u32::MAX), b"vide").is_none());
    assert!(timing_of(changed(b"stts", 16, u32::MAX), b"vide").is_none());
}

/// A packet or frame: its presentation time in seconds, and a hash of its bytes.
type Timed = (f64, String);

/// Returns the packets of a track in decode order, without those that are not presented.
fn packets(file: &Path, stream: &str) -> Vec<Timed> {
    let args = ["-select_streams", stream, "-show_packets", "-show_data_hash", "sha256", "-show_entries"];
    let entries = ["packet=pts_time,flags,data_hash", "-of", "csv=p=0", file.to_str().unwrap()];
    let output = run("ffprobe", &[&args[..], &entries].concat());
    let packet = |line: &str| {
        let mut fields = line.split(',');
        let time = fields.next()?.parse().ok()?;
        let presented = !fields.next()?.contains('D');
        presented.then_some((time, fields.next()?.strip_prefix("SHA256:")?.to_owned()))
    };
    output.lines().filter_map(packet).collect()
}

/// Returns the hashes of the decoded frames in presentation order.
fn frame_hashes(file: &Path) -> Vec<String> {
    let args =
        ["-i", file.to_str().unwrap(), "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framemd5", "-"];
    let output = run("ffmpeg", &args);
    let hash = |line: &str| Some(line.split(',').nth(5)?.trim().to_owned());
    output.lines().filter(|line| !line.starts_with('#')).filter_map(hash).collect()
}

impl AssembledTrack {
    /// Returns the packets of one segment, by its own boxes: ffprobe moves those that are presented
    /// before they are decoded.
    fn packets(&self, segment: &[u8]) -> Vec<Timed> {
        let header = read::find(&self.init, "moov/trak/mdia/mdhd").unwrap();
        let timescale = f64::from(u32::from_be_bytes(header[12..16].try_into().unwrap()));
        let hash = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
        let samples = read::samples(segment).into_iter();
        samples.map(|(_, presented, _, _, bytes)| (presented as f64 / timescale, hash(&bytes))).collect()
    }

    fn all_packets(&self) -> Vec<Timed> {
        self.segments.iter().flat_map(|(_, _, bytes)| self.packets(bytes)).collect()
    }
}

fn earliest(all: &[Timed]) -> f64 {
    all.iter().map(|(time, _)| *time).fold(f64::MAX, f64::min)
}

/// Asserts the same bytes, at times that differ by rounding only; the first may start at 0.
fn assert_same(made: &[Timed], source: &[Timed], origin: f64, what: &str) {
    let hashes = |all: &[Timed]| all.iter().map(|(_, hash)| hash.clone()).collect::<Vec<_>>();
    assert_eq!(hashes(made), hashes(source), "{what}");
    for (made, source) in made.iter().zip(source).skip(1) {
        assert!(
            (made.0 - (source.0 - origin)).abs() < 0.0015,
            "{what}: {made:?} is not {source:?} from {origin}"
        );
    }
}

/// Packages a file and compares every frame and every packet.
fn checked(workspace: &Workspace, file: &Path, segments: u32) -> SourceRenditionReport {
    let name = file.file_name().unwrap().display();
    let report = workspace.package(file);
    assert_eq!(report.declined, None, "{name}");
    let video = report.video.clone().or(report.hevc.clone().map(|hevc| hevc.video)).unwrap();
    let out = workspace.path("out");
    let track = assemble(file, &out.join("index/video"));
    assert_eq!((track.segments.len() as u32, video.segments), (segments, segments), "{name}");

    // The recording begins with the earlier of video and audio; encoder priming lies before that.
    let (video_packets, audio_packets) = (packets(file, "v:0"), packets(file, "a:0"));
    let origin = earliest(&video_packets).min(earliest(&audio_packets).max(0.0));
    let made = track.all_packets();
    assert_eq!(made[0].0, 0.0, "{name}");
    assert_same(&made, &video_packets, origin, &format!("packets of {name}"));

    // Decodes all segments together, and each by itself; each lies where its playlist says.
    let assembled = workspace.path("assembled.mp4");
    let all: Vec<u8> = track.segments.iter().flat_map(|(_, _, bytes)| bytes.clone()).collect();
    std::fs::write(&assembled, [&track.init[..], &all].concat()).unwrap();
    let source = frame_hashes(file);
    assert_eq!(frame_hashes(&assembled), source, "{name}");
    let (mut from, mut at) = (0, 0.0);
    for (number, (start, duration, bytes)) in track.segments.iter().enumerate() {
        let what = format!("segment {number} of {name}");
        std::fs::write(&assembled, [&track.init[..], bytes].concat()).unwrap();
        let alone = frame_hashes(&assembled);
        assert_eq!(alone, source[from..from + alone.len()], "{what}");
        from += alone.len();
        let times: Vec<f64> = track.packets(bytes).iter().map(|(time, _)| *time).collect();
        assert_eq!((*start, times.len()), (times[0], alone.len()), "{what}");
        assert!((start - at).abs() < 1e-9, "{what}: a gap before {start}");
        assert!(times.iter().all(|time| (*start..start + duration).contains(time)), "{what}");
        at += duration;
    }
    assert_eq!(from, source.len(), "{name}");
    assert!((at * 1000.0 - video.duration_ms as f64).abs() <= 1.0, "{name}");

    let text = std::fs::read_to_string(out.join(&video.playlist)).unwrap();
    assert!(
        text.contains("#EXT-X-MAP:URI=\"init.mp4\"\n") && text.ends_with(".m4s\n#EXT-X-ENDLIST\n"),
        "{text}"
    );
    if report.audio.is_some() {
        let made = assemble(file, &out.join("index/audio")).all_packets();
        let (left, expected) = audio_packets.split_at(audio_packets.len() - made.len());
        assert_same(&made, expected, origin, &format!("audio of {name}"));
        assert!((made[0].0 - (expected[0].0 - origin)).abs() < 0.011, "{name}: half a packet at most");
        assert!(left.iter().all(|(time, _)| *time < origin), "{name}: audible and left out: {left:?}");
    }
    report
}

#[test]
fn reordered_frames_with_audio_between_them() {
    let workspace = Workspace::new();
    let file = workspace.make("a.mp4", &[VIDEO, TONE, X264, AAC, &["-movflags", "+faststart"]]);
    let report = checked(&workspace, &file, 4);
    let (video, audio) = (report.video.unwrap(), report.audio.unwrap());
    assert_eq!((video.width, video.height, video.segments, audio.segments), (320, 180, 4, 4));
    assert_eq!(audio.codecs, "mp4a.40.2");
    assert!(video.codecs.starts_with("avc1.64"), "{}", video.codecs);
    assert!(video.bandwidth_bps >= video.average_bandwidth_bps && video.average_bandwidth_bps > 10_000);

    // Cut without encoding, at a keyframe: the audio is cut within a packet.
    let cut = workspace.make("cut.mp4", &[&["-ss", "4.8", "-i", file.to_str().unwrap(), "-c", "copy"]]);
    checked(&workspace, &cut, 3);
    // And between two keyframes: the first frame displayed is none.
    let cut = workspace.make("between.mp4", &[&["-ss", "4.2", "-i", file.to_str().unwrap(), "-c", "copy"]]);
    assert_eq!(workspace.code(&cut), "starts_between_keyframes");
    // Stored with early presentation times instead of an edit list, and in QuickTime's own form.
    let negative = ["-i", file.to_str().unwrap(), "-c", "copy", "-movflags", "+negative_cts_offsets"];
    checked(&workspace, &workspace.make("negative.mp4", &[&negative]), 4);
    checked(
        &workspace,
        &workspace.make("quicktime.mov", &[&["-i", file.to_str().unwrap(), "-c", "copy"]]),
        4,
    );
    let bare = ["-i", file.to_str().unwrap(), "-c", "copy", "-use_editlist", "0"];
    checked(&workspace, &workspace.make("bare.mp4", &[&bare]), 4);
}

#[test]
fn odd_clocks_and_tracks_that_begin_apart() {
    let workspace = Workspace::new();
    let ntsc = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30000/1001:duration=12"];
    let mono = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100:duration=12"];
    let order = ["-map", "1:a", "-map", "0:v", "-video_track_timescale", "30000"];
    checked(&workspace, &workspace.make("ntsc.mp4", &[&ntsc, &mono, X264, AAC, &order]), 4);
    // Every third frame is dropped, on a clock of 25.
    let uneven = ["-vf", "select=mod(n\\,3)", "-fps_mode", "vfr", "-video_track_timescale", "25"];
    let slow = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=12"];
    checked(&workspace, &workspace.make("uneven.mp4", &[&slow, TONE, X264, AAC, &uneven]), 4);
    let late = [VIDEO, &["-itsoffset", "0.3"], TONE, X264, AAC];
    checked(&workspace, &workspace.make("late_sound.mp4", &late), 4);
    let late = [TONE, &["-itsoffset", "0.25"], VIDEO, X264, AAC];
    checked(&workspace, &workspace.make("late_picture.mp4", &late), 4);
    let alone = checked(&workspace, &workspace.make("silent.mp4", &[VIDEO, X264]), 4);
    assert_eq!(alone.audio, None);
}

#[test]
fn h265_is_reported_separately() {
    let workspace = Workspace::new();
    let x265 = |more: &'static str| ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", more];
    let closed = x265("log-level=none:keyint=48:bframes=3:open-gop=0");
    let hvc1 = ["-tag:v", "hvc1", "-pix_fmt", "yuv420p10le", "-color_trc", "arib-std-b67"];
    let file = workspace.make("hevc.mp4", &[VIDEO, TONE, &closed, AAC, &hvc1]);
    let report = checked(&workspace, &file, 4);
    assert_eq!((report.video, report.audio), (None, None));
    let hevc = report.hevc.unwrap();
    assert_eq!((hevc.hdr, hevc.video.width, hevc.video.height), (Hdr::Hlg, 320, 180));
    assert!(hevc.video.codecs.starts_with("hvc1.2.4.L"), "{}", hevc.video.codecs);

    let copied = |name: &str, more: &[&str]| {
        workspace.make(name, &[&["-i", file.to_str().unwrap(), "-c", "copy"], more])
    };
    let named = checked(&workspace, &copied("hev1.mp4", &["-tag:v", "hev1"]), 4);
    assert_eq!(named.hevc.unwrap().video.codecs, hevc.video.codecs);
    let open = x265("log-level=none:keyint=48:bframes=3:open-gop=1");
    assert_eq!(workspace.code(&workspace.make("open.mp4", &[VIDEO, &open, &["-tag:v", "hvc1"]])), "open_gop");
}

#[test]
fn sources_that_players_cannot_handle_are_declined() {
    let workspace = Workspace::new();
    let good = workspace.make("good.mp4", &[VIDEO, TONE, X264, AAC, &["-movflags", "+faststart"]]);
    let from_good = |name: &str, more: &[&str]| {
        workspace.make(name, &[&["-i", good.to_str().unwrap(), "-c", "copy"], more])
    };
    assert_eq!(workspace.code(&from_good("turned.mp4", &["-metadata:s:v", "rotate=90"])), "turned");
    assert_eq!(workspace.code(&from_good("good.mkv", &[])), "container");
    assert_eq!(
        workspace.code(&from_good("pieces.mp4", &["-movflags", "+frag_keyframe+empty_moov"])),
        "fragmented"
    );
    assert_eq!(
        workspace.code(&from_good("wide.mp4", &["-bsf:v", "h264_metadata=sample_aspect_ratio=4/3"])),
        "pixel_shape"
    );

    let encoded = |name: &str, more: &[&str]| workspace.make(name, &[VIDEO, X264, more]);
    assert_eq!(workspace.code(&encoded("ten.mp4", &["-pix_fmt", "yuv420p10le"])), "profile");
    assert_eq!(workspace.code(&encoded("fields.mp4", &["-flags", "+ilme+ildct"])), "interlaced");
    assert_eq!(workspace.code(&encoded("open.mp4", &["-x264-params", "open-gop=1:scenecut=0"])), "open_gop");
    assert_eq!(
        workspace.code(&encoded("rare.mp4", &["-g", "300", "-x264-params", "scenecut=0"])),
        "keyframes_apart"
    );
    assert_eq!(workspace.code(&encoded("old.mp4", &["-c:v", "mpeg4"])), "codec");

    let cut = workspace.path("cut_off.mp4");
    let bytes = std::fs::read(&good).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() * 2 / 3]).unwrap();
    assert_eq!(workspace.code(&cut), "cut_off");
    assert!(!workspace.path("out/index/video").exists(), "nothing half made stays");
}
