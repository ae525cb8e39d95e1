//! The step on real voices with the real models.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::wav::RATE_HZ;
use super::*;
use crate::context::StepEvent;
use crate::source::Bytes;
use crate::source::FileSource;

fn models() -> PathBuf {
    let dir = std::env::var_os("CHALKSTREAM_TEST_MODELS").map(PathBuf::from).unwrap_or_default();
    assert!(
        crate::model::locate("tiny.en", &dir).is_ok(),
        "the speech model is not in {}: run the tests with scripts/test, \
         or `chalkstream model fetch tiny.en`",
        dir.display()
    );
    dir
}

pub fn request(duration_ms: u64, threads: u32) -> TranscribeRequest {
    let found = crate::model::locate("tiny.en", &models()).unwrap();
    let (model_path, vad_model_path) = (found.model, Some(found.vad));
    TranscribeRequest {
        model_path,
        vad_model_path,
        voices_path: None,
        meaning_path: Some(found.meaning),
        model_name: found.name,
        language: None,
        threads,
        duration_ms,
        effort: Effort::Careful,
        names: None,
        silence: false,
        vocabulary: Vec::new(),
    }
}

/// A WAV file of these samples. Readers must skip the chunk before them.
pub fn wav_file(samples: &[i16]) -> Vec<u8> {
    let mut out = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0".to_vec();
    out.extend([1, 0, 1, 0, 0x80, 0x3e, 0, 0, 0, 0x7d, 0, 0, 2, 0, 16, 0]);
    out.extend(b"data");
    out.extend((samples.len() as u32 * 2).to_le_bytes());
    out.extend(samples.iter().flat_map(|s| s.to_le_bytes()));
    out
}

pub struct Run {
    folder: tempfile::TempDir,
    outputs: Mutex<Vec<String>>,
    progress: AtomicU64,
}

impl Run {
    pub fn new(
        request: &TranscribeRequest,
        source: Source,
        cancelled: bool,
    ) -> (Arc<Self>, Result<TranscriptReport>) {
        let folder = tempfile::tempdir().unwrap();
        let out_dir = folder.path().to_owned();
        let run = Arc::new(Self { folder, outputs: Mutex::default(), progress: AtomicU64::new(0) });
        let sink = run.clone();
        let emit = move |event| match event {
            StepEvent::Output { path, .. } => sink.outputs.lock().unwrap().push(path),
            StepEvent::Progress { done_ms, .. } => {
                sink.progress.fetch_max(done_ms, Ordering::Relaxed);
            }
            _ => {}
        };
        let cancel = Arc::new(AtomicBool::new(cancelled));
        let report = super::run(request, source, &StepContext { out_dir, emit: Arc::new(emit), cancel });
        (run, report)
    }

    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(path)).unwrap()
    }
}

/// The composed lesson: its audio as the audio step makes it, and its utterances.
pub fn lesson(folder: &Path) -> (PathBuf, Vec<(u64, u64, String)>) {
    let from = std::env::var_os("CHALKSTREAM_LESSON").map(PathBuf::from).expect(
        "CHALKSTREAM_LESSON is not set: run the tests with scripts/test, which makes the composed lesson",
    );
    let wav = folder.join("lesson.wav");
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(from.join("lesson.mp4"))
        .args(["-vn", "-ac", "1", "-ar", "16000", "-c:a", "pcm_s16le"])
        .arg(&wav)
        .status()
        .expect("ffmpeg is needed: scripts/setup test installs it");
    assert!(status.success(), "ffmpeg could not read {}", from.display());
    let truth: Value =
        serde_json::from_str(&std::fs::read_to_string(from.join("lesson.truth.json")).unwrap()).unwrap();
    let utterance = |u: &Value| {
        (
            u["start_ms"].as_u64().unwrap(),
            u["end_ms"].as_u64().unwrap(),
            u["text"].as_str().unwrap().to_owned(),
        )
    };
    (wav, truth["utterances"].as_array().unwrap().iter().map(utterance).collect())
}

pub fn plain_words(text: &str) -> Vec<String> {
    let words = text.to_lowercase().replace('-', " ");
    let plain = |word: &str| word.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    words.split_whitespace().map(plain).filter(|word| !word.is_empty()).collect()
}

/// Word errors: the edit distance over words.
pub fn word_errors(truth: &[String], found: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=found.len()).collect();
    for (i, said) in truth.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, word) in found.iter().enumerate() {
            let here = (row[j + 1] + 1).min(row[j] + 1).min(diagonal + usize::from(said != word));
            diagonal = std::mem::replace(&mut row[j + 1], here);
        }
    }
    row[found.len()]
}

#[test]
fn a_lesson_is_transcribed_and_its_first_words_are_where_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (wav, utterances) = lesson(folder.path());
    let source: Source = Arc::new(FileSource::open(&wav).unwrap());
    let duration_ms = WavReader::open(source.clone()).unwrap().duration_ms();
    let (run, report) = Run::new(&request(duration_ms, 2), source, false);
    let report = report.unwrap();
    assert_eq!((report.language.as_str(), report.model.as_str()), ("en", "tiny.en"));
    assert_eq!(run.progress.load(Ordering::Relaxed), duration_ms);

    let transcript: Value = serde_json::from_str(&run.read(&report.json)).unwrap();
    assert_eq!((&transcript["version"], &transcript["duration_ms"]), (&1.into(), &duration_ms.into()));
    let cues: Vec<cues::Cue> = serde_json::from_value(transcript["cues"].clone()).unwrap();
    let text: Vec<&str> = cues.iter().map(|cue| cue.text.as_str()).collect();
    let truth: Vec<&str> = utterances.iter().map(|u| u.2.as_str()).collect();
    let (found, truth) = (plain_words(&text.join(" ")), plain_words(&truth.join(" ")));
    let wrong = word_errors(&truth, &found);
    assert!(wrong * 100 <= truth.len() * 7, "{wrong} of {} words are wrong", truth.len());

    // A player seeks to 0.4 s before a word, but not before its cue.
    let near = utterances.iter().filter(|(start_ms, _, text)| {
        let first = &plain_words(text)[0];
        let seeks = cues.iter().flat_map(|cue| {
            let words = cue.words.iter().filter(|word| plain_words(&word.text).first() == Some(first));
            words.map(|word| word.start_ms.saturating_sub(400).max(cue.start_ms))
        });
        let window = start_ms.saturating_sub(1500)..=start_ms + 300;
        seeks.into_iter().any(|seek| window.contains(&seek))
    });
    let near = near.count();
    assert!(near * 10 >= utterances.len() * 9, "{near} of {} first words are near", utterances.len());

    // The files agree with each other, and the subtitles cover the recording.
    let captions = crate::captions::parser::parse_vtt(&run.read(&report.vtt));
    assert_eq!(captions, crate::captions::parser::parse_srt(&run.read(&report.srt)));
    assert_eq!(captions.len(), report.cues as usize);
    assert_eq!(plain_words(&run.read(&report.text)), found);
    let playlist = run.read(report.subtitles.as_deref().unwrap());
    assert_eq!(playlist.matches("#EXTINF").count() as u64, duration_ms.div_ceil(60_000));
    assert!(playlist.contains("#EXT-X-ENDLIST"));
    // The passages cover all cues.
    let passages = report.passages.as_deref().expect("no model of meaning: chalkstream model fetch tiny.en");
    let passages = std::fs::read(run.folder.path().join(passages)).unwrap();
    let passages = chalkstream_meaning::read_passages(&passages).unwrap();
    for cue in &cues {
        let own = passages.iter().filter(|passage| {
            u64::from(passage.start_ms) <= cue.start_ms && cue.end_ms <= u64::from(passage.end_ms)
        });
        assert_eq!(own.count(), 1, "{}", cue.text);
    }
    assert!(passages.iter().all(|passage| passage.end_ms - passage.start_ms <= 30_000));
    let announced = run.outputs.lock().unwrap().clone();
    for path in [&report.json, &report.vtt, &report.srt, &report.text, &"subtitles/en/00001.vtt".to_owned()] {
        assert_eq!(announced.iter().filter(|p| *p == path).count(), 1, "{path}");
    }
}

#[test]
fn whisper_is_compiled_for_speed() {
    // With debug assertions its build script takes other flags, and every lesson 1.5 times the CPU.
    let program = std::env::current_exe().unwrap();
    let builds = program.ancestors().nth(2).unwrap().join("build");
    let caches = std::fs::read_dir(&builds).unwrap().filter_map(|entry| {
        let cache = entry.unwrap().path().join("out/build/CMakeCache.txt");
        let is_whisper = cache.to_string_lossy().contains("/whisper-rs-sys-");
        Some((std::fs::metadata(&cache).ok().filter(|_| is_whisper)?.modified().unwrap(), cache))
    });
    let (_, newest) = caches.max().unwrap_or_else(|| panic!("no build of whisper.cpp in {builds:?}"));
    let flags = std::fs::read_to_string(&newest).unwrap();
    assert!(flags.contains("CMAKE_BUILD_TYPE:STRING=Release"), "{newest:?}");
    assert!(!flags.contains("WHISPER_DEBUG"), "{newest:?}");
}

#[test]
fn noise_and_silence_give_no_words_and_no_failure() {
    let mut seed = 1u32;
    let mut noise = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) as i16 / 8
    };
    let noise: Vec<i16> = (0..RATE_HZ * 20).map(|_| noise()).collect();
    for samples in [noise, vec![0; RATE_HZ as usize * 5], Vec::new()] {
        let (run, report) = Run::new(&request(65_000, 1), Arc::new(Bytes(wav_file(&samples))), false);
        let report = report.unwrap();
        assert_eq!((report.cues, report.words, report.subtitles), (0, 0, None));
        assert_eq!(run.read(&report.vtt), "WEBVTT\n");
        assert_eq!(run.outputs.lock().unwrap().len(), 4);
    }
}

#[test]
fn speech_played_backwards_gives_no_words() {
    let folder = tempfile::tempdir().unwrap();
    let (wav, _) = lesson(folder.path());
    let reader = WavReader::open(Arc::new(FileSource::open(&wav).unwrap())).unwrap();
    let forwards = reader.read(0, RATE_HZ * 40).unwrap();
    let backwards: Vec<i16> = forwards.iter().rev().map(|sample| (sample * 32_767.0) as i16).collect();
    let (run, report) = Run::new(&request(40_000, 1), Arc::new(Bytes(wav_file(&backwards))), false);
    let report = report.unwrap();
    assert!(report.speech_ms > 10_000, "the detector finds voices in {} ms", report.speech_ms);
    assert_eq!(run.read(&report.text), "");
}

#[test]
fn a_missing_model_and_a_cancelled_step_say_so() {
    let source: Source = Arc::new(Bytes(wav_file(&[0; 16_000])));
    let mut missing = request(1000, 1);
    missing.model_path = "/nowhere/ggml-tiny.en.bin".into();
    let error = Run::new(&missing, source.clone(), false).1.unwrap_err();
    assert_eq!((error.code, error.kind), ("model_missing", crate::ErrorKind::Dependency));
    let error = Run::new(&request(1000, 1), source, true).1.unwrap_err();
    assert_eq!(error.code, "cancelled");
}

#[test]
fn the_announcer_of_the_composed_lesson_is_its_main_voice() {
    let folder = tempfile::tempdir().unwrap();
    let (wav, utterances) = lesson(folder.path());
    let found = crate::model::locate("tiny.en", &models()).unwrap();
    assert!(found.voices.is_file(), "scripts/test fetches the voice encoder");
    let wav = WavReader::open(Arc::new(FileSource::open(&wav).unwrap())).unwrap();
    let ctx = StepContext { out_dir: folder.path().into(), emit: Arc::new(|_| {}), cancel: Arc::default() };
    let probabilities = activity::speech_probabilities(&found.vad, &wav, &ctx).unwrap();
    let spans = activity::find_spans(&probabilities, activity::SpanRules::default());
    let spans = edges::widen(&spans, &wav).unwrap();
    let encoder = speakers::Network::load(&found.voices).unwrap();
    let turns = speakers::find_turns(&encoder, &wav, &spans, &ctx).unwrap();
    let heard_ms = |from_ms: u64, to_ms: u64, voice| -> u64 {
        let own = turns.iter().filter(|turn| turn.voice == voice);
        own.map(|turn| turn.end_ms.min(to_ms).saturating_sub(turn.start_ms.max(from_ms))).sum()
    };
    // After the first announcement two men read and speak; then the announcer goes on, but for one
    // sentence by another voice.
    let wrong: Vec<_> = utterances
        .iter()
        .enumerate()
        .filter(|(index, (from_ms, to_ms, text))| {
            let is_main = !(1..=6).contains(index) && !text.starts_with("Go forward");
            let expected = if is_main { speakers::Voice::Main } else { speakers::Voice::Other };
            heard_ms(*from_ms, *to_ms, expected) * 10 < (to_ms - from_ms) * 8
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:?} in {turns:?}");
}
