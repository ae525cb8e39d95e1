//! The edges of speech, to some hundredths of a second.
//!
//! The network wants to be sure, so it misses quiet starts and ends, those of children most of all.
//! An edge is moved outwards for as long as the audio is clearly louder than its background.

use super::activity::SpeechSpan;
use super::wav::{RATE_HZ, WavReader};
use crate::error::Result;

/// Length of a step, in ms.
const STEP_MS: u64 = 20;
/// Samples of a step.
const STEP_SAMPLES: u64 = RATE_HZ * STEP_MS / 1000;
/// Steps read at a time, half a minute.
const BLOCK_STEPS: u64 = 1_500;
/// Maximum move of an edge, in steps.
const MAX_MOVED_STEPS: usize = 40;
/// Steps around a span of which the quietest are its background.
const BACKGROUND_STEPS: usize = 250;
/// Level above the background, in dB, at which the audio counts as speech.
const MIN_RISE_DB: f32 = 8.0;
/// Number of quiet steps at which a move ends.
const MAX_QUIET_STEPS: usize = 8;

/// Moves the edges of spans outwards, never into another span.
pub fn widen(spans: &[SpeechSpan], wav: &WavReader) -> Result<Vec<SpeechSpan>> {
    Ok(widen_by_levels(spans, &levels_db(wav)?, wav.duration_ms()))
}

/// Returns the level of every step, in dB.
fn levels_db(wav: &WavReader) -> Result<Vec<f32>> {
    let mut levels = Vec::with_capacity((wav.samples() / STEP_SAMPLES) as usize + 1);
    let mut position = 0;
    loop {
        let samples = wav.read(position, BLOCK_STEPS * STEP_SAMPLES)?;
        if samples.is_empty() {
            return Ok(levels);
        }
        position += samples.len() as u64;
        levels.extend(samples.chunks(STEP_SAMPLES as usize).map(|step| {
            let energy = step.iter().map(|sample| sample * sample).sum::<f32>() / step.len() as f32;
            10.0 * (energy + 1e-9).log10()
        }));
    }
}

fn widen_by_levels(spans: &[SpeechSpan], levels: &[f32], duration_ms: u64) -> Vec<SpeechSpan> {
    let step = |ms: u64| ((ms / STEP_MS) as usize).min(levels.len());
    let mut out: Vec<SpeechSpan> = Vec::with_capacity(spans.len());
    for (index, span) in spans.iter().enumerate() {
        let (start, end) = (step(span.start_ms), step(span.end_ms));
        let around = start.saturating_sub(BACKGROUND_STEPS)..(end + BACKGROUND_STEPS).min(levels.len());
        let threshold = tenth_percentile(&levels[around]) + MIN_RISE_DB;
        let is_loud = |level: &f32| *level >= threshold;
        let earlier = levels[start.saturating_sub(MAX_MOVED_STEPS)..start].iter().rev();
        let later = levels[end..(end + MAX_MOVED_STEPS).min(levels.len())].iter();
        let earlier_ms = moved(earlier.map(is_loud)) as u64 * STEP_MS;
        let later_ms = moved(later.map(is_loud)) as u64 * STEP_MS;
        let floor_ms = out.last().map_or(0, |before| before.end_ms);
        let ceiling_ms = spans.get(index + 1).map_or(duration_ms, |next| next.start_ms);
        out.push(SpeechSpan {
            start_ms: span.start_ms.saturating_sub(earlier_ms).max(floor_ms),
            end_ms: (span.end_ms + later_ms).min(ceiling_ms),
        });
    }
    out
}

/// Returns the number of steps up to the last loud one before it stays quiet.
fn moved(steps: impl Iterator<Item = bool>) -> usize {
    let (mut last, mut quiet) = (0, 0);
    for (index, is_loud) in steps.enumerate() {
        quiet = if is_loud { 0 } else { quiet + 1 };
        if is_loud {
            last = index + 1;
        } else if quiet > MAX_QUIET_STEPS {
            break;
        }
    }
    last
}

fn tenth_percentile(levels: &[f32]) -> f32 {
    let mut sorted = levels.to_vec();
    let at = sorted.len() / 10;
    if at >= sorted.len() {
        return 0.0;
    }
    *sorted.select_nth_unstable_by(at, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn widen_by_levels(spans: &[SpeechSpan], levels: &[f32]) -> Vec<SpeechSpan> {
        super::widen_by_levels(spans, levels, 10_000)
    }

    fn span(start_ms: u64, end_ms: u64) -> SpeechSpan {
        SpeechSpan { start_ms, end_ms }
    }

    /// Levels of 10 s: loud in the given times, quiet elsewhere.
    fn levels(loud: &[(u64, u64)]) -> Vec<f32> {
        let is_loud = |ms: u64| loud.iter().any(|(from, to)| (*from..*to).contains(&ms));
        (0..500).map(|step| if is_loud(step * STEP_MS) { -25.0 } else { -55.0 }).collect()
    }

    #[test]
    fn an_edge_is_moved_to_where_the_audio_is_quiet() {
        let found = widen_by_levels(&[span(2_000, 3_000)], &levels(&[(1_700, 2_100), (2_500, 3_240)]));
        assert_eq!(found, [span(1_700, 3_240)]);
        let found = widen_by_levels(&[span(2_000, 3_000)], &levels(&[(2_000, 3_000), (3_060, 3_200)]));
        assert_eq!(found, [span(2_000, 3_200)], "a closed mouth is not an end");
        let found = widen_by_levels(&[span(2_000, 3_000)], &levels(&[(2_000, 3_000), (3_300, 3_400)]));
        assert_eq!(found, [span(2_000, 3_000)]);
    }

    #[test]
    fn loud_background_moves_nothing_far_and_spans_stay_apart() {
        let found = widen_by_levels(&[span(3_000, 4_000), span(4_100, 5_000)], &levels(&[(1_000, 9_000)]));
        assert_eq!(found, [span(2_200, 4_100), span(4_100, 5_800)]);
        let close = [span(3_001, 4_001), span(4_011, 5_000)];
        let found = widen_by_levels(&close, &levels(&[(1_000, 9_000)]));
        assert_eq!(found, [span(2_201, 4_011), span(4_011, 5_800)]);
        let same = [span(0, 4_000), span(9_000, 10_000)];
        assert_eq!(widen_by_levels(&same, &vec![-30.0; 500]), same, "no rise");
        assert!(widen_by_levels(&[], &[]).is_empty());
    }
}
