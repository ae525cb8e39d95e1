//! Speech by the shape of the signal alone, for machines without the network's model.
//!
//! Speech rises and falls with its syllables two to five times a second, far more than noise or
//! held tones do. Its spectrum changes with every sound. A bell, a tremolo or typing lacks one of
//! these.
//!
//! The limits come from 14 recordings of speech and 8 synthetic signals, and reject all of the
//! latter. Other music with drums may pass.

use super::window::WINDOW_SAMPLES;

/// Windows judged together: two seconds.
const CONTEXT_WINDOWS: usize = 64;
/// With fewer windows, the judgement of the two seconds before holds.
const MIN_CONTEXT_WINDOWS: usize = 16;
/// Minimum level of the loud windows, in dBFS.
const MIN_LEVEL_DB: f32 = -75.0;
/// Minimum spread between loud and soft windows, in dB.
const MIN_SPREAD_DB: f32 = 13.0;
/// A rise of the level that counts as a syllable, in dB.
const RISE_DB: f32 = 6.0;
/// Number of rises in two seconds of speech.
const SPEECH_RISES: std::ops::RangeInclusive<usize> = 2..=12;
/// Minimum standard deviation of the spectral balance, in dB.
const MIN_BALANCE_DEVIATION_DB: f32 = 1.0;
/// The balance counts in windows no further than this below the loud ones, in dB.
const ACTIVE_DB: f32 = 15.0;
/// Windows this far below the loud ones are pauses, in dB.
const PAUSE_DB: f32 = 20.0;
/// Probabilities given to a window of speech and to one without.
const PROBABILITIES: [f32; 2] = [0.9, 0.1];

/// Judges two seconds at a time.
#[derive(Default)]
pub struct Envelope {
    /// Whether the last two seconds were speech; an incomplete context after them continues it.
    in_speech: bool,
}

/// Level of one window, and its balance of high against low frequencies, in dB.
#[derive(Clone, Copy)]
struct LevelWindow {
    level: f32,
    balance: f32,
}

impl Envelope {
    /// Appends a probability for every window of `samples`.
    pub fn judge(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        let windows: Vec<LevelWindow> =
            samples.chunks(WINDOW_SAMPLES as usize).map(LevelWindow::from_samples).collect();
        for context in windows.chunks(CONTEXT_WINDOWS) {
            let loud = quantile(context, 0.9);
            if context.len() >= MIN_CONTEXT_WINDOWS {
                self.in_speech = is_speech(context, loud);
            }
            let active = |window: &LevelWindow| self.in_speech && window.level >= loud - PAUSE_DB;
            out.extend(context.iter().map(|window| PROBABILITIES[usize::from(!active(window))]));
        }
    }
}

impl LevelWindow {
    fn from_samples(samples: &[f32]) -> Self {
        let decibels = |energy: f32| 10.0 * (energy / samples.len() as f32 + 1e-12).log10();
        let level = decibels(samples.iter().map(|sample| sample * sample).sum());
        // The energy of the first difference grows with the square of the frequency.
        let high = decibels(samples.windows(2).map(|pair| (pair[1] - pair[0]).powi(2)).sum());
        Self { level, balance: high - level }
    }
}

fn is_speech(context: &[LevelWindow], loud: f32) -> bool {
    loud >= MIN_LEVEL_DB
        && loud - quantile(context, 0.1) >= MIN_SPREAD_DB
        && SPEECH_RISES.contains(&count_rises(context))
        && balance_deviation(context, loud) >= MIN_BALANCE_DEVIATION_DB
}

fn quantile(context: &[LevelWindow], share: f32) -> f32 {
    let mut levels: Vec<f32> = context.iter().map(|window| window.level).collect();
    levels.sort_by(f32::total_cmp);
    levels[((levels.len() - 1) as f32 * share) as usize]
}

/// Counts how often the level rises from a low by [`RISE_DB`] after it fell by as much.
fn count_rises(context: &[LevelWindow]) -> usize {
    let (mut count, mut falling, mut turn) = (0, true, f32::MAX);
    for LevelWindow { level, .. } in context {
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
fn balance_deviation(context: &[LevelWindow], loud: f32) -> f32 {
    let active: Vec<f32> = context
        .iter()
        .filter(|window| window.level > loud - ACTIVE_DB)
        .map(|window| window.balance)
        .collect();
    let count = active.len().max(1) as f32;
    let mean = active.iter().sum::<f32>() / count;
    (active.iter().map(|balance| (balance - mean).powi(2)).sum::<f32>() / count).sqrt()
}
