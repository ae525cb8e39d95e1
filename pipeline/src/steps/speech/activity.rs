//! Spans of speech, made of the probabilities of voice activity.

use std::path::Path;

use super::wav::{RATE, Wav};
use crate::context::StepContext;
use crate::error::Result;
use crate::voice::{Detector, WINDOW_SAMPLES};

/// Windows read at a time, about a minute: memory does not grow with the lesson.
const WINDOWS_AT_ONCE: u64 = 2_000;

/// A span of time, in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Start, in ms.
    pub start_ms: u64,
    /// End, in ms.
    pub end_ms: u64,
}

impl Span {
    /// Length, in ms.
    pub fn length_ms(self) -> u64 {
        self.end_ms - self.start_ms
    }
}

/// The probability of speech in every window of the file.
pub fn probabilities(model: &Path, wav: &Wav, ctx: &StepContext) -> Result<Vec<f32>> {
    let mut detector = Detector::with_model(model)?;
    let windows = wav.samples().div_ceil(WINDOW_SAMPLES);
    let mut all = Vec::with_capacity(windows as usize);
    let mut at = 0;
    loop {
        ctx.check_cancelled()?;
        let samples = wav.read(at, WINDOWS_AT_ONCE * WINDOW_SAMPLES)?;
        if samples.is_empty() {
            break;
        }
        at += samples.len() as u64;
        detector.push(&samples, &mut all)?;
        // This is about a tenth of the step.
        ctx.report_progress(wav.duration_ms() * all.len() as u64 / windows.max(1) / 10, wav.duration_ms());
    }
    detector.finish(&mut all)?;
    Ok(all)
}

/// How probabilities become spans.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Probability from which a span starts.
    pub start: f32,
    /// Probability under which it ends.
    pub stop: f32,
    /// Shortest pause between two spans, in ms.
    pub pause_ms: u64,
    /// Shortest span, in ms.
    pub shortest_ms: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self { start: 0.5, stop: 0.35, pause_ms: 200, shortest_ms: 160 }
    }
}

/// Spans of speech, in order, apart by a pause at least.
pub fn spans(probabilities: &[f32], rules: Rules) -> Vec<Span> {
    let at = |window: usize| window as u64 * WINDOW_SAMPLES * 1000 / RATE;
    let mut raw: Vec<Span> = Vec::new();
    let mut open: Option<usize> = None;
    for (window, probability) in probabilities.iter().chain(std::iter::once(&0.0)).enumerate() {
        match open {
            None if *probability >= rules.start => open = Some(window),
            Some(start) if *probability < rules.stop => {
                raw.push(Span { start_ms: at(start), end_ms: at(window) });
                open = None;
            }
            _ => {}
        }
    }
    let mut joined: Vec<Span> = Vec::new();
    for span in raw {
        match joined.last_mut() {
            Some(last) if span.start_ms - last.end_ms < rules.pause_ms => last.end_ms = span.end_ms,
            _ => joined.push(span),
        }
    }
    joined.retain(|span| span.length_ms() >= rules.shortest_ms);
    joined
}

/// Mean probability over a span.
pub fn mean(probabilities: &[f32], span: Span) -> f32 {
    let index = |ms: u64| (ms * RATE / 1000 / WINDOW_SAMPLES) as usize;
    let (from, to) = (index(span.start_ms), index(span.end_ms).min(probabilities.len()));
    let inside = probabilities.get(from..to).unwrap_or_default();
    if inside.is_empty() { 0.0 } else { inside.iter().sum::<f32>() / inside.len() as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pieces: &[(f32, usize)]) -> Vec<f32> {
        pieces.iter().flat_map(|(p, n)| std::iter::repeat_n(*p, *n)).collect()
    }

    #[test]
    fn spans_start_and_stop_at_different_levels() {
        let heard = of(&[(0.1, 10), (0.4, 5), (0.9, 20), (0.4, 5), (0.1, 20), (0.9, 10)]);
        let spans = spans(&heard, Rules::default());
        // Windows of 32 ms: 15 to 40, then 60 to the end.
        let expected = [Span { start_ms: 480, end_ms: 1280 }, Span { start_ms: 1920, end_ms: 2240 }];
        assert_eq!(spans, expected);
        assert!((mean(&heard, spans[1]) - 0.9).abs() < 1e-6);
    }

    #[test]
    fn short_pauses_are_bridged_and_short_noises_dropped() {
        let heard = of(&[(0.9, 10), (0.0, 3), (0.9, 10), (0.0, 30), (0.9, 2), (0.0, 10)]);
        assert_eq!(spans(&heard, Rules::default()), [Span { start_ms: 0, end_ms: 736 }]);
        assert!(spans(&[], Rules::default()).is_empty());
    }
}
