//! Spans of speech, from the probabilities of voice activity.

use std::path::Path;

use super::wav::{RATE_HZ, WavReader};
use crate::context::StepContext;
use crate::error::Result;
use crate::voice::{Detector, WINDOW_SAMPLES};

/// Windows read at a time, about a minute, so that memory does not grow with the lesson.
const BLOCK_WINDOWS: u64 = 2_000;

/// A span of speech.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpeechSpan {
    /// Start, in ms.
    pub start_ms: u64,
    /// End, in ms.
    pub end_ms: u64,
}

impl SpeechSpan {
    /// Duration, in ms.
    pub fn duration_ms(self) -> u64 {
        self.end_ms - self.start_ms
    }
}

/// Returns the probability of speech in every window of the file.
pub fn speech_probabilities(model: &Path, wav: &WavReader, ctx: &StepContext) -> Result<Vec<f32>> {
    let mut detector = Detector::with_model(model)?;
    let windows = wav.samples().div_ceil(WINDOW_SAMPLES);
    let mut all = Vec::with_capacity(windows as usize);
    let mut position = 0;
    loop {
        ctx.check_cancelled()?;
        let samples = wav.read(position, BLOCK_WINDOWS * WINDOW_SAMPLES)?;
        if samples.is_empty() {
            break;
        }
        position += samples.len() as u64;
        detector.push(&samples, &mut all)?;
        // This part takes about a tenth of the step's time.
        ctx.report_progress(wav.duration_ms() * all.len() as u64 / windows.max(1) / 10, wav.duration_ms());
    }
    detector.finish(&mut all)?;
    Ok(all)
}

/// The rules by which probabilities become spans.
#[derive(Clone, Copy, Debug)]
pub struct SpanRules {
    /// Probability at which a span starts.
    pub start_probability: f32,
    /// Probability below which it ends.
    pub stop_probability: f32,
    /// Minimum pause between two spans, in ms; a shorter one is bridged.
    pub min_pause_ms: u64,
    /// Minimum length of a span, in ms.
    pub min_span_ms: u64,
}

impl Default for SpanRules {
    fn default() -> Self {
        Self { start_probability: 0.5, stop_probability: 0.35, min_pause_ms: 200, min_span_ms: 160 }
    }
}

/// Returns the spans of speech in order.
pub fn find_spans(probabilities: &[f32], rules: SpanRules) -> Vec<SpeechSpan> {
    let start_ms = |window: usize| window as u64 * WINDOW_SAMPLES * 1000 / RATE_HZ;
    let mut raw: Vec<SpeechSpan> = Vec::new();
    let mut open: Option<usize> = None;
    for (window, probability) in probabilities.iter().chain(std::iter::once(&0.0)).enumerate() {
        match open {
            None if *probability >= rules.start_probability => open = Some(window),
            Some(start) if *probability < rules.stop_probability => {
                raw.push(SpeechSpan { start_ms: start_ms(start), end_ms: start_ms(window) });
                open = None;
            }
            _ => {}
        }
    }
    let mut joined: Vec<SpeechSpan> = Vec::new();
    for span in raw {
        match joined.last_mut() {
            Some(last) if span.start_ms - last.end_ms < rules.min_pause_ms => last.end_ms = span.end_ms,
            _ => joined.push(span),
        }
    }
    joined.retain(|span| span.duration_ms() >= rules.min_span_ms);
    joined
}

/// Returns the mean probability over a span.
pub fn mean_probability(probabilities: &[f32], span: SpeechSpan) -> f32 {
    let index = |ms: u64| (ms * RATE_HZ / 1000 / WINDOW_SAMPLES) as usize;
    let (from, to) = (index(span.start_ms), index(span.end_ms).min(probabilities.len()));
    let inside = probabilities.get(from..to).unwrap_or_default();
    if inside.is_empty() { 0.0 } else { inside.iter().sum::<f32>() / inside.len() as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(pieces: &[(f32, usize)]) -> Vec<f32> {
        pieces.iter().flat_map(|(p, n)| std::iter::repeat_n(*p, *n)).collect()
    }

    #[test]
    fn spans_start_and_stop_at_different_levels() {
        let probabilities = windows(&[(0.1, 10), (0.4, 5), (0.9, 20), (0.4, 5), (0.1, 20), (0.9, 10)]);
        let spans = find_spans(&probabilities, SpanRules::default());
        // Windows of 32 ms: 15 to 40, then 60 to the end.
        let expected =
            [SpeechSpan { start_ms: 480, end_ms: 1280 }, SpeechSpan { start_ms: 1920, end_ms: 2240 }];
        assert_eq!(spans, expected);
        assert!((mean_probability(&probabilities, spans[1]) - 0.9).abs() < 1e-6);
    }

    #[test]
    fn short_pauses_are_bridged_and_short_noises_dropped() {
        let probabilities = windows(&[(0.9, 10), (0.0, 3), (0.9, 10), (0.0, 30), (0.9, 2), (0.0, 10)]);
        assert_eq!(
            find_spans(&probabilities, SpanRules::default()),
            [SpeechSpan { start_ms: 0, end_ms: 736 }]
        );
        assert!(find_spans(&[], SpanRules::default()).is_empty());
    }
}
