//! Alignment: the words of a chunk are spread over its speech.
//!
//! The model's own times are off by 0.4 s in the median, but the starts and ends of speech are
//! certain. So dynamic programming spreads the words over the spans of speech. A word's length
//! should match its letters. Boundaries should be where it is quiet. Pauses should be between
//! words, best after punctuation. The model's times have a small weight.

use super::activity::SpeechSpan;
use super::words::Word;

/// Step of the grid, in ms.
pub const GRID_STEP_MS: u64 = 20;
/// Cost of a boundary at the loudest step.
const LOUD_BOUNDARY_COST: f32 = 1.0;
/// Cost of a pause inside a word.
const PAUSE_IN_WORD_COST: f32 = 30.0;
/// Reward for a boundary in a pause.
const PAUSE_REWARD: f32 = 2.0;
/// Further reward if punctuation precedes it.
const PUNCTUATION_REWARD: f32 = 3.0;
/// Cost of a boundary one second from the model's time.
const MODEL_TIME_COST_PER_S: f32 = 2.0;
/// Maximum of that cost.
const MAX_MODEL_TIME_COST: f32 = 3.0;

/// Returns the loudness of the chunk's audio on the grid, from 0 (quiet) to 1.
pub fn relative_loudness(samples: &[f32]) -> Vec<f32> {
    let step = (super::wav::RATE_HZ * GRID_STEP_MS / 1000) as usize;
    let levels: Vec<f32> = samples
        .chunks(step)
        .map(|part| (part.iter().map(|s| s * s).sum::<f32>() / part.len() as f32 + 1e-9).log10())
        .collect();
    let mut sorted = levels.clone();
    sorted.sort_by(f32::total_cmp);
    let quantile = |share: f32| sorted.get((sorted.len() as f32 * share) as usize).copied().unwrap_or(0.0);
    let (quiet, loud) = (quantile(0.1), quantile(0.95));
    levels.iter().map(|level| ((level - quiet) / (loud - quiet).max(0.5)).clamp(0.0, 1.0)).collect()
}

/// Sets start and end of each word in the recording.
///
/// `words` carry the model's times from the chunk's start. `spans` are the chunk's speech in the
/// recording. `audio_start_ms` is the time at which `loudness` begins.
pub fn align_words(words: &mut [Word], spans: &[SpeechSpan], audio_start_ms: u64, loudness: &[f32]) {
    if words.is_empty() || spans.is_empty() {
        return;
    }
    let grid = SpeechGrid::new(spans);
    let boundaries = find_boundaries(words, &grid, audio_start_ms, loudness);
    for (index, word) in words.iter_mut().enumerate() {
        word.start_ms = grid.time_ms(boundaries[index], true);
        word.end_ms = grid.time_ms(boundaries[index + 1], false).max(word.start_ms + 1);
    }
}

/// Time with speech, in steps; the pauses are left out.
struct SpeechGrid {
    /// Time in the recording of every step, in ms.
    times_ms: Vec<u64>,
    /// Whether a pause precedes each step.
    pauses: Vec<bool>,
    end_ms: u64,
}

impl SpeechGrid {
    fn new(spans: &[SpeechSpan]) -> Self {
        let (mut times_ms, mut pauses) = (Vec::new(), Vec::new());
        for span in spans {
            let steps = span.duration_ms().div_ceil(GRID_STEP_MS).max(1);
            for step in 0..steps {
                times_ms.push(span.start_ms + step * GRID_STEP_MS);
                pauses.push(step == 0 && times_ms.len() > 1);
            }
        }
        Self { times_ms, pauses, end_ms: spans[spans.len() - 1].end_ms }
    }

    /// Returns the time of a boundary: the start of the word after a pause, or the end of the word
    /// before it.
    fn time_ms(&self, step: usize, is_start: bool) -> u64 {
        match self.times_ms.get(step) {
            Some(time) if is_start || !self.pauses[step] => *time,
            Some(_) => self.times_ms[step - 1] + GRID_STEP_MS,
            None => self.end_ms,
        }
    }
}

/// Finds the boundaries of least cost, one more than there are words, from 0 to the grid's length.
fn find_boundaries(words: &[Word], grid: &SpeechGrid, audio_start_ms: u64, loudness: &[f32]) -> Vec<usize> {
    let (steps, count) = (grid.times_ms.len(), words.len());
    let weights: Vec<f32> = words.iter().map(|word| duration_weight(&word.text)).collect();
    let per_weight = steps as f32 / weights.iter().sum::<f32>();
    let mut pauses_before = vec![0u32; steps + 1];
    for step in 0..steps {
        pauses_before[step + 1] = pauses_before[step] + u32::from(grid.pauses[step]);
    }
    let boundary_cost = |step: usize, word: usize| -> f32 {
        let (time, before) = (grid.times_ms[step], &words[word - 1].text);
        let level = loudness.get((time.saturating_sub(audio_start_ms) / GRID_STEP_MS) as usize);
        let model_ms = audio_start_ms + words[word].start_ms;
        let pull = (MODEL_TIME_COST_PER_S * time.abs_diff(model_ms) as f32 / 1000.0).min(MAX_MODEL_TIME_COST);
        let mut cost = LOUD_BOUNDARY_COST * level.copied().unwrap_or(0.0) + pull;
        if grid.pauses[step] {
            cost -= PAUSE_REWARD
                + if before.ends_with(['.', ',', '?', '!', ';', ':', '。', '，']) {
                    PUNCTUATION_REWARD
                } else {
                    0.0
                };
        }
        cost
    };
    // `best[s]` is the least cost of the words so far if they end at step s.
    let mut best = vec![f32::INFINITY; steps + 1];
    best[0] = 0.0;
    let mut starts: Vec<Vec<u32>> = Vec::with_capacity(count);
    for (word, weight) in weights.iter().enumerate() {
        let expected = weight * per_weight;
        let (shortest, longest) = ((expected / 5.0) as usize, (expected * 4.0) as usize + 25);
        let spread = expected * 0.5 + 3.0;
        let mut next = vec![f32::INFINITY; steps + 1];
        let mut back = vec![0u32; steps + 1];
        for end in 0..=steps {
            if (word + 1 == count) != (end == steps) {
                continue;
            }
            let edge = if end < steps { boundary_cost(end, word + 1) } else { 0.0 };
            for start in end.saturating_sub(longest)..=end.saturating_sub(shortest) {
                if best[start] == f32::INFINITY {
                    continue;
                }
                let off = ((end - start) as f32 - expected) / spread;
                // Pauses strictly inside the word.
                let pauses_inside = pauses_before[end] - pauses_before[(start + 1).min(end)];
                let cost = best[start] + off * off + edge + PAUSE_IN_WORD_COST * pauses_inside as f32;
                if cost < next[end] {
                    next[end] = cost;
                    back[end] = start as u32;
                }
            }
        }
        best = next;
        starts.push(back);
    }
    if best[steps] == f32::INFINITY {
        // The grid is too short for the words: spread them evenly.
        return (0..=count).map(|index| index * steps / count).collect();
    }
    let mut out = vec![steps; count + 1];
    for word in (0..count).rev() {
        out[word] = starts[word][out[word + 1]] as usize;
    }
    out
}

/// Returns the time a word takes relative to others: its letters and a constant. A character of a
/// script that writes syllables counts as three letters, a digit as four.
fn duration_weight(text: &str) -> f32 {
    let letter = |c: char| match c {
        _ if c.is_ascii_digit() => 4.0,
        _ if !c.is_alphanumeric() => 0.0,
        _ if c >= '\u{2e80}' => 3.0,
        _ => 1.0,
    };
    1.5 + text.chars().map(letter).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str, starts: &[u64]) -> Vec<Word> {
        let word = |(text, start): (&str, &u64)| Word {
            start_ms: *start,
            end_ms: *start,
            text: text.to_owned(),
            probability: 1.0,
            doubt: 0.0,
        };
        text.split_whitespace().zip(starts).map(word).collect()
    }

    fn span(start_ms: u64, end_ms: u64) -> SpeechSpan {
        SpeechSpan { start_ms, end_ms }
    }

    #[test]
    fn a_pause_comes_after_the_mark_even_where_the_model_is_late() {
        // Speech from 1.0 to 2.0 and 2.5 to 3.5; the audio starts at 0.75.
        let mut said = words("one two, three four", &[900, 1500, 2200, 2600]);
        align_words(&mut said, &[span(1000, 2000), span(2500, 3500)], 750, &[0.5; 160]);
        assert_eq!(said[0].start_ms, 1000);
        assert_eq!((said[1].end_ms, said[2].start_ms), (2000, 2500));
        assert_eq!(said[3].end_ms, 3500);
    }

    #[test]
    fn a_boundary_seeks_the_quiet_position() {
        let mut loud = vec![1.0; 100];
        loud[44..46].fill(0.0);
        let mut said = words("seven seven", &[0, 1000]);
        align_words(&mut said, &[span(0, 2000)], 0, &loud);
        assert!((860..=920).contains(&said[1].start_ms), "{said:?}");
    }

    #[test]
    fn times_are_in_order_however_little_room_there_is() {
        for count in [1, 2, 30] {
            let text = vec!["word"; count].join(" ");
            let mut said = words(&text, &vec![0; count]);
            align_words(&mut said, &[span(100, 160), span(400, 440)], 0, &[]);
            assert!(said.windows(2).all(|w| w[0].start_ms <= w[1].start_ms), "{said:?}");
            assert!(said.iter().all(|w| w.start_ms < w.end_ms && w.start_ms >= 100));
        }
        align_words(&mut [], &[], 0, &[]);
    }

    #[test]
    fn loudness_is_relative_to_the_chunk() {
        let mut samples = vec![0.001; 3200];
        samples.extend(vec![0.5; 3200]);
        let levels = relative_loudness(&samples);
        assert_eq!(levels.len(), 20);
        assert!(levels[2] < 0.1 && levels[15] > 0.9);
    }
}
