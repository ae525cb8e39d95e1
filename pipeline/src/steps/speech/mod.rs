//! Transcription: speech to cues with the time of every word.
//!
//! A small network finds speech ([`activity`]), which is cut at pauses into chunks ([`chunks`]).
//! The model transcribes each chunk ([`recognizer`]), and text that was not spoken is removed
//! ([`hallucinations`]). The words are aligned to the speech ([`onset`], [`align`]) and joined to
//! readable cues ([`cues`]).
//!
//! Memory does not grow with the recording, except for its words and four bytes for every 32 ms.

mod activity;
mod align;
mod chunks;
mod cues;
mod hallucinations;
mod onset;
mod recognizer;
#[cfg(test)]
mod tests;
mod transcript_files;
mod wav;
mod words;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};

use self::activity::SpeechSpan;
use self::chunks::Chunk;
use self::recognizer::{Recognizer, WhisperModel};
use self::wav::{RATE_HZ, WavReader};
use self::words::Word;
use crate::context::StepContext;
use crate::error::{Error, Result};
use crate::source::Source;

/// Request of the step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TranscribeRequest {
    /// The Whisper model file.
    pub model_path: std::path::PathBuf,
    /// The voice activity model file.
    pub vad_model_path: Option<std::path::PathBuf>,
    /// The model's name, for the transcript.
    pub model_name: String,
    /// Language spoken; `None` to detect it.
    pub language: Option<String>,
    /// Threads to use.
    pub threads: u32,
    /// Duration of the recording, in ms; the captions cover all of it.
    pub duration_ms: u64,
}

/// Report of the step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TranscriptReport {
    /// Language of the transcript.
    pub language: String,
    /// Name of the model used.
    pub model: String,
    /// Number of cues; 0 without speech.
    pub cues: u32,
    /// Number of words.
    pub words: u32,
    /// Duration of all speech, in ms.
    pub speech_ms: u64,
    /// Path of transcript.json.
    pub json: String,
    /// Path of the WebVTT captions.
    pub vtt: String,
    /// Path of the SRT captions.
    pub srt: String,
    /// Path of the plain text.
    pub text: String,
    /// Path of the subtitles media playlist; `None` without cues.
    pub subtitles: Option<String>,
}

/// Maximum number of states at once: each takes memory, and the machine has other work.
const MAX_THREADS: u32 = 8;
/// Maximum number of chunks by which the language is detected.
const MAX_LANGUAGE_CHUNKS: usize = 4;

/// Runs the step. The source is a WAV file of 16 kHz, mono, 16 bits.
///
/// # Errors
/// `model_missing` if a model file does not exist. A recording without speech is not an error.
pub fn run(request: &TranscribeRequest, source: Source, ctx: &StepContext) -> Result<TranscriptReport> {
    let vad = request
        .vad_model_path
        .clone()
        .or_else(|| request.model_path.parent().map(|folder| folder.join(crate::model::VAD_FILE)));
    let vad = vad.filter(|path| path.is_file()).filter(|_| request.model_path.is_file());
    let Some(vad) = vad else { return Err(crate::model::missing_model(&request.model_name)) };

    let wav = WavReader::open(source)?;
    let duration_ms = request.duration_ms.max(wav.duration_ms());
    whisper_rs::install_logging_hooks();
    let probabilities = activity::speech_probabilities(&vad, &wav, ctx)?;
    let spans = activity::find_spans(&probabilities, activity::SpanRules::default());
    let chunks = chunks::split_into_chunks(&spans, wav.duration_ms(), chunks::ChunkRules::default());
    let speech_ms = spans.iter().map(|span| span.duration_ms()).sum();

    let (language, words) = if chunks.is_empty() {
        (request.language.clone().unwrap_or_else(|| "en".into()), Vec::new())
    } else {
        let model = WhisperModel::load(&request.model_path)?;
        let language = choose_language(request, &model, &wav, &chunks, ctx)?;
        let words = transcribe_chunks(request, &model, &language, &wav, &chunks, &probabilities, ctx)?;
        (language, words)
    };
    let uses_spaces = words::uses_spaces(&language);
    let cues = cues::make_cues(&words, uses_spaces, duration_ms);
    let transcript = transcript_files::Transcript {
        version: 1,
        language: &language,
        model: &request.model_name,
        duration_ms,
        cues: &cues,
    };
    let files = transcript_files::write_files(&transcript, uses_spaces, ctx)?;
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

/// Chooses the language: the requested one, English for a model that supports no other, or the one
/// detected in the longest chunks.
fn choose_language(
    request: &TranscribeRequest,
    model: &WhisperModel,
    wav: &WavReader,
    chunks: &[Chunk],
    ctx: &StepContext,
) -> Result<String> {
    if !model.is_multilingual() {
        return Ok("en".into());
    }
    if let Some(asked) = request.language.as_deref().filter(|asked| *asked != "auto") {
        // A tag may have a region ("pt-BR"); the model has languages only.
        let primary = asked.split(['-', '_']).next().unwrap_or(asked).to_lowercase();
        if whisper_rs::get_lang_id(&primary).is_some() {
            return Ok(primary);
        }
    }
    let mut longest: Vec<&Chunk> = chunks.iter().collect();
    longest.sort_by_key(|chunk| std::cmp::Reverse(chunk.audio.duration_ms()));
    let mut recognizer = model.recognizer()?;
    let mut votes: Vec<f32> = Vec::new();
    for chunk in longest.into_iter().take(MAX_LANGUAGE_CHUNKS) {
        ctx.check_cancelled()?;
        let probabilities = recognizer.language_probabilities(&read_samples(wav, chunk.audio)?)?;
        votes.resize(probabilities.len(), 0.0);
        votes.iter_mut().zip(&probabilities).for_each(|(sum, probability)| *sum += probability);
    }
    let best = votes.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(id, _)| id as i32);
    Ok(best.and_then(whisper_rs::get_lang_str).unwrap_or("en").to_owned())
}

/// Transcribes all chunks, with as many recognizers as there are threads; returns the words in
/// order.
fn transcribe_chunks(
    request: &TranscribeRequest,
    model: &WhisperModel,
    language: &str,
    wav: &WavReader,
    chunks: &[Chunk],
    probabilities: &[f32],
    ctx: &StepContext,
) -> Result<Vec<Word>> {
    let threads = (request.threads.clamp(1, MAX_THREADS) as usize).min(chunks.len());
    let (next, done_ms) = (AtomicUsize::new(0), AtomicU64::new(0));
    let all_ms: u64 = chunks.iter().map(|chunk| chunk.audio.duration_ms()).sum();
    let transcribed: Mutex<Vec<Vec<Word>>> = Mutex::new(vec![Vec::new(); chunks.len()]);
    let work = || -> Result<()> {
        let mut recognizer = model.recognizer()?;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(chunk) = chunks.get(index) else { return Ok(()) };
            // A cancelled step stops between chunks; a child that must stop at once is killed.
            ctx.check_cancelled()?;
            let words = transcribe_chunk(&mut recognizer, language, wav, chunk, probabilities)?;
            if let Ok(mut transcribed) = transcribed.lock() {
                transcribed[index] = words;
            }
            let length = chunk.audio.duration_ms();
            let done = done_ms.fetch_add(length, Ordering::Relaxed) + length;
            // The detection of speech counted for the first tenth.
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
    Ok(transcribed.into_inner().unwrap_or_default().into_iter().flatten().collect())
}

fn transcribe_chunk(
    recognizer: &mut Recognizer<'_>,
    language: &str,
    wav: &WavReader,
    chunk: &Chunk,
    probabilities: &[f32],
) -> Result<Vec<Word>> {
    let samples = read_samples(wav, chunk.audio)?;
    let recognition = recognizer.transcribe(&samples, language)?;
    let activity =
        chunk.spans.iter().map(|span| activity::mean_probability(probabilities, *span)).fold(0.0, f32::max);
    let mut words = hallucinations::remove(
        words::join_tokens(&recognition.tokens, language),
        activity,
        recognition.confidence,
    );
    let loudness = align::relative_loudness(&samples);
    let spans = onset::refine_starts(&chunk.spans, chunk.audio, &loudness);
    align::align_words(&mut words, &spans, chunk.audio.start_ms, &loudness);
    Ok(words)
}

fn read_samples(wav: &WavReader, span: SpeechSpan) -> Result<Vec<f32>> {
    wav.read(span.start_ms * RATE_HZ / 1000, span.duration_ms() * RATE_HZ / 1000)
}
