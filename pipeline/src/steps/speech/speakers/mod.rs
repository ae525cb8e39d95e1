//! Who speaks: the main voice of a lesson, another one, or several.
//!
//! A voice encoder turns windows of speech into numbers ([`network`]), and windows that sound alike
//! are joined to voices ([`clusters`]). The voice that speaks longest is the main one; in a lesson
//! that is the teacher's as a rule. Nothing that could identify a voice leaves the step's memory.

mod clusters;
mod encoder;
mod matrix;
mod mel;
mod network;
mod turns;

use self::clusters::{Cluster, join_voices};
pub use self::encoder::VoiceEncoder;
use self::mel::{FRAME_MS, MelSpectrogram};
pub use self::network::Network;
use self::turns::VoicedSpan;
pub use self::turns::{Turn, Voice};
use super::activity::SpeechSpan;
use super::wav::{RATE_HZ, WavReader};
use crate::context::StepContext;
use crate::error::Result;

/// Length of a window, in ms: the encoder was trained on it.
const WINDOW_MS: u64 = 1_600;
/// Maximum time between the starts of two windows, in ms.
const WINDOW_STEP_MS: u64 = 400;
/// Minimum length of a window, in ms; a shorter span says too little.
const MIN_WINDOW_MS: u64 = 300;
/// Step in which the lengths of short windows grow, in ms: equal ones are computed together.
const LENGTH_STEP_MS: u64 = 100;
/// Number of windows that wait to be computed together.
const MAX_PENDING_WINDOWS: usize = 256;
/// Number of voices that are followed, more than any lesson has: noise must not add up.
const MAX_VOICES: usize = 200;
/// Number of windows whose voices are joined at once.
const MAX_JOINED_WINDOWS: usize = 1_000;
/// Minimum speech of a voice, in ms. What sounds like no other voice for less time is noise, or an
/// odd moment of a known one.
const MIN_VOICE_MS: f32 = 1_200.0;
/// Level to which quiet audio is raised, relative to full scale.
const LEVEL: f32 = 0.031_6;

/// A window of speech and its embedding.
struct Window {
    /// Number of its span.
    span: usize,
    audio: SpeechSpan,
    /// Its part of the span's duration, in ms.
    share_ms: f32,
    embedding: Vec<f32>,
}

/// Finds who speaks when. `spans` are the recording's speech.
pub fn find_turns(
    encoder: &dyn VoiceEncoder,
    wav: &WavReader,
    spans: &[SpeechSpan],
    ctx: &StepContext,
) -> Result<Vec<Turn>> {
    let windows = embed_all(encoder, wav, spans, ctx)?;
    let mut voices: Vec<Cluster> = Vec::new();
    for windows in windows.chunks(MAX_JOINED_WINDOWS) {
        voices.extend(windows.iter().map(|window| Cluster::new(&window.embedding, window.share_ms)));
        ctx.check_cancelled()?;
        voices = join_voices(voices);
        // The longest are first.
        voices.truncate(MAX_VOICES);
    }
    let lasting = voices.iter().filter(|voice| voice.duration_ms >= MIN_VOICE_MS).count();
    voices.truncate(lasting.max(1));
    let mut voiced: Vec<VoicedSpan> =
        spans.iter().map(|span| VoicedSpan { span: *span, windows: Vec::new() }).collect();
    for window in &windows {
        voiced[window.span].windows.push((window.audio, similarities(window, &voices)));
    }
    Ok(turns::find(&voiced))
}

fn similarities(window: &Window, voices: &[Cluster]) -> Vec<f32> {
    voices.iter().map(|voice| voice.similarity(&window.embedding)).collect()
}

/// Returns the factor that raises quiet speech to the level that the encoder knows.
fn gain(wav: &WavReader, spans: &[SpeechSpan]) -> Result<f32> {
    let (mut energy, mut count) = (0.0_f64, 0.0_f64);
    for part in spans.iter().copied().flat_map(parts) {
        let samples = read(wav, part)?;
        energy += samples.iter().map(|sample| f64::from(sample * sample)).sum::<f64>();
        count += samples.len() as f64;
    }
    let level = (energy / count.max(1.0)).sqrt() as f32;
    Ok((LEVEL / level.max(1e-6)).clamp(1.0, 1_000.0))
}

fn read(wav: &WavReader, span: SpeechSpan) -> Result<Vec<f32>> {
    let sample = |ms: u64| ms * RATE_HZ / 1000;
    wav.read(sample(span.start_ms), sample(span.duration_ms()))
}

/// Embeds all spans: a short one as one window, others as windows that overlap.
fn embed_all(
    encoder: &dyn VoiceEncoder,
    wav: &WavReader,
    spans: &[SpeechSpan],
    ctx: &StepContext,
) -> Result<Vec<Window>> {
    let (spectrogram, gain) = (MelSpectrogram::new(), gain(wav, spans)?);
    let mut out: Vec<Window> = Vec::new();
    let mut pending: Vec<Vec<f32>> = Vec::new();
    for (number, span) in spans.iter().enumerate() {
        for part in parts(*span) {
            ctx.check_cancelled()?;
            let mut samples = read(wav, part)?;
            samples.iter_mut().for_each(|sample| *sample *= gain);
            let frames = spectrogram.compute(&samples);
            let starts = window_starts(part);
            let share_ms = part.duration_ms() as f32 / starts.len() as f32;
            let length_ms = window_length_ms(part);
            for start_ms in starts {
                let audio = SpeechSpan { start_ms, end_ms: start_ms + length_ms };
                let index = |ms: u64| (ms / FRAME_MS) as usize * mel::BANDS;
                let from = index(start_ms - part.start_ms);
                // The end of a file may lack the last frames.
                if let Some(window) = frames.get(from..from + index(length_ms)) {
                    pending.push(window.to_vec());
                    out.push(Window { span: number, audio, share_ms, embedding: Vec::new() });
                }
            }
            if pending.len() >= MAX_PENDING_WINDOWS {
                embed_pending(encoder, &mut pending, &mut out);
            }
        }
    }
    embed_pending(encoder, &mut pending, &mut out);
    Ok(out)
}

/// Embeds the last windows of `out`, whose spectrograms are pending.
fn embed_pending(encoder: &dyn VoiceEncoder, pending: &mut Vec<Vec<f32>>, out: &mut [Window]) {
    let first = out.len() - pending.len();
    let spectrograms: Vec<&[f32]> = pending.iter().map(Vec::as_slice).collect();
    let embeddings = encoder.embed(&spectrograms);
    out[first..].iter_mut().zip(embeddings).for_each(|(window, embedding)| window.embedding = embedding);
    pending.clear();
}

/// Cuts a long span into parts of half a minute at most, so that memory does not grow with it.
fn parts(span: SpeechSpan) -> Vec<SpeechSpan> {
    const MAX_PART_MS: u64 = 30_000;
    let count = span.duration_ms().div_ceil(MAX_PART_MS);
    let at = |part: u64| span.start_ms + span.duration_ms() * part / count;
    (0..count).map(|part| SpeechSpan { start_ms: at(part), end_ms: at(part + 1) }).collect()
}

/// Returns the length of a span's windows: that of the span, rounded down, if it is short.
fn window_length_ms(span: SpeechSpan) -> u64 {
    (span.duration_ms() / LENGTH_STEP_MS * LENGTH_STEP_MS).min(WINDOW_MS)
}

/// Returns the starts of the windows that cover a span, evenly spread.
fn window_starts(span: SpeechSpan) -> Vec<u64> {
    if span.duration_ms() < MIN_WINDOW_MS {
        return Vec::new();
    }
    let room_ms = span.duration_ms() - window_length_ms(span);
    let steps = room_ms.div_ceil(WINDOW_STEP_MS);
    (0..=steps).map(|step| span.start_ms + room_ms * step / steps.max(1)).collect()
}
