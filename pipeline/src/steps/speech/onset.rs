//! Where speech really starts: the network judges 32 ms at a time and needs a little to be sure, so the start of a
//! span is moved to where the sound rises.

use super::activity::Span;
use super::align::STEP_MS;

/// How far before the network's start the sound is looked at, in ms.
const BEFORE_MS: u64 = 240;
/// How far behind it a quiet start may be moved, in ms.
const BEHIND_MS: u64 = 300;
/// Loudness, from 0 to 1 in the chunk, from which sound counts as begun.
const BEGUN: f32 = 0.35;
/// Steps of the grid it must last.
const LASTS: usize = 3;

/// Moves the starts of spans to the rise of the sound. A start is moved to the earliest rise near it, never into the
/// span before, and never so far that the span vanishes.
pub fn refine(spans: &[Span], sound: Span, loudness: &[f32]) -> Vec<Span> {
    let mut out: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        let floor = out.last().map_or(sound.start_ms, |last| last.end_ms + STEP_MS);
        let from = span.start_ms.saturating_sub(BEFORE_MS).max(floor);
        let to = (span.start_ms + BEHIND_MS).min(span.end_ms.saturating_sub(100)).max(span.start_ms);
        let index = |ms: u64| (ms.saturating_sub(sound.start_ms) / STEP_MS) as usize;
        let rise = (index(from)..=index(to)).find(|step| {
            loudness.get(*step..step + LASTS).is_some_and(|run| run.iter().all(|level| *level >= BEGUN))
        });
        let start_ms = rise.map_or(span.start_ms, |step| (sound.start_ms + step as u64 * STEP_MS).max(from));
        out.push(Span { start_ms, end_ms: span.end_ms });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start_ms: u64, end_ms: u64) -> Span {
        Span { start_ms, end_ms }
    }

    #[test]
    fn a_start_moves_to_the_rise_near_it() {
        let mut loud = vec![0.0; 100];
        loud[40..90].fill(0.9);
        let sound = span(1000, 3000);
        assert_eq!(refine(&[span(1856, 2800)], sound, &loud)[0].start_ms, 1800, "the network was late");
        assert_eq!(refine(&[span(1632, 2800)], sound, &loud)[0].start_ms, 1800, "the network was early");
        assert_eq!(refine(&[span(1200, 2800)], sound, &loud)[0].start_ms, 1200, "no rise near it");
    }

    #[test]
    fn a_click_is_no_rise_and_the_span_before_is_left_alone() {
        let mut loud = vec![0.0; 100];
        loud[10] = 1.0;
        loud[30..90].fill(0.9);
        assert_eq!(refine(&[span(400, 1000)], span(0, 2000), &loud)[0].start_ms, 600);
        let loud = vec![1.0; 100];
        let refined = refine(&[span(0, 500), span(600, 900)], span(0, 2000), &loud);
        assert_eq!(refined, [span(0, 500), span(520, 900)]);
    }
}
