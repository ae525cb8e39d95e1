//! Transcription: speech to cues with the time of every word.
//!
//! A small network finds speech ([`activity`]), which is cut at long pauses into stretches
//! ([`stretches`]), each transcribed on its own ([`transcriber`]). The model takes a window of it
//! at a time ([`windows`], [`recognizer`]). Text that was not spoken is removed
//! ([`hallucinations`]), and speech without words is transcribed again ([`coverage`]). The words
//! are aligned to the speech ([`onset`], [`align`]) and joined to readable cues ([`cues`]).
//!
//! Memory does not grow with the recording, except for its words and four bytes for every 32 ms.

mod activity;
mod agreement;
mod align;
mod coverage;
mod cues;
mod edges;
mod hallucinations;
mod lines;
mod names;
mod onset;
mod passages;
mod phrases;
mod recognizer;
mod speakers;
mod stretches;
mod talk;
#[cfg(test)]
mod tests;
mod transcriber;
mod transcript_files;
mod vocabulary;
#[cfg(test)]
mod vocabulary_tests;
mod voice_changes;
mod wav;
mod windows;
mod words;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use chalkstream_formats::names::NameList;
use chalkstream_formats::vocabulary::Vocabulary;
use serde::{Deserialize, Serialize};

pub use self::recognizer::Effort;
use self::recognizer::WhisperModel;
use self::stretches::{Stretch, StretchRules};
use self::transcriber::Lesson;
use self::wav::WavReader;
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
    /// The voice encoder's file; without it nothing is said about who speaks.
    #[serde(default)]
    pub voices_path: Option<std::path::PathBuf>,
    /// The model of meaning; without it the transcript is found by its words alone.
    #[serde(default)]
    pub meaning_path: Option<std::path::PathBuf>,
    /// The model's name, for the transcript.
    pub model_name: String,
    /// Language spoken; `None` to detect it.
    pub language: Option<String>,
    /// Threads to use.
    pub threads: u32,
    /// Duration of the recording, in ms; the captions cover all of it.
    pub duration_ms: u64,
    /// How much is searched for the best words.
    #[serde(default)]
    pub effort: Effort,
    /// Names that are removed from what is said; `None` if the tenant has no list.
    #[serde(default)]
    pub names: Option<NameList>,
    /// Whether the report says when names are said, so that they can be silenced.
    #[serde(default)]
    pub silence: bool,
    /// Words and names that may be said, the most important list first.
    #[serde(default)]
    pub vocabulary: Vec<Vocabulary>,
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
    /// Path of talk.json; `None` without a voice encoder.
    #[serde(default)]
    pub talk: Option<String>,
    /// Path of passages.bin; `None` without a model of meaning.
    #[serde(default)]
    pub passages: Option<String>,
    /// Spans in which names are said, in ms, in order; `None` if they were not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silenced_ms: Option<Vec<(u64, u64)>>,
}

/// Maximum number of states at once: each takes memory, and the machine has other work.
const MAX_THREADS: u32 = 8;
/// Maximum number of windows by which the language is detected.
const MAX_LANGUAGE_WINDOWS: usize = 4;

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

    // A transcript is worth having without it, even if the file is damaged.
    let encoder = request.voices_path.as_deref().and_then(|path| speakers::Network::load(path).ok());
    let wav = WavReader::open(source)?;
    let duration_ms = request.duration_ms.max(wav.duration_ms());
    whisper_rs::install_logging_hooks();
    let probabilities = activity::speech_probabilities(&vad, &wav, ctx)?;
    let spans = activity::find_spans(&probabilities, activity::SpanRules::default());
    let stretches = stretches::join_spans(&spans, wav.duration_ms(), StretchRules::default());
    let speech_ms = spans.iter().map(|span| span.duration_ms()).sum();

    let (language, words) = if stretches.is_empty() {
        (request.language.clone().unwrap_or_else(|| "en".into()), Vec::new())
    } else {
        let model = WhisperModel::load(&request.model_path, &request.model_name)?;
        let language = choose_language(request, &model, &wav, &stretches, ctx)?;
        let terms = vocabulary::hints(&request.vocabulary, request.names.as_ref());
        let lesson = Lesson {
            wav: &wav,
            probabilities: &probabilities,
            language: &language,
            effort: request.effort,
            hints: &model.hint_tokens(&terms)?,
        };
        let words = transcribe_stretches(request.threads, &model, lesson, &stretches, ctx)?;
        (language, words)
    };
    let uses_spaces = words::uses_spaces(&language);
    // Before anything is written, and before anything else is made of the words.
    let words = match &request.names {
        Some(list) => names::redact(&words, list, uses_spaces),
        None => words,
    };
    let spans = edges::widen(&spans, &wav)?;
    let turns = encoder.map(|encoder| speakers::find_turns(&encoder, &wav, &spans, ctx)).transpose()?;
    let changes_ms = turns.as_deref().map(voice_changes::find).unwrap_or_default();
    let cues = cues::make_cues(&words, uses_spaces, &changes_ms, duration_ms);
    let transcript = transcript_files::Transcript {
        version: 1,
        language: &language,
        model: &request.model_name,
        duration_ms,
        cues: &cues,
    };
    let files = transcript_files::write_files(&transcript, uses_spaces, ctx)?;
    let passages = match request.meaning_path.as_deref() {
        Some(path) => passages::write(path, &cues, uses_spaces, ctx)?,
        None => None,
    };
    let talk = turns.map(|turns| talk::write(turns, &spans, &words, duration_ms, ctx)).transpose()?;
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
        talk,
        passages,
        silenced_ms: request.silence.then(|| names::spans(&words)),
    })
}

/// Chooses the language: the requested one, English for a model that supports no other, or the one
/// detected in the longest stretches.
fn choose_language(
    request: &TranscribeRequest,
    model: &WhisperModel,
    wav: &WavReader,
    stretches: &[Stretch],
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
    let mut recognizer = model.recognizer()?;
    let mut votes: Vec<f32> = Vec::new();
    for audio in windows::first_windows(stretches, MAX_LANGUAGE_WINDOWS) {
        ctx.check_cancelled()?;
        let probabilities = recognizer.language_probabilities(&transcriber::read_samples(wav, audio)?)?;
        votes.resize(probabilities.len(), 0.0);
        votes.iter_mut().zip(&probabilities).for_each(|(sum, probability)| *sum += probability);
    }
    let best = votes.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(id, _)| id as i32);
    Ok(best.and_then(whisper_rs::get_lang_str).unwrap_or("en").to_owned())
}

/// Transcribes all stretches, with as many recognizers as there are threads; returns the words in
/// order.
fn transcribe_stretches(
    threads: u32,
    model: &WhisperModel,
    lesson: Lesson<'_>,
    stretches: &[Stretch],
    ctx: &StepContext,
) -> Result<Vec<Word>> {
    let threads = (threads.clamp(1, MAX_THREADS) as usize).min(stretches.len());
    let (next, done_ms) = (AtomicUsize::new(0), AtomicU64::new(0));
    let all_ms: u64 = stretches.iter().map(|stretch| stretch.audio.duration_ms()).sum();
    let transcribed: Mutex<Vec<Vec<Word>>> = Mutex::new(vec![Vec::new(); stretches.len()]);
    // The detection of speech counted for the first tenth.
    let duration_ms = lesson.wav.duration_ms();
    let report = |length_ms| {
        let done_ms = done_ms.fetch_add(length_ms, Ordering::Relaxed) + length_ms;
        ctx.report_progress(duration_ms / 10 + duration_ms * 9 / 10 * done_ms / all_ms.max(1), duration_ms);
    };
    let work = || -> Result<()> {
        let mut recognizer = model.recognizer()?;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(stretch) = stretches.get(index) else { return Ok(()) };
            let words = transcriber::transcribe(&mut recognizer, lesson, stretch, ctx, &report)?;
            if let Ok(mut transcribed) = transcribed.lock() {
                transcribed[index] = words;
            }
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
