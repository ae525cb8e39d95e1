//! Onsets of speech. The network judges 32 ms at a time and detects speech a little late or early.
//! So the start of a span is moved to where the audio rises.

use super::activity::SpeechSpan;
use super::align::GRID_STEP_MS;

/// Maximum move of a start to an earlier time, in ms.
const MAX_EARLIER_MS: u64 = 240;
/// Maximum move of a quiet start to a later time, in ms.
const MAX_LATER_MS: u64 = 300;
/// Minimum length that a move leaves of a span, in ms.
const MIN_LEFT_MS: u64 = 100;
/// Minimum loudness after a rise, from 0 to 1 in the chunk.
const MIN_ONSET_LOUDNESS: f32 = 0.35;
/// Number of grid steps for which it must last.
const MIN_ONSET_STEPS: usize = 3;

/// Moves the starts of spans to the rise of the audio. A start is moved to the earliest rise near
/// it, but never into the span before, and a span never vanishes.
pub fn refine_starts(spans: &[SpeechSpan], audio: SpeechSpan, loudness: &[f32]) -> Vec<SpeechSpan> {
    let mut out: Vec<SpeechSpan> = Vec::with_capacity(spans.len());
    for span in spans {
        let floor = out.last().map_or(audio.start_ms, |last| last.end_ms + GRID_STEP_MS);
        let from = span.start_ms.saturating_sub(MAX_EARLIER_MS).max(floor);
        let to =
            (span.start_ms + MAX_LATER_MS).min(span.end_ms.saturating_sub(MIN_LEFT_MS)).max(span.start_ms);
        let index = |ms: u64| (ms.saturating_sub(audio.start_ms) / GRID_STEP_MS) as usize;
        let rise = (index(from)..=index(to)).find(|step| {
            loudness
                .get(*step..step + MIN_ONSET_STEPS)
                .is_some_and(|run| run.iter().all(|level| *level >= MIN_ONSET_LOUDNESS))
        });
        let start_ms =
            rise.map_or(span.start_ms, |step| (audio.start_ms + step as u64 * GRID_STEP_MS).max(from));
        out.push(SpeechSpan { start_ms, end_ms: span.end_ms });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start_ms: u64, end_ms: u64) -> SpeechSpan {
        SpeechSpan { start_ms, end_ms }
    }

    #[test]
    fn a_start_moves_to_the_rise_near_it() {
        let mut loud = vec![0.0; 100];
        loud[40..90].fill(0.9);
        let audio = span(1000, 3000);
        assert_eq!(
            refine_starts(&[span(1856, 2800)], audio, &loud)[0].start_ms,
            1800,
            "the network was late"
        );
        assert_eq!(
            refine_starts(&[span(1632, 2800)], audio, &loud)[0].start_ms,
            1800,
            "the network was early"
        );
        assert_eq!(refine_starts(&[span(1200, 2800)], audio, &loud)[0].start_ms, 1200, "no rise near it");
    }

    #[test]
    fn a_click_is_no_rise_and_the_span_before_is_left_alone() {
        let mut loud = vec![0.0; 100];
        loud[10] = 1.0;
        loud[30..90].fill(0.9);
        assert_eq!(refine_starts(&[span(400, 1000)], span(0, 2000), &loud)[0].start_ms, 600);
        let loud = vec![1.0; 100];
        let refined = refine_starts(&[span(0, 500), span(600, 900)], span(0, 2000), &loud);
        assert_eq!(refined, [span(0, 500), span(520, 900)]);
    }
}
