//! Speech to cues with word times.
//!
//! A small network says where somebody speaks ([`activity`]); speech is cut at pauses into chunks ([`chunks`]); the
//! model hears each chunk ([`recognise`]); what nobody said is taken out ([`invented`]); words are laid over the
//! speech ([`onset`], [`align`]) and put into readable cues ([`cues`]). Memory does not grow with the recording but
//! for its words and four bytes for every 32 ms.

mod activity;
mod align;
mod chunks;
mod cues;
mod hallucinations;
mod onset;
mod publish;
mod recognizer;
#[cfg(test)]
mod tests;
mod wav;
mod words;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};

use self::activity::Span;
use self::chunks::Chunk;
use self::recognizer::{Listener, Model};
use self::wav::{RATE, Wav};
use self::words::Word;
use crate::context::StepContext;
use crate::error::{Error, Result};
use crate::source::Source;

/// What the step is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TranscribeRequest {
    /// The Whisper model file.
    pub model_path: std::path::PathBuf,
    /// The voice activity model file.
    pub vad_model_path: Option<std::path::PathBuf>,
    /// The model's name, for the transcript.
    pub model_name: String,
    /// Language spoken; none to find out.
    pub language: Option<String>,
    /// Threads to use.
    pub threads: u32,
    /// Length of the recording, in ms: captions cover it all.
    pub duration_ms: u64,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TranscriptReport {
    /// Language of the transcript.
    pub language: String,
    /// Model used.
    pub model: String,
    /// Number of cues; 0 where nobody speaks.
    pub cues: u32,
    /// Number of words.
    pub words: u32,
    /// Time somebody speaks, in ms.
    pub speech_ms: u64,
    /// Path of transcript.json.
    pub json: String,
    /// Path of the WebVTT captions.
    pub vtt: String,
    /// Path of the SRT captions.
    pub srt: String,
    /// Path of the plain text.
    pub text: String,
    /// Path of the subtitles media playlist, where there are cues.
    pub subtitles: Option<String>,
}

/// Most states at once: each takes memory, and the machine has other work.
const MOST_THREADS: u32 = 8;
/// Chunks whose language is looked at.
const LANGUAGE_CHUNKS: usize = 4;

/// Runs the step. The source is a WAV file of 16 kHz, mono, 16 bits.
///
/// # Errors
/// `model_missing` where a model file is not there; that nobody speaks is no error.
pub fn run(request: &TranscribeRequest, source: Source, ctx: &StepContext) -> Result<TranscriptReport> {
    let vad = request
        .vad_model_path
        .clone()
        .or_else(|| request.model_path.parent().map(|folder| folder.join(crate::model::VAD_FILE)));
    let vad = vad.filter(|path| path.is_file()).filter(|_| request.model_path.is_file());
    let Some(vad) = vad else { return Err(crate::model::missing_model(&request.model_name)) };

    let wav = Wav::open(source)?;
    let duration_ms = request.duration_ms.max(wav.duration_ms());
    whisper_rs::install_logging_hooks();
    let probabilities = activity::probabilities(&vad, &wav, ctx)?;
    let spans = activity::spans(&probabilities, activity::Rules::default());
    let chunks = chunks::chunks(&spans, wav.duration_ms(), chunks::Rules::default());
    let speech_ms = spans.iter().map(|span| span.length_ms()).sum();

    let (language, words) = if chunks.is_empty() {
        (request.language.clone().unwrap_or_else(|| "en".into()), Vec::new())
    } else {
        let model = Model::load(&request.model_path)?;
        let language = language(request, &model, &wav, &chunks, ctx)?;
        let words = hear(request, &model, &language, &wav, &chunks, &probabilities, ctx)?;
        (language, words)
    };
    let spaced = words::spaced(&language);
    let cues = cues::cues(&words, spaced, duration_ms);
    let transcript = publish::Transcript {
        version: 1,
        language: &language,
        model: &request.model_name,
        duration_ms,
        cues: &cues,
    };
    let files = publish::publish(&transcript, spaced, ctx)?;
    ctx.report_progress(duration_ms, duration_ms);
    Ok(TranscriptReport {
        language,
        model: request.model_name.clone(),
        cues: cues.len() as u32,
        words: cues.iter().map(|cue| cue.words.len() as u32).sum(),
        speech_ms,
        json: files.json,
        vtt: files.vtt,
        srt: files.srt,
        text: files.text,
        subtitles: files.subtitles,
    })
}

/// The language: the one asked for, English for a model that knows no other, or what the longest chunks sound like.
fn language(
    request: &TranscribeRequest,
    model: &Model,
    wav: &Wav,
    chunks: &[Chunk],
    ctx: &StepContext,
) -> Result<String> {
    if !model.multilingual() {
        return Ok("en".into());
    }
    if let Some(asked) = request.language.as_deref().filter(|asked| *asked != "auto") {
        // A tag may carry a region («pt-BR»): the model knows languages only.
        let primary = asked.split(['-', '_']).next().unwrap_or(asked).to_lowercase();
        if whisper_rs::get_lang_id(&primary).is_some() {
            return Ok(primary);
        }
    }
    let mut longest: Vec<&Chunk> = chunks.iter().collect();
    longest.sort_by_key(|chunk| std::cmp::Reverse(chunk.sound.length_ms()));
    let mut listener = model.listener()?;
    let mut votes: Vec<f32> = Vec::new();
    for chunk in longest.into_iter().take(LANGUAGE_CHUNKS) {
        ctx.check_cancelled()?;
        let heard = listener.languages(&samples(wav, chunk.sound)?)?;
        votes.resize(heard.len(), 0.0);
        votes.iter_mut().zip(&heard).for_each(|(sum, probability)| *sum += probability);
    }
    let best = votes.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(id, _)| id as i32);
    Ok(best.and_then(whisper_rs::get_lang_str).unwrap_or("en").to_owned())
}

/// Hears all chunks, on as many states as there are threads to use; words come back in order.
fn hear(
    request: &TranscribeRequest,
    model: &Model,
    language: &str,
    wav: &Wav,
    chunks: &[Chunk],
    probabilities: &[f32],
    ctx: &StepContext,
) -> Result<Vec<Word>> {
    let threads = (request.threads.clamp(1, MOST_THREADS) as usize).min(chunks.len());
    let (next, done_ms) = (AtomicUsize::new(0), AtomicU64::new(0));
    let all_ms: u64 = chunks.iter().map(|chunk| chunk.sound.length_ms()).sum();
    let heard: Mutex<Vec<Vec<Word>>> = Mutex::new(vec![Vec::new(); chunks.len()]);
    let work = || -> Result<()> {
        let mut listener = model.listener()?;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(chunk) = chunks.get(index) else { return Ok(()) };
            // Stopped between chunks; a child that must stop at once is killed.
            ctx.check_cancelled()?;
            let words = hear_chunk(&mut listener, language, wav, chunk, probabilities)?;
            if let Ok(mut heard) = heard.lock() {
                heard[index] = words;
            }
            let length = chunk.sound.length_ms();
            let done = done_ms.fetch_add(length, Ordering::Relaxed) + length;
            // After listening for activity, which counted for a tenth.
            let duration = wav.duration_ms();
            ctx.report_progress(duration / 10 + duration * 9 / 10 * done / all_ms.max(1), duration);
        }
    };
    let results: Vec<Result<()>> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let crashed = |_| Err(Error::internal("a speech thread crashed"));
        running.into_iter().map(|thread| thread.join().unwrap_or_else(crashed)).collect()
    });
    results.into_iter().collect::<Result<()>>()?;
    Ok(heard.into_inner().unwrap_or_default().into_iter().flatten().collect())
}

fn hear_chunk(
    listener: &mut Listener<'_>,
    language: &str,
    wav: &Wav,
    chunk: &Chunk,
    probabilities: &[f32],
) -> Result<Vec<Word>> {
    let samples = samples(wav, chunk.sound)?;
    let heard = listener.hear(&samples, language)?;
    let activity = chunk.spans.iter().map(|span| activity::mean(probabilities, *span)).fold(0.0, f32::max);
    let mut words =
        hallucinations::without(words::words(&heard.tokens, language), activity, heard.confidence);
    let loudness = align::loudness(&samples);
    let spans = onset::refine(&chunk.spans, chunk.sound, &loudness);
    align::align(&mut words, &spans, chunk.sound.start_ms, &loudness);
    Ok(words)
}

fn samples(wav: &Wav, span: Span) -> Result<Vec<f32>> {
    wav.read(span.start_ms * RATE / 1000, span.length_ms() * RATE / 1000)
}
