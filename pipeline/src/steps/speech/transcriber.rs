//! Transcribes a stretch: windows in order, each as often as it takes to believe the words.
//!
//! The text of one window is the context of the next. A result that is doubtful or repeats itself
//! is made again without it. Marks of sounds where there is speech are recognised again without
//! such marks. A window of which the model is not sure is heard a second time, and without words if
//! it is not sure then either. Speech that no word covers is transcribed once more on its own.

use super::activity::{self, SpeechSpan};
use super::agreement;
use super::align;
use super::coverage;
use super::hallucinations;
use super::onset;
use super::recognizer::{Attempt, Effort, Recognition, Recognizer};
use super::stretches::Stretch;
use super::wav::{RATE_HZ, WavReader};
use super::windows::{self, Window, WindowRules};
use super::words::{self, Word};
use crate::context::StepContext;
use crate::error::Result;

/// Minimum mean log-probability of the tokens; below it a window is transcribed a second time.
const MIN_CONFIDENCE: f32 = -1.0;
/// Minimum mean log-probability of a window whose text is context for the next.
const MIN_CONTEXT_CONFIDENCE: f32 = -0.7;
/// Maximum number of tokens of context.
const MAX_CONTEXT_TOKENS: usize = 120;
/// Minimum mean probability of speech for which marks of sounds are not believed.
const SURE_SPEECH: f32 = 0.75;
/// Mean log-probability below which a window is heard a second time.
const MIN_SURE_CONFIDENCE: f32 = -0.8;
/// Mean log-probability below which, in both hearings, it is no speech that the model knows.
const MIN_BELIEVED_CONFIDENCE: f32 = -0.9;
/// Minimum share of a window's words that its second hearing must confirm, or none is believed.
const MIN_AGREEMENT: f32 = 0.3;
/// What is left of the probability of a word that the second hearing does not confirm.
const UNCONFIRMED: f32 = 0.5;
/// By how much later the audio begins in the second hearing, in samples.
const LATER_SAMPLES: usize = RATE_HZ as usize / 2;
/// Minimum mean log-probability of words found in speech that was left over.
const MIN_LEFTOVER_CONFIDENCE: f32 = -0.8;
/// Doubt of words in a window that repeats itself after every attempt.
const REPETITION_DOUBT: f32 = 0.7;
/// Margin around speech that was left over, in ms.
const LEFTOVER_MARGIN_MS: u64 = 300;

/// Minimum time between the end of a sentence and the end of a window without a pause, in ms: the
/// model ends its text with the audio, also within a word.
const MIN_CUT_OFF_MS: u64 = 500;

/// What all stretches of a recording have in common.
#[derive(Clone, Copy)]
pub struct Lesson<'a> {
    /// The audio.
    pub wav: &'a WavReader,
    /// Probability of speech in every window of the voice detector.
    pub probabilities: &'a [f32],
    /// Language, as whisper.cpp names it.
    pub language: &'a str,
    /// How much is searched.
    pub effort: Effort,
    /// Tokens of words that may be said.
    pub hints: &'a [i32],
}

/// Transcribes a stretch; returns its words with their times in the recording. `report_done`
/// gets the length of the audio that is done, in ms.
pub fn transcribe(
    recognizer: &mut Recognizer<'_>,
    lesson: Lesson<'_>,
    stretch: &Stretch,
    ctx: &StepContext,
    report_done: &dyn Fn(u64),
) -> Result<Vec<Word>> {
    let (mut words, mut context) = (Vec::new(), Vec::new());
    let mut from_ms = stretch.audio.start_ms;
    while let Some(mut window) = windows::next_window(stretch, from_ms, WindowRules::default()) {
        // A cancelled step stops between windows; a child that must stop at once is killed.
        ctx.check_cancelled()?;
        let samples = read_samples(lesson.wav, window.audio)?;
        let mut recognition = recognize(recognizer, lesson, &window, &samples, &context)?;
        if window.ends_in_speech {
            end_at_a_sentence(&mut window, &mut recognition);
        }
        report_done(window.audio.end_ms - from_ms);
        from_ms = window.audio.end_ms;
        let is_context = recognizer.uses_context()
            && recognition.confidence >= MIN_CONTEXT_CONFIDENCE
            && !repeats(&recognition);
        context = if is_context { std::mem::take(&mut recognition.ids) } else { Vec::new() };
        context.drain(..context.len().saturating_sub(MAX_CONTEXT_TOKENS));

        let mut found = believed_words(&recognition, lesson, &window);
        if confirm(recognizer, lesson, &samples, &recognition, &mut found)? {
            add_leftover(recognizer, lesson, &window, &mut found)?;
        }
        words::weigh_neighbours(&mut found);
        let loudness = align::relative_loudness(&samples);
        let spans = onset::refine_starts(&window.spans, window.audio, &loudness);
        align::align_words(&mut found, &spans, window.audio.start_ms, &loudness);
        words.append(&mut found);
    }
    report_done(stretch.audio.end_ms.saturating_sub(from_ms));
    Ok(words)
}

/// Recognises a window, again where the result is doubtful; returns the best result.
fn recognize(
    recognizer: &mut Recognizer<'_>,
    lesson: Lesson<'_>,
    window: &Window,
    samples: &[f32],
    context: &[i32],
) -> Result<Recognition> {
    let first = Attempt {
        language: lesson.language,
        effort: lesson.effort,
        hints: lesson.hints,
        context,
        speech_only: false,
        wider: false,
    };
    let mut best = recognizer.transcribe(samples, first)?;
    if is_doubtful(&best) {
        let is_bare = context.is_empty() && lesson.hints.is_empty();
        let second = Attempt { hints: &[], context: &[], wider: is_bare, ..first };
        best = better(best, recognizer.transcribe(samples, second)?);
    }
    if has_marks(&best) && activity_between(lesson, &window.spans, window.audio) >= SURE_SPEECH {
        let again = recognizer.transcribe(samples, Attempt { speech_only: true, ..first })?;
        if !again.tokens.is_empty() && !is_doubtful(&again) {
            best = again;
        }
    }
    Ok(best)
}

/// Hears a window again of which the model is not sure, or which repeats itself. Words that are not
/// heard again become doubtful. If the model is not sure of those either, or hardly any word is
/// heard again, all are removed. Returns whether the window is speech.
fn confirm(
    recognizer: &mut Recognizer<'_>,
    lesson: Lesson<'_>,
    samples: &[f32],
    recognition: &Recognition,
    words: &mut Vec<Word>,
) -> Result<bool> {
    let is_sure = recognition.confidence >= MIN_SURE_CONFIDENCE && !repeats(recognition);
    if words.is_empty() || is_sure {
        return Ok(true);
    }
    let later = [vec![0.0; LATER_SAMPLES], samples.to_vec()].concat();
    let attempt = Attempt {
        language: lesson.language,
        effort: Effort::Fast,
        hints: &[],
        context: &[],
        speech_only: false,
        wider: false,
    };
    let second = recognizer.transcribe(&later, attempt)?;
    let heard = words::join_tokens(&hallucinations::without_loops(&second.tokens), lesson.language);
    let confirmed = agreement::confirmed(words, &heard);
    let share = confirmed.iter().filter(|is| **is).count() as f32 / words.len() as f32;
    if recognition.confidence.max(second.confidence) < MIN_BELIEVED_CONFIDENCE || share < MIN_AGREEMENT {
        words.clear();
        return Ok(false);
    }
    for (word, _) in words.iter_mut().zip(&confirmed).filter(|(_, is_confirmed)| !**is_confirmed) {
        word.probability *= UNCONFIRMED;
    }
    Ok(true)
}

/// Transcribes speech that no word covers, and adds what is found.
fn add_leftover(
    recognizer: &mut Recognizer<'_>,
    lesson: Lesson<'_>,
    window: &Window,
    words: &mut Vec<Word>,
) -> Result<()> {
    for span in coverage::uncovered(&window.spans, words, window.audio.start_ms) {
        if activity::mean_probability(lesson.probabilities, span) < SURE_SPEECH {
            continue;
        }
        let audio = SpeechSpan {
            start_ms: span.start_ms.saturating_sub(LEFTOVER_MARGIN_MS).max(window.audio.start_ms),
            end_ms: (span.end_ms + LEFTOVER_MARGIN_MS).min(window.audio.end_ms),
        };
        let samples = read_samples(lesson.wav, audio)?;
        let attempt = Attempt {
            language: lesson.language,
            effort: lesson.effort,
            hints: &[],
            context: &[],
            speech_only: false,
            wider: false,
        };
        let recognition = recognizer.transcribe(&samples, attempt)?;
        if recognition.confidence < MIN_LEFTOVER_CONFIDENCE || repeats(&recognition) {
            continue;
        }
        let part = Window { audio, spans: vec![span], ends_in_speech: false };
        let mut found = believed_words(&recognition, lesson, &part);
        for word in &mut found {
            word.start_ms += audio.start_ms - window.audio.start_ms;
        }
        coverage::insert(words, found);
    }
    Ok(())
}

/// Returns the words that were spoken, by all we know; their times are in the window.
fn believed_words(recognition: &Recognition, lesson: Lesson<'_>, window: &Window) -> Vec<Word> {
    let tokens = hallucinations::without_loops(&recognition.tokens);
    let is_repetitive = repeats(recognition);
    let mut words = Vec::new();
    for segment in tokens.chunk_by(|a, b| a.segment == b.segment) {
        let confidence =
            segment.iter().map(|token| token.log_probability).sum::<f32>() / segment.len() as f32;
        let (first, last) = (segment[0].start_ms, segment[segment.len() - 1].start_ms);
        let around = SpeechSpan {
            start_ms: (window.audio.start_ms + first).saturating_sub(500),
            end_ms: window.audio.start_ms + last.max(first) + 1_000,
        };
        let activity = activity_between(lesson, &window.spans, around);
        let joined = words::join_tokens(segment, lesson.language);
        let mut kept = hallucinations::remove(joined, activity, confidence);
        for word in &mut kept {
            word.doubt = if is_repetitive { REPETITION_DOUBT } else { 0.0 };
            word.doubt = word.doubt.max(1.0 - activity);
            word.probability = word.probability.min(1.0 - word.doubt);
        }
        words.append(&mut kept);
    }
    words
}

/// Returns the mean probability of speech in the surest span of those that touch `around`.
fn activity_between(lesson: Lesson<'_>, spans: &[SpeechSpan], around: SpeechSpan) -> f32 {
    spans
        .iter()
        .filter(|span| span.end_ms > around.start_ms && span.start_ms < around.end_ms)
        .map(|span| activity::mean_probability(lesson.probabilities, *span))
        .fold(0.0, f32::max)
}

/// Ends a window without a pause after its last complete sentence; what follows is transcribed with
/// the next window.
fn end_at_a_sentence(window: &mut Window, recognition: &mut Recognition) {
    let duration_ms = window.audio.duration_ms();
    let usable = duration_ms / 2..=duration_ms.saturating_sub(MIN_CUT_OFF_MS);
    let ends = recognition.sentence_ends.iter().rev();
    let Some(end) = ends.copied().find(|end| usable.contains(&end.end_ms)) else { return };
    let end_ms = window.audio.start_ms + end.end_ms;
    recognition.tokens.truncate(end.tokens);
    recognition.ids.truncate(end.ids);
    window.audio.end_ms = end_ms;
    window.spans.retain(|span| span.start_ms < end_ms);
    if let Some(last) = window.spans.last_mut() {
        last.end_ms = last.end_ms.min(end_ms);
    }
}

fn is_doubtful(recognition: &Recognition) -> bool {
    recognition.confidence < MIN_CONFIDENCE || repeats(recognition)
}

/// Whether the text repeats itself, as far as the limit lets us see.
fn repeats(recognition: &Recognition) -> bool {
    recognition.is_cut || hallucinations::is_repetitive(&recognition.tokens)
}

/// Whether the text has marks of sounds, such as `[noise]` or notes.
fn has_marks(recognition: &Recognition) -> bool {
    recognition.tokens.iter().any(|token| words::is_stage_direction(&String::from_utf8_lossy(&token.bytes)))
}

fn better(first: Recognition, second: Recognition) -> Recognition {
    let is_second_better = match (repeats(&first), repeats(&second)) {
        (true, false) => true,
        (false, true) => false,
        _ => second.confidence > first.confidence,
    };
    if is_second_better { second } else { first }
}

/// Reads the audio of a span.
pub fn read_samples(wav: &WavReader, span: SpeechSpan) -> Result<Vec<f32>> {
    wav.read(span.start_ms * RATE_HZ / 1000, span.duration_ms() * RATE_HZ / 1000)
}
