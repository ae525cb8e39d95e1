//! Brings quiet audio to a level at which the network works: it misses speech below about -50 dBFS.

use super::WINDOW;

/// Level that quiet audio is brought to, in dBFS. The network gives the same from -15 to -40.
const TARGET_DBFS: f32 = -30.0;
/// Most gain, in dB: what is still quiet then is noise.
const MAX_GAIN_DB: f32 = 30.0;
/// Windows on either side whose level counts: 2 s.
const REACH: usize = 64;
/// The level is the one that this share of them does not exceed: pauses do not raise the gain, a bang does not lower it.
const SHARE: f32 = 0.75;

/// Raises what is quiet, in place.
pub fn raise(samples: &mut [f32]) {
    let window = WINDOW as usize;
    let levels: Vec<f32> = samples.chunks(window).map(level_dbfs).collect();
    let mut sorted = Vec::with_capacity(2 * REACH + 1);
    let mut before = None;
    for (index, window) in samples.chunks_mut(window).enumerate() {
        let near = &levels[index.saturating_sub(REACH)..(index + REACH + 1).min(levels.len())];
        sorted.clear();
        sorted.extend_from_slice(near);
        sorted.sort_unstable_by(f32::total_cmp);
        let level = sorted[((sorted.len() - 1) as f32 * SHARE) as usize];
        let gain = 10f32.powf((TARGET_DBFS - level).clamp(0.0, MAX_GAIN_DB) / 20.0);
        let (from, step) = (before.unwrap_or(gain), (gain - before.unwrap_or(gain)) / window.len() as f32);
        for (at, sample) in window.iter_mut().enumerate() {
            *sample = (*sample * (from + step * at as f32)).clamp(-1.0, 1.0);
        }
        before = Some(gain);
    }
}

fn level_dbfs(window: &[f32]) -> f32 {
    let energy: f32 = window.iter().map(|sample| sample * sample).sum();
    10.0 * (energy / window.len() as f32 + 1e-12).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raised(level: f32, bang: std::ops::Range<usize>) -> Vec<f32> {
        let sample = |i: usize| if bang.contains(&i) { 0.9 } else { level };
        let mut samples: Vec<f32> =
            (0..160_000).map(|i| sample(i) * if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
        raise(&mut samples);
        samples
    }

    #[test]
    fn quiet_audio_is_raised_next_to_a_bang() {
        let target = 10f32.powf(TARGET_DBFS / 20.0);
        for bang in [0..0, 50_000..64_000] {
            let samples = raised(0.003, bang.clone());
            assert!(samples.iter().all(|sample| sample.abs() <= 1.0));
            for at in [0, 40_000, 49_000, 65_000, 159_999] {
                assert!((samples[at].abs() / target - 1.0).abs() < 0.02, "{bang:?}, {at}: {}", samples[at]);
            }
        }
    }

    #[test]
    fn loud_audio_stays_and_silence_is_no_louder_than_the_gain_allows() {
        assert_eq!(raised(0.2, 0..0)[1000].abs(), 0.2);
        assert!(raised(0.000_01, 0..0)[1000].abs() < 0.000_32);
    }
}
