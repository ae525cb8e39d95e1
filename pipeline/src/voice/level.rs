//! Raises quiet audio, because the network misses speech below about -50 dBFS.

use super::window::WINDOW_SAMPLES;

/// Level to which quiet audio is raised, in dBFS. The network judges -15 to -40 alike.
const TARGET_DBFS: f32 = -30.0;
/// Maximum gain, in dB. What is still quiet after it is noise.
const MAX_GAIN_DB: f32 = 30.0;
/// Windows on either side that set the level: 2 s.
const REACH_WINDOWS: usize = 64;
/// Share of those windows that do not exceed the level. With this share, pauses do not raise the
/// gain and a bang does not lower it.
const LEVEL_SHARE: f32 = 0.75;

/// Raises quiet passages, in place.
pub fn raise_quiet(samples: &mut [f32]) {
    let window_samples = WINDOW_SAMPLES as usize;
    let levels: Vec<f32> = samples.chunks(window_samples).map(level_dbfs).collect();
    let mut sorted = Vec::with_capacity(2 * REACH_WINDOWS + 1);
    let mut previous_gain = None;
    for (index, window) in samples.chunks_mut(window_samples).enumerate() {
        let near =
            &levels[index.saturating_sub(REACH_WINDOWS)..(index + REACH_WINDOWS + 1).min(levels.len())];
        sorted.clear();
        sorted.extend_from_slice(near);
        sorted.sort_unstable_by(f32::total_cmp);
        let level = sorted[((sorted.len() - 1) as f32 * LEVEL_SHARE) as usize];
        let gain = 10f32.powf((TARGET_DBFS - level).clamp(0.0, MAX_GAIN_DB) / 20.0);
        let start = previous_gain.unwrap_or(gain);
        let step = (gain - start) / window.len() as f32;
        for (at, sample) in window.iter_mut().enumerate() {
            *sample = (*sample * (start + step * at as f32)).clamp(-1.0, 1.0);
        }
        previous_gain = Some(gain);
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
        raise_quiet(&mut samples);
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
