//! Words in time: the words of a chunk are laid over its speech.
//!
//! The model's own times are off by 0.4 s in the median. What is certain is where speech starts and stops, so words
//! are spread over the spans of speech by dynamic programming: each word wants a length in proportion to its letters,
//! boundaries want to be where it is quiet, pauses want to be between words, best after punctuation, and the model's
//! times pull a little.

use super::activity::Span;
use super::words::Word;

/// Step of the grid, in ms.
pub const STEP_MS: u64 = 20;
/// Cost of a boundary at the loudest place.
const LOUD: f32 = 1.0;
/// Cost of a pause inside a word.
const TORN: f32 = 30.0;
/// Reward for a boundary in a pause, and more of it after punctuation.
const PAUSE: f32 = 2.0;
const MARK_AT_PAUSE: f32 = 3.0;
/// Cost of a boundary one second from where the model heard it, and the most it may cost.
const PULL_PER_SECOND: f32 = 2.0;
const PULL_MOST: f32 = 3.0;

/// Loudness of the chunk's sound on the grid, from 0 (quiet) to 1.
pub fn loudness(samples: &[f32]) -> Vec<f32> {
    let step = (super::wav::RATE * STEP_MS / 1000) as usize;
    let levels: Vec<f32> = samples
        .chunks(step)
        .map(|part| (part.iter().map(|s| s * s).sum::<f32>() / part.len() as f32 + 1e-9).log10())
        .collect();
    let mut sorted = levels.clone();
    sorted.sort_by(f32::total_cmp);
    let at = |share: f32| sorted.get((sorted.len() as f32 * share) as usize).copied().unwrap_or(0.0);
    let (quiet, loud) = (at(0.1), at(0.95));
    levels.iter().map(|level| ((level - quiet) / (loud - quiet).max(0.5)).clamp(0.0, 1.0)).collect()
}

/// Gives each word its start and end in the recording. `words` carry the model's times from the chunk's start,
/// `spans` are the chunk's speech in the recording, `sound_start_ms` is where `loudness` begins.
pub fn align(words: &mut [Word], spans: &[Span], sound_start_ms: u64, loudness: &[f32]) {
    if words.is_empty() || spans.is_empty() {
        return;
    }
    let grid = Grid::new(spans);
    let boundaries = boundaries(words, &grid, sound_start_ms, loudness);
    for (index, word) in words.iter_mut().enumerate() {
        word.start_ms = grid.time(boundaries[index], true);
        word.end_ms = grid.time(boundaries[index + 1], false).max(word.start_ms + 1);
    }
}

/// Speech time, without the pauses, in steps.
struct Grid {
    /// Step in the recording of every step of speech: its time in ms.
    times: Vec<u64>,
    /// Steps at which a pause lies before.
    pauses: Vec<bool>,
    end_ms: u64,
}

impl Grid {
    fn new(spans: &[Span]) -> Self {
        let (mut times, mut pauses) = (Vec::new(), Vec::new());
        for span in spans {
            let steps = span.length_ms().div_ceil(STEP_MS).max(1);
            for step in 0..steps {
                times.push(span.start_ms + step * STEP_MS);
                pauses.push(step == 0 && times.len() > 1);
            }
        }
        Self { times, pauses, end_ms: spans[spans.len() - 1].end_ms }
    }

    /// Time of a boundary: as the start of a word after a pause, as the end of one before it.
    fn time(&self, step: usize, start: bool) -> u64 {
        match self.times.get(step) {
            Some(time) if start || !self.pauses[step] => *time,
            Some(_) => self.times[step - 1] + STEP_MS,
            None => self.end_ms,
        }
    }
}

/// The boundaries of least cost: one more than there are words, from 0 to the grid's length.
fn boundaries(words: &[Word], grid: &Grid, sound_start_ms: u64, loudness: &[f32]) -> Vec<usize> {
    let (steps, count) = (grid.times.len(), words.len());
    let weights: Vec<f32> = words.iter().map(|word| weight(&word.text)).collect();
    let per_weight = steps as f32 / weights.iter().sum::<f32>();
    let mut pauses_before = vec![0u32; steps + 1];
    for step in 0..steps {
        pauses_before[step + 1] = pauses_before[step] + u32::from(grid.pauses[step]);
    }
    let boundary_cost = |step: usize, word: usize| -> f32 {
        let (time, before) = (grid.times[step], &words[word - 1].text);
        let level = loudness.get((time.saturating_sub(sound_start_ms) / STEP_MS) as usize);
        let heard_ms = sound_start_ms + words[word].start_ms;
        let pull = (PULL_PER_SECOND * time.abs_diff(heard_ms) as f32 / 1000.0).min(PULL_MOST);
        let mut cost = LOUD * level.copied().unwrap_or(0.0) + pull;
        if grid.pauses[step] {
            cost -= PAUSE
                + if before.ends_with(['.', ',', '?', '!', ';', ':', '。', '，']) {
                    MARK_AT_PAUSE
                } else {
                    0.0
                };
        }
        cost
    };
    // best[w][s]: least cost of the first w words ending at step s.
    let mut best = vec![f32::INFINITY; steps + 1];
    best[0] = 0.0;
    let mut from: Vec<Vec<u32>> = Vec::with_capacity(count);
    for (word, weight) in weights.iter().enumerate() {
        let wanted = weight * per_weight;
        let (shortest, longest) = ((wanted / 5.0) as usize, (wanted * 4.0) as usize + 25);
        let spread = wanted * 0.5 + 3.0;
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
                let off = ((end - start) as f32 - wanted) / spread;
                // Pauses strictly inside the word.
                let torn = pauses_before[end] - pauses_before[(start + 1).min(end)];
                let cost = best[start] + off * off + edge + TORN * torn as f32;
                if cost < next[end] {
                    next[end] = cost;
                    back[end] = start as u32;
                }
            }
        }
        best = next;
        from.push(back);
    }
    if best[steps] == f32::INFINITY {
        // More words than the grid has room for: spread evenly.
        return (0..=count).map(|index| index * steps / count).collect();
    }
    let mut out = vec![steps; count + 1];
    for word in (0..count).rev() {
        out[word] = from[word][out[word + 1]] as usize;
    }
    out
}

/// How long a word takes, relative to others: its letters and a little for itself. A character of a script that
/// writes syllables counts for three letters, a digit is a word.
fn weight(text: &str) -> f32 {
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
        let of =
            |(text, start): (&str, &u64)| Word { start_ms: *start, end_ms: *start, text: text.to_owned() };
        text.split_whitespace().zip(starts).map(of).collect()
    }

    fn span(start_ms: u64, end_ms: u64) -> Span {
        Span { start_ms, end_ms }
    }

    #[test]
    fn a_pause_comes_after_the_mark_even_where_the_model_is_late() {
        // Speech from 1.0 to 2.0 and 2.5 to 3.5; the sound starts at 0.75.
        let mut said = words("one two, three four", &[900, 1500, 2200, 2600]);
        align(&mut said, &[span(1000, 2000), span(2500, 3500)], 750, &[0.5; 160]);
        assert_eq!(said[0].start_ms, 1000);
        assert_eq!((said[1].end_ms, said[2].start_ms), (2000, 2500));
        assert_eq!(said[3].end_ms, 3500);
    }

    #[test]
    fn a_boundary_seeks_the_quiet_place() {
        let mut loud = vec![1.0; 100];
        loud[44..46].fill(0.0);
        let mut said = words("seven seven", &[0, 1000]);
        align(&mut said, &[span(0, 2000)], 0, &loud);
        assert!((860..=920).contains(&said[1].start_ms), "{said:?}");
    }

    #[test]
    fn times_are_in_order_however_little_room_there_is() {
        for count in [1, 2, 30] {
            let text = vec!["word"; count].join(" ");
            let mut said = words(&text, &vec![0; count]);
            align(&mut said, &[span(100, 160), span(400, 440)], 0, &[]);
            assert!(said.windows(2).all(|w| w[0].start_ms <= w[1].start_ms), "{said:?}");
            assert!(said.iter().all(|w| w.start_ms < w.end_ms && w.start_ms >= 100));
        }
        align(&mut [], &[], 0, &[]);
    }

    #[test]
    fn loudness_is_relative_to_the_chunk() {
        let mut samples = vec![0.001; 3200];
        samples.extend(vec![0.5; 3200]);
        let levels = loudness(&samples);
        assert_eq!(levels.len(), 20);
        assert!(levels[2] < 0.1 && levels[15] > 0.9);
    }
}
