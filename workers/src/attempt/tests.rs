//! How much a long lesson weighs in Redis, in its manifest and in storage. Children are played by
//! the test; everything after them is real: sinks, inventories, queue, manifests, sweep.
#![allow(clippy::unwrap_used)]

mod names;
mod vocabulary;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chalkstream_config::{Secret, Settings};
use chalkstream_pipeline::hls::{MediaPlaylist, PlaylistSegment, TARGET_DURATION_S, media_playlist};
use chalkstream_store::{Events, Queue, SourceFacts, Store, inventory, submit, write_manifest};
use serde_json::json;

use super::*;
use crate::lease::LeaseRenewer;
use crate::manifest::writer::ManifestWriter;
use crate::runner::Runner;
use crate::runner::outputs::{Output, OutputSink};
use crate::steps::finish;

/// A lesson of 45 minutes.
const DURATION_MS: u64 = 45 * 60_000;
/// Its segments of 3.2 s.
const SEGMENTS: u32 = 844;
/// Tile images of its storyboard.
const SHEETS: u32 = 34;

/// A `redis-server` of the test's own.
struct Redis(Child, PathBuf);

impl Redis {
    fn start(folder: &Path) -> Self {
        let socket = folder.join("redis.sock");
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--unixsocket"]).arg(&socket).current_dir(folder);
        let child = command.stdout(Stdio::null()).spawn().expect("redis-server is missing");
        let started = Instant::now();
        while UnixStream::connect(&socket).is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "redis does not answer");
            std::thread::yield_now();
        }
        Self(child, socket)
    }

    /// Bytes of memory that a key takes.
    fn memory_bytes(&self, key: &str) -> u64 {
        let mut connection = UnixStream::connect(&self.1).unwrap();
        write!(connection, "MEMORY USAGE {key} SAMPLES 0\r\n").unwrap();
        let mut answer = String::new();
        BufReader::new(connection).read_line(&mut answer).unwrap();
        answer.trim_start_matches(':').trim_end().parse().unwrap_or_else(|_| panic!("{answer}"))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Outputs of a child, by path: playlists with their text, anything else with its own name.
#[derive(Default)]
struct Made(Vec<(String, String)>);

impl Made {
    fn file(&mut self, path: impl Into<String>) {
        let path = path.into();
        self.0.push((path.clone(), path));
    }

    fn playlist(&mut self, folder: &str, extension: &str, count: u32, duration_ms: u64) {
        let uris = (1..=count).map(|number| format!("{number:05}.{extension}"));
        let each = 3_200_u64.max(duration_ms.div_ceil(u64::from(count)));
        let mut left = duration_ms;
        let segments = uris.map(|uri| {
            let duration_ticks = each.min(left);
            left -= duration_ticks;
            PlaylistSegment { uri, duration_ticks, byte_range: None }
        });
        let text = media_playlist(&MediaPlaylist {
            timescale: 1000,
            target_duration_s: TARGET_DURATION_S,
            init_uri: (extension == "m4s").then_some("init.mp4"),
            iframes_only: false,
            segments: &segments.collect::<Vec<_>>(),
        });
        self.0.push((format!("{folder}/index.m3u8"), text));
    }

    fn rendition(&mut self, group: &str, name: &str) -> Value {
        let folder = format!("{group}/{name}");
        self.file(format!("{folder}/init.mp4"));
        for number in 1..=SEGMENTS {
            self.file(format!("{folder}/{number:05}.m4s"));
        }
        self.playlist(&folder, "m4s", SEGMENTS, DURATION_MS);
        report(group, name)
    }

    /// Keyframes, some minutes in a file.
    fn keyframes(&mut self, name: &str, files: u32) -> Value {
        let folder = format!("iframes/{name}");
        self.file(format!("{folder}/init.mp4"));
        for number in 1..=files {
            self.file(format!("{folder}/frames-{number:03}.m4s"));
        }
        self.0.push((format!("{folder}/index.m3u8"), "#EXTM3U\n#EXT-X-ENDLIST\n".into()));
        report("iframes", name)
    }
}

fn report(group: &str, name: &str) -> Value {
    json!({
        "name": name, "width": 1920, "height": 1080, "frame_rate": { "num": 30_000, "den": 1001 },
        "codecs": "avc1.640028", "channels": 1, "bandwidth_bps": 3_456_789,
        "average_bandwidth_bps": 1_234_567, "playlist": format!("{group}/{name}/index.m3u8"),
        "segments": SEGMENTS, "duration_ms": DURATION_MS,
    })
}

/// What the child of a step makes of the lesson, and its report.
fn child(step: &str) -> (Made, Value) {
    let mut made = Made::default();
    let report = match StepKind::from_name(step).unwrap() {
        StepKind::Inspect => json!({
            "container": "matroska", "size_bytes": 3_300_000_000_u64, "duration_ms": DURATION_MS, "warnings": [],
            "video": {
                "codec": "h264", "stream_index": 0, "width": 1920, "height": 1080,
                "frame_rate": { "num": 30_000, "den": 1001 }, "variable_rate": true, "rotation_degrees": 90,
                "mirrored": false, "interlaced": false, "hdr": "none", "start_ms": 0, "end_ms": DURATION_MS,
            },
            "audio": {
                "codec": "aac", "stream_index": 0, "channels": 2, "sample_rate_hz": 48_000, "language": "en",
                "start_ms": 0, "end_ms": DURATION_MS,
            },
        }),
        kind @ (StepKind::Audio | StepKind::SpeechAudio | StepKind::SilencedAudio) => {
            let names = if kind == StepKind::SpeechAudio { &[][..] } else { &["a32", "a96"] };
            let renditions: Vec<_> = names.iter().map(|name| made.rendition("audio", name)).collect();
            let parts = if kind == StepKind::SilencedAudio { 0 } else { 9 };
            let speech: Vec<_> = (0..parts).map(|part| format!("work/speech-{part:03}.wav")).collect();
            speech.iter().for_each(|part| made.file(part));
            json!({
                "loudness_lufs": -23.4, "speech_lufs": -21.9, "speech_share": 0.6, "true_peak_dbtp": -1.2,
                "gain_db": 5.9, "renditions": renditions, "language": "en", "speech": speech,
                "duration_ms": DURATION_MS, "warnings": [],
            })
        }
        StepKind::Stills => {
            let sheets: Vec<_> =
                (0..SHEETS).map(|sheet| format!("stills/storyboard-{sheet:03}.jpg")).collect();
            sheets.iter().for_each(|sheet| made.file(sheet));
            made.file("stills/poster.jpg");
            made.file("stills/storyboard.vtt");
            json!({
                "poster": "stills/poster.jpg", "width": 1280, "height": 720,
                "placeholder": format!("data:image/jpeg;base64,{}", "A".repeat(900)),
                "rendition": made.rendition("video", "stills"),
                "storyboard": {
                    "vtt": "stills/storyboard.vtt", "sheets": sheets, "tile_width": 160, "tile_height": 90,
                    "interval_ms": 3_200,
                },
            })
        }
        StepKind::WeakLine => json!({
            "renditions": [made.rendition("video", "v240")], "iframes": made.keyframes("v240", 3),
            "trickplay": made.keyframes("trickplay", 6), "duration_ms": DURATION_MS, "warnings": [],
        }),
        StepKind::Ladder => {
            let renditions = ["v1080", "v720", "v480", "v360"].map(|name| made.rendition("video", name));
            json!({
                "renditions": renditions, "iframes": null, "trickplay": null, "duration_ms": DURATION_MS,
                "warnings": [],
            })
        }
        StepKind::Transcribe => {
            let names = ["transcript.json", "captions.en.vtt", "captions.en.srt", "transcript.en.txt"];
            let [json, vtt, srt, text] = names.map(|name| format!("transcript/{name}"));
            [&json, &vtt, &srt, &text].into_iter().for_each(|path| made.file(path));
            (1..=45).for_each(|minute| made.file(format!("subtitles/en/{minute:05}.vtt")));
            made.playlist("subtitles/en", "vtt", 45, DURATION_MS);
            json!({
                "language": "en", "model": "base.en", "cues": 900, "words": 6_000, "speech_ms": 1_600_000,
                "json": json, "vtt": vtt, "srt": srt, "text": text, "subtitles": "subtitles/en/index.m3u8",
            })
        }
        other => panic!("{other:?} has no child here"),
    };
    (made, report)
}

struct World {
    redis: Redis,
    context: WorkerContext,
    renewer: std::sync::Arc<LeaseRenewer>,
    folder: tempfile::TempDir,
}

/// What a lesson weighs.
#[derive(Debug)]
struct Weight {
    redis_bytes: u64,
    manifest_bytes: u64,
    objects: usize,
}

async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path());
    let mut settings = Settings::default();
    settings.redis.url = Secret::new(format!("redis+unix://{}", redis.1.display()));
    settings.store.path = folder.path().join("objects");
    settings.media.ladder.truncate(5);
    let store: Store = chalkstream_store::open(&settings.store).await.unwrap();
    let queue = Queue::connect(&settings.redis).await.unwrap();
    let events = Events::connect(&settings.redis).unwrap();
    let scratch = folder.path().join("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let runner = Runner::new(&settings.worker, &scratch);
    let renewer = LeaseRenewer::start(&settings).unwrap();
    let manifests = ManifestWriter { store: store.clone(), queue: queue.clone(), events };
    World { redis, context: WorkerContext { settings, store, queue, runner, manifests }, renewer, folder }
}

impl World {
    /// A lesson that was just uploaded.
    async fn uploaded(&self) -> Manifest {
        let context = &self.context;
        let mut manifest = Manifest::new("district", layout::new_recording_id());
        let source = SourceFacts {
            key: "source/original.mkv".into(),
            filename: "Year 5, fractions.mkv".into(),
            size_bytes: 3_300_000_000,
            sha256: Some("ab".repeat(32)),
        };
        manifest.objects.insert(source.key.clone(), ObjectFacts::from_bytes(b"x"));
        context.store.put(&self.key(&manifest, &source.key), "x".into()).await.unwrap();
        manifest.source = Some(source);
        write_manifest(&context.store, &manifest).await.unwrap();
        let job = chalkstream_store::JobSpec::for_recording(&manifest);
        submit::mark(&context.store, &job).await.unwrap();
        context.queue.submit(&job).await.unwrap();
        manifest
    }

    /// Makes a lesson up to `finish`, and then that. Weighs it before `finish` and afterwards.
    async fn lesson(&self, as_before: bool) -> (Weight, Weight) {
        let (context, manifest) = (&self.context, self.uploaded().await);
        let mut running = None;
        while let Some(lease) = context.queue.lease("w", 60_000).await.unwrap() {
            if lease.step == finish::NAME {
                running = Some(self.weigh(&manifest).await);
            }
            let outcome = self.attempt(&lease, as_before).await;
            let result = serde_json::to_value(&outcome.result).unwrap();
            let job = context.queue.complete(&lease, result, &outcome.added_steps).await.unwrap();
            context.manifests.update(&job).await.unwrap();
        }
        (running.unwrap(), self.weigh(&manifest).await)
    }

    async fn attempt(&self, lease: &Lease, as_before: bool) -> StepOutcome {
        let kind = StepKind::from_name(&lease.step).unwrap();
        let (progress, seen) = watch::channel(Progress::default());
        let handle = self.renewer.keep_alive(lease, Instant::now(), seen).await;
        let context = &self.context;
        let attempt = Attempt { context, lease, handle: &handle, cancel: CancellationToken::new(), progress };
        if kind.is_publication() {
            return attempt.run().await.unwrap();
        }
        let (made, report) = child(&lease.step);
        if as_before {
            // Each output was an object, named in the result.
            let objects = made.0.iter().map(|(path, text)| {
                (keys::object(path, lease.fence), ObjectFacts::from_bytes(text.as_bytes()))
            });
            let mut outcome = attempt.outcome(&report, objects.collect(), None).unwrap();
            if kind == StepKind::Inspect {
                outcome.added_steps = attempt.plan(&report).await.unwrap();
            }
            return outcome;
        }
        let prefix = layout::recording_prefix(&lease.tenant, &lease.recording);
        let scratch = context.runner.scratch();
        let sink = ObjectSink::new(&context.store, prefix, lease.fence, &handle, scratch).unwrap();
        let file = self.folder.path().join("output");
        for (path, text) in made.0 {
            std::fs::write(&file, &text).unwrap();
            let size_bytes = text.len() as u64;
            sink.take(Output { path, file: file.clone(), size_bytes }).await.unwrap();
        }
        let media = Results::from_needs(&lease.needs).unwrap().media().unwrap();
        attempt.accept(kind, report, sink, None, media.as_ref()).await.unwrap()
    }

    fn key(&self, manifest: &Manifest, relative: &str) -> String {
        layout::object_key(&manifest.tenant, &manifest.recording, relative)
    }

    async fn weigh(&self, manifest: &Manifest) -> Weight {
        let (tenant, recording) = (&manifest.tenant, &manifest.recording);
        let read = read_manifest(&self.context.store, tenant, recording).await.unwrap().unwrap();
        let key = layout::manifest_key(tenant, recording, read.fence);
        let named = inventory::named_keys(&self.context.store, &read).await.unwrap();
        let manifests = self.context.store.list(&layout::manifest_prefix(tenant, recording), None, 10).await;
        Weight {
            redis_bytes: self.redis.memory_bytes(&format!("{{chalkstream}}:job:{tenant}/{recording}")),
            manifest_bytes: self.context.store.head(&key).await.unwrap(),
            objects: named.len() + manifests.unwrap().len(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lesson_of_45_minutes_weighs_little() {
    let world = world().await;
    let (before, _) = world.lesson(true).await;
    let (now, finished) = world.lesson(false).await;
    println!("before:   {before:?}\nnow:      {now:?}\nfinished: {finished:?}");
    assert!(before.redis_bytes > 900_000 && before.objects > 6_768, "{before:?}");
    assert!(now.redis_bytes <= 30_000, "{now:?}");
    assert!(now.manifest_bytes <= 60_000 && finished.manifest_bytes <= 60_000, "{now:?} {finished:?}");
    assert!(now.objects <= 400 && finished.objects <= 400, "{now:?} {finished:?}");

    // What is there is what is named, but for the intermediate files, which are gone.
    let left = world.context.store.list_dirs("district/").await.unwrap();
    let recording = left.iter().rfind(|name| layout::valid_recording(name)).unwrap();
    let prefix = layout::recording_prefix("district", recording);
    let manifest = read_manifest(&world.context.store, "district", recording).await.unwrap().unwrap();
    let named = inventory::named_keys(&world.context.store, &manifest).await.unwrap();
    let stored = world.context.store.list(&prefix, None, 1_000).await.unwrap();
    let stored: Vec<_> = stored.iter().map(|object| object.key.strip_prefix(&prefix).unwrap()).collect();
    let others = stored.iter().filter(|key| !named.contains(**key) && !key.starts_with("manifest/"));
    assert_eq!(others.collect::<Vec<_>>(), Vec::<&&str>::new());
    let gone = named.iter().filter(|key| !stored.contains(&key.as_str()));
    assert!(gone.clone().count() == 9 && gone.clone().all(|key| key.starts_with("work/")), "{gone:?}");
}
