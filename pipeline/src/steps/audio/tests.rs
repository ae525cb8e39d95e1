//! The complete step on generated signals; ffmpeg decodes its output.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use super::*;
use crate::context::StepEvent;
use crate::limits::Limits;
use crate::media::{AudioTrack, MediaInfo};
use crate::source::FileSource;

struct Made {
    folder: tempfile::TempDir,
    report: Result<AudioReport>,
    events: Vec<StepEvent>,
}

/// Runs the step on interleaved 16-bit samples in a WAV file.
fn made(rate_hz: u32, channels: u16, samples: &[i16], origin_ns: i64, cancelled: bool) -> Made {
    made_with(rate_hz, channels, samples, origin_ns, cancelled, |_| ())
}

/// The same, with a request that `adjust` changes.
fn made_with(
    rate_hz: u32,
    channels: u16,
    samples: &[i16],
    origin_ns: i64,
    cancelled: bool,
    adjust: impl FnOnce(&mut AudioRequest),
) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("source.wav");
    std::fs::write(&path, wav(rate_hz, channels, samples)).unwrap();
    let end_ms = samples.len() as u64 * 1000 / u64::from(rate_hz) / u64::from(channels);
    let media = MediaInfo {
        container: "wav".to_owned(),
        size_bytes: 0,
        within: None,
        parts: Vec::new(),
        duration_ms: end_ms,
        origin_ns,
        video_gap: None,
        video: None,
        audio: Some(AudioTrack {
            codec: "pcm".to_owned(),
            stream_index: 0,
            channels: channels.into(),
            sample_rate_hz: rate_hz,
            language: Some("deu".to_owned()),
            chosen: None,
            start_ms: 0,
            end_ms,
        }),
        warnings: vec![],
    };
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = events.clone();
    let ctx = StepContext {
        out_dir: folder.path().join("out"),
        emit: Arc::new(move |event| sink.lock().unwrap().push(event)),
        cancel: Arc::new(AtomicBool::new(cancelled)),
    };
    let source = Arc::new(FileSource::open(&path).unwrap());
    let json = serde_json::json!({ "media": media, "limits": Limits::default() });
    let mut request: AudioRequest = serde_json::from_value(json).unwrap();
    adjust(&mut request);
    let report = run(&request, source, &ctx);
    drop(ctx);
    let events = Arc::into_inner(events).unwrap().into_inner().unwrap();
    Made { folder, report, events }
}

fn wav(rate_hz: u32, channels: u16, samples: &[i16]) -> Vec<u8> {
    let mut bytes = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0".to_vec();
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate_hz.to_le_bytes());
    bytes.extend((rate_hz * u32::from(channels) * 2).to_le_bytes());
    bytes.extend((channels * 2).to_le_bytes());
    bytes.extend([16, 0]);
    bytes.extend(b"data");
    bytes.extend((samples.len() as u32 * 2).to_le_bytes());
    bytes.extend(samples.iter().flat_map(|s| s.to_le_bytes()));
    let size = (bytes.len() as u32 - 8).to_le_bytes();
    bytes[4..8].copy_from_slice(&size);
    bytes
}

/// Returns the first channel as ffmpeg decodes it. It must report no problem.
fn decoded(path: &Path, channels: usize) -> Vec<f32> {
    let output = Command::new("ffmpeg")
        .args(["-v", "warning", "-i"])
        .arg(path)
        .args(["-f", "f32le", "-"])
        .output()
        .expect("these tests need ffmpeg: install Debian's package ffmpeg");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && words.is_empty(), "{words}");
    output
        .stdout
        .chunks_exact(4 * channels)
        .map(|frame| f32::from_le_bytes(frame[..4].try_into().unwrap()))
        .collect()
}

/// Returns the position of the loudest sample.
fn loudest(samples: &[f32]) -> usize {
    (0..samples.len()).max_by(|a, b| samples[*a].abs().total_cmp(&samples[*b].abs())).unwrap()
}

/// A quiet tone with one loud click.
fn tone_with_click(frames: usize, click: usize) -> Vec<i16> {
    (0..frames)
        .flat_map(|i| {
            let tone = (i as f32 * 0.05).sin() * 1500.0;
            [if (click..click + 5).contains(&i) { 25_000 } else { tone as i16 }; 2]
        })
        .collect()
}

#[test]
fn a_click_stays_where_it_is_and_lengths_agree() {
    // 10 s and 100 frames: three complete segments and a short one.
    let (frames, click) = (480_100, 230_000);
    let made = made(48_000, 2, &tone_with_click(frames, click), 0, false);
    let report = made.report.unwrap();
    assert_eq!(report.duration_ms, 10_003);
    assert_eq!(report.language.as_deref(), Some("deu"));
    for (rendition, channels) in report.renditions.iter().zip([1, 2]) {
        let samples = decoded(&made.folder.path().join("out").join(&rendition.playlist), channels as usize);
        assert_eq!(samples.len(), frames.next_multiple_of(1024), "{}", rendition.name);
        let found = loudest(&samples);
        assert!(found.abs_diff(click) <= 48, "{}: click at {found}", rendition.name);
        assert_eq!((rendition.channels, rendition.segments), (channels, 4));
        assert_eq!((rendition.codecs.as_str(), rendition.duration_ms), ("mp4a.40.2", 10_003));
        let text = std::fs::read_to_string(made.folder.path().join("out").join(&rendition.playlist)).unwrap();
        assert_eq!(text.matches("#EXTINF:3.200000,").count(), 3, "{text}");
        assert!(text.contains("#EXTINF:0.402083,\n00004.m4s\n#EXT-X-ENDLIST"), "{text}");
    }
    let speech: Vec<f32> = std::fs::read(made.folder.path().join("out").join(&report.speech[0])).unwrap()
        [44..]
        .chunks_exact(2)
        .map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])))
        .collect();
    assert_eq!(speech.len(), frames.div_ceil(3));
    assert!(loudest(&speech).abs_diff(click / 3) <= 8);

    let outputs: Vec<&str> = made
        .events
        .iter()
        .filter_map(|e| if let StepEvent::Output { path, .. } = e { Some(path.as_str()) } else { None })
        .collect();
    assert_eq!(outputs.len(), 13, "{outputs:?}");
    assert!(outputs.contains(&"work/speech.wav.001") && outputs.contains(&"audio/a32/init.mp4"));
    let done: Vec<u64> = made
        .events
        .iter()
        .filter_map(|e| if let StepEvent::Progress { done_ms, .. } = e { Some(*done_ms) } else { None })
        .collect();
    assert!(done.is_sorted() && done.last() == Some(&10_002), "{done:?}");
}

#[test]
fn what_is_too_quiet_and_what_is_too_loud_come_to_the_same_loudness() {
    for (level, expected_gain) in [(2500.0, true), (30_000.0, false)] {
        let (mut seed, mut low) = (1u32, 0.0);
        let samples: Vec<i16> = (0..48_000 * 8)
            .map(|i| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // Most of it below 2 kHz, as in speech: an encoder drops what is far above.
                low += 0.2 * ((seed >> 8) as f32 / 8_388_608.0 - 1.0 - low);
                // Syllables: loud and soft four times a second.
                (low * level * (0.55 + 0.45 * (i as f32 * std::f32::consts::TAU * 4.0 / 48_000.0).sin()))
                    as i16
            })
            .collect();
        let made = made(48_000, 1, &samples, 0, false);
        let report = made.report.unwrap();
        assert_eq!(report.gain_db > 0.0, expected_gain);
        let wide = decoded(&made.folder.path().join("out/audio/a96/index.m3u8"), 2);
        let mut meter = LoudnessMeter::new(None).unwrap();
        meter.add(&wide.iter().map(|s| [*s; 2]).collect::<Vec<_>>()).unwrap();
        let measured = meter.finish().unwrap();
        let lufs = measured.integrated_lufs.unwrap();
        assert!((lufs + 18.0).abs() < 1.0, "{lufs} LUFS from {level}");
        assert!(measured.true_peak_dbtp <= -1.0, "{} dBTP", measured.true_peak_dbtp);
        for (rendition, most) in report.renditions.iter().zip([34_500, 105_600]) {
            let peak = rendition.bandwidth_bps;
            assert!(peak <= most, "{}: {peak} bit/s", rendition.name);
            assert!(rendition.average_bandwidth_bps * 10 >= peak * 9);
        }
    }
}

#[test]
fn silence_stays_silence_and_telephone_sound_keeps_its_length() {
    let made = made(8000, 1, &[0; 8000 * 2], 0, false);
    let report = made.report.unwrap();
    assert_eq!((report.loudness_lufs, report.gain_db, report.duration_ms), (None, 0.0, 2000));
    for rendition in &report.renditions {
        let samples =
            decoded(&made.folder.path().join("out").join(&rendition.playlist), rendition.channels as usize);
        assert_eq!(samples.len(), 96_000usize.next_multiple_of(1024));
        assert!(samples.iter().all(|s| s.abs() < 1e-4));
    }
}

#[test]
fn sound_that_starts_late_is_preceded_by_silence() {
    let made = made(48_000, 2, &tone_with_click(96_000, 10_000), -1_500_000_000, false);
    let report = made.report.unwrap();
    assert_eq!(report.duration_ms, 3500);
    let samples = decoded(&made.folder.path().join("out").join(&report.renditions[1].playlist), 2);
    assert!(loudest(&samples).abs_diff(82_000) <= 48);
    assert!(samples[..71_000].iter().all(|s| s.abs() < 1e-3));
}

#[test]
fn a_voice_on_one_of_sixteen_channels_is_heard() {
    let (frames, click) = (96_000, 48_000);
    let mut samples = vec![0; frames * 16];
    for (frame, audible) in tone_with_click(frames, click).chunks_exact(2).enumerate() {
        samples[frame * 16 + 10] = audible[0];
    }
    let made = made(48_000, 16, &samples, 0, false);
    for rendition in &made.report.unwrap().renditions {
        let samples =
            decoded(&made.folder.path().join("out").join(&rendition.playlist), rendition.channels as usize);
        let found = loudest(&samples);
        assert!(found.abs_diff(click) <= 48, "{}: click at {found}", rendition.name);
        assert!(samples[found].abs() > 0.2, "{}: {}", rendition.name, samples[found]);
    }
}

#[test]
fn inverted_channels_too_short_to_repair_reach_the_mono_outputs() {
    // The repair needs 1.5 s; the second pass must not add channels that cancel each other.
    let samples: Vec<i16> = (0..48_000)
        .flat_map(|i| {
            let sample = ((i as f32 * 0.05).sin() * 8000.0) as i16;
            [sample, -sample]
        })
        .collect();
    let made = made(48_000, 2, &samples, 0, false);
    let report = made.report.unwrap();
    assert_eq!(report.warnings, []);
    let mono = decoded(&made.folder.path().join("out").join(&report.renditions[0].playlist), 1);
    assert!(mono.iter().any(|sample| sample.abs() > 0.1));
}

/// Every file that a step made, by its path below the folder.
fn files(made: &Made) -> BTreeMap<String, Vec<u8>> {
    let outputs = made.events.iter().filter_map(|event| match event {
        StepEvent::Output { path, .. } => Some(path.clone()),
        _ => None,
    });
    outputs
        .map(|path| (path.clone(), std::fs::read(made.folder.path().join("out").join(path)).unwrap()))
        .collect()
}

#[test]
fn spans_are_silent_in_the_renditions_and_all_else_is_as_before() {
    let samples: Vec<i16> = (0..48_000 * 6)
        .flat_map(|i| {
            let syllables = 0.6 + 0.4 * (i as f32 * std::f32::consts::TAU * 3.0 / 48_000.0).sin();
            [((i as f32 * 0.05).sin() * 9000.0 * syllables) as i16; 2]
        })
        .collect();
    let made = |outputs, silenced_ms: &[(u64, u64)]| {
        made_with(48_000, 2, &samples, 0, false, |request| {
            (request.outputs, request.silenced_ms) = (outputs, silenced_ms.to_vec());
        })
    };
    let all = made(AudioOutputs::All, &[]);
    let parts = [made(AudioOutputs::Speech, &[]), made(AudioOutputs::Renditions, &[])];
    let reports = parts.each_ref().map(|part| part.report.as_ref().unwrap());
    assert!(reports[0].renditions.is_empty() && reports[1].speech.is_empty());
    let both: BTreeMap<_, _> = parts.iter().flat_map(files).collect();
    assert!(files(&all) == both && both.len() == 9, "the same bytes in two steps: {:?}", both.keys());

    let silenced = made(AudioOutputs::Renditions, &[(2000, 2800)]);
    for rendition in &silenced.report.as_ref().unwrap().renditions {
        let [before, after] = [&all, &silenced].map(|made| {
            let playlist = made.folder.path().join("out").join(&rendition.playlist);
            decoded(&playlist, rendition.channels as usize)
        });
        let level = |samples: &[f32], ms: usize| {
            let part = &samples[ms * 48..(ms + 50) * 48];
            (part.iter().map(|s| s * s).sum::<f32>() / part.len() as f32).sqrt()
        };
        for ms in (0..5_900).step_by(50) {
            let (before, after) = (level(&before, ms), level(&after, ms));
            match ms {
                2050..=2700 => assert!(after < 0.001, "{}: {after} at {ms} ms", rendition.name),
                1900..=2850 => {}
                // Before, not a bit differs; after, the encoder may spend its bits in another way.
                0..1900 => assert_eq!(after, before, "{}: at {ms} ms", rendition.name),
                _ => assert!((after / before - 1.0).abs() < 0.3, "{}: {after} at {ms} ms", rendition.name),
            }
        }
    }
}

#[test]
fn a_cancel_is_heard() {
    let error = made(48_000, 2, &[0; 96_000], 0, true).report.unwrap_err();
    assert_eq!(error.kind, crate::ErrorKind::Cancelled);
}

#[test]
fn a_second_pass_of_another_length_is_held_to_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let (ctx, _) = crate::context::capturing_context(folder.path());
    crate::gst::init().unwrap();
    let loudness = LoudnessMeter::new(None).unwrap().finish().unwrap();
    for given in [90_000, 96_000, 99_000] {
        let plan = RenderPlan { outputs: AudioOutputs::All, silenced_ms: &[], language: None };
        let mut renderer = AudioRenderer::new(&ctx, 96_000, &loudness, &plan).unwrap();
        renderer.push(&vec![[0.25; 2]; given]).unwrap();
        assert_eq!(renderer.is_complete(), given == 96_000);
        let (renditions, speech) = renderer.finish().unwrap();
        assert!(renditions.iter().all(|made| made.duration_ms == 2000), "{given}: {renditions:?}");
        let speech = std::fs::read(folder.path().join(&speech[0])).unwrap();
        assert_eq!(speech.len(), 44 + 2 * 32_000, "{given}");
    }
}
