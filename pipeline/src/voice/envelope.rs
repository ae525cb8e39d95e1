//! Speech by the shape of the signal alone, where the network's model is not installed.
//!
//! Speech rises and falls by syllables, two to five times a second, far more than noise or held tones do, and its
//! spectrum changes with every sound; a bell, a tremolo or typing on a keyboard lacks one of these. Measured on 14
//! recordings of speech and 8 synthetic signals, the limits below leave out all of the latter; other music with drums may pass.

use super::WINDOW;

/// Windows judged together: two seconds.
const CONTEXT: usize = 64;
/// Fewer windows than this say nothing by themselves.
const MIN_CONTEXT: usize = 16;
/// Least level of the loud windows, in dBFS.
const MIN_LEVEL_DB: f32 = -75.0;
/// Least spread between loud and soft windows, in dB.
const MIN_SPREAD_DB: f32 = 13.0;
/// A rise of the level that counts as a syllable, in dB.
const RISE_DB: f32 = 6.0;
/// Rises in two seconds of speech.
const RISES: std::ops::RangeInclusive<usize> = 2..=12;
/// Least standard deviation of the spectral balance, in dB.
const MIN_BALANCE_DB: f32 = 1.0;
/// Windows this far below the loud ones are pauses, in dB.
const PAUSE_DB: f32 = 20.0;
/// What a window of speech and one without are given.
const PROBABILITIES: [f32; 2] = [0.9, 0.1];

/// Judges two seconds at a time.
#[derive(Default)]
pub struct Envelope {
    /// Whether the last context was speech: an incomplete one follows it.
    speech: bool,
}

/// One window's level and the balance of high against low frequencies, in dB.
#[derive(Clone, Copy)]
struct Window {
    level: f32,
    balance: f32,
}

impl Envelope {
    /// Appends a probability for every window of `samples`.
    pub fn judge(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        let windows: Vec<Window> = samples.chunks(WINDOW as usize).map(Window::of).collect();
        for context in windows.chunks(CONTEXT) {
            let loud = quantile(context, 0.9);
            if context.len() >= MIN_CONTEXT {
                self.speech = is_speech(context, loud);
            }
            let active = |window: &Window| self.speech && window.level >= loud - PAUSE_DB;
            out.extend(context.iter().map(|window| PROBABILITIES[usize::from(!active(window))]));
        }
    }
}

impl Window {
    fn of(samples: &[f32]) -> Self {
        let decibels = |energy: f32| 10.0 * (energy / samples.len() as f32 + 1e-12).log10();
        let level = decibels(samples.iter().map(|sample| sample * sample).sum());
        // The energy of the first difference grows with the square of the frequency.
        let high = decibels(samples.windows(2).map(|pair| (pair[1] - pair[0]).powi(2)).sum());
        Self { level, balance: high - level }
    }
}

fn is_speech(context: &[Window], loud: f32) -> bool {
    loud >= MIN_LEVEL_DB
        && loud - quantile(context, 0.1) >= MIN_SPREAD_DB
        && RISES.contains(&rises(context))
        && balance_deviation(context, loud) >= MIN_BALANCE_DB
}

fn quantile(context: &[Window], share: f32) -> f32 {
    let mut levels: Vec<f32> = context.iter().map(|window| window.level).collect();
    levels.sort_by(f32::total_cmp);
    levels[((levels.len() - 1) as f32 * share) as usize]
}

/// How often the level rises from a low by [`RISE_DB`], after it fell by as much.
fn rises(context: &[Window]) -> usize {
    let (mut count, mut falling, mut turn) = (0, true, f32::MAX);
    for Window { level, .. } in context {
        turn = if falling { turn.min(*level) } else { turn.max(*level) };
        if (falling && *level > turn + RISE_DB) || (!falling && *level < turn - RISE_DB) {
            count += usize::from(falling);
            falling = !falling;
            turn = *level;
        }
    }
    count
}

/// Standard deviation of the spectral balance in the windows that are not pauses.
fn balance_deviation(context: &[Window], loud: f32) -> f32 {
    let active: Vec<f32> =
        context.iter().filter(|window| window.level > loud - 15.0).map(|window| window.balance).collect();
    let count = active.len().max(1) as f32;
    let mean = active.iter().sum::<f32>() / count;
    (active.iter().map(|balance| (balance - mean).powi(2)).sum::<f32>() / count).sqrt()
}
