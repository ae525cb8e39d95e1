//! The frame rate of a track by its time stamps. Pure.

use crate::media::Rational;

/// Common frame rates of cameras and screens.
const COMMON_RATES: [Rational; 14] = [
    Rational::new(5, 1),
    Rational::new(10, 1),
    Rational::new(12, 1),
    Rational::new(25, 2),
    Rational::new(15, 1),
    Rational::new(24_000, 1001),
    Rational::new(24, 1),
    Rational::new(25, 1),
    Rational::new(30_000, 1001),
    Rational::new(30, 1),
    Rational::new(50, 1),
    Rational::new(60_000, 1001),
    Rational::new(60, 1),
    Rational::new(120, 1),
];

/// Lowest frame rate of a track without a regular one.
///
/// Screen recorders write a frame when something changes, sometimes 0.1 s after the last one,
/// sometimes 20 s. At this rate each frame is displayed within 34 ms of its time.
const MIN_IRREGULAR_RATE: Rational = Rational::new(15, 1);

/// The frame rate of a track.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrameRate {
    /// Nominal frames per second.
    pub rate: Rational,
    /// Whether frames are unevenly spaced, or too few to know.
    pub is_variable: bool,
}

/// The rate of frames presented at `times_ns`, in any order, in a file that declares `declared`.
pub fn measure(times_ns: &[i64], declared: Option<Rational>) -> FrameRate {
    let mut times = times_ns.to_vec();
    times.sort_unstable();
    let mut gaps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).filter(|&gap| gap > 0).collect();
    let declared = declared.filter(|d| d.num > 0 && d.den > 0 && (0.001..=1000.0).contains(&d.as_f64()));
    gaps.sort_unstable();
    let Some(&median) = gaps.get(gaps.len() / 2) else {
        return FrameRate { rate: declared.unwrap_or(Rational::new(25, 1)), is_variable: true };
    };
    // Gaps are uneven if they differ by more than a tenth of a frame, and more than clocks of 1 ms
    // round.
    let slack = (median / 10).max(1_100_000);
    let even = || gaps.iter().filter(|&&gap| (gap - median).abs() <= slack);
    let uneven = gaps.len() - even().count();
    let is_variable = uneven > 0 || gaps.len() == 1;
    let span = times[times.len() - 1] - times[0];
    let mean = (times.len() - 1) as f64 * 1e9 / span.max(1) as f64;
    // One dropped frame does not make a 30 frames per second camera one of 27.
    let is_regular = uneven * 4 <= gaps.len() && gaps.len() > 1;
    if !is_regular && mean < MIN_IRREGULAR_RATE.as_f64() {
        return FrameRate { rate: MIN_IRREGULAR_RATE, is_variable };
    }
    // The median alone would be 33 ms at 30 frames per second on a clock of 1 ms.
    let even_mean = || even().count() as f64 * 1e9 / even().sum::<i64>() as f64;
    let measured = if is_regular && is_variable { even_mean() } else { mean };
    let is_near = |rate: &Rational| (rate.as_f64() / measured - 1.0).abs() < 0.005;
    if let Some(declared) = declared.filter(|rate| !is_variable && is_near(rate)) {
        return FrameRate { rate: common_rate(declared.as_f64()).unwrap_or(declared), is_variable };
    }
    let rate = common_rate(measured).or_else(|| simple_ratio(measured)).unwrap_or_else(|| {
        let thousandths = (measured * 1000.0).floor().clamp(1.0, 1_000_000.0) as u32;
        Rational::new(thousandths, 1000)
    });
    FrameRate { rate, is_variable }
}

/// A slow rate as a ratio of small numbers, if one is within 0.05%: 1/30, 2/3, 3/2.
fn simple_ratio(measured: f64) -> Option<Rational> {
    let slowest_common = COMMON_RATES[0].as_f64();
    (1..=60)
        .map(|den| Rational::new((measured * f64::from(den)).round() as u32, den))
        .find(|rate| measured < slowest_common && (rate.as_f64() / measured - 1.0).abs() < 0.000_5)
}

/// The common rate within 0.2% of a measured one: the nearest, or the lower if none is very near.
fn common_rate(measured: f64) -> Option<Rational> {
    let off = |rate: &Rational| (rate.as_f64() / measured - 1.0).abs();
    let near: Vec<_> = COMMON_RATES.iter().filter(|rate| off(rate) < 0.002).collect();
    let best = near.iter().min_by(|a, b| off(a).total_cmp(&off(b)))?;
    // 29.985 frames per second are 29.97, not 30: a rendition never has more than its source.
    let lower = near.iter().rev().find(|rate| rate.as_f64() <= measured);
    Some(if off(best) < 0.000_3 { **best } else { **lower.unwrap_or(best) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every(gap_ns: i64, n: i64) -> Vec<i64> {
        (0..n).map(|i| i * gap_ns).collect()
    }

    #[test]
    fn even_tracks_have_a_common_rate() {
        assert_eq!(
            measure(&every(33_333_333, 90), None),
            FrameRate { rate: Rational::new(30, 1), is_variable: false }
        );
        assert_eq!(
            measure(&every(33_366_667, 90), None),
            FrameRate { rate: Rational::new(30_000, 1001), is_variable: false }
        );
        assert_eq!(measure(&every(1_000_000_000, 30), None).rate, Rational::new(1, 1));
    }

    #[test]
    fn clocks_of_a_millisecond_are_even() {
        let times: Vec<i64> = (0..100).map(|i| (i * 1001 + 15) / 30 * 1_000_000).collect();
        assert_eq!(
            measure(&times, None),
            FrameRate { rate: Rational::new(30_000, 1001), is_variable: false }
        );
    }

    #[test]
    fn a_dropped_frame_leaves_the_rate_and_makes_it_variable() {
        let mut times = every(33_333_333, 60);
        times.remove(20);
        assert_eq!(measure(&times, None), FrameRate { rate: Rational::new(30, 1), is_variable: true });
    }

    #[test]
    fn a_dropped_frame_leaves_the_rate_of_clocks_of_a_millisecond() {
        for (rate, ms_per_1000_frames) in [(Rational::new(30, 1), 33_333), (Rational::new(60, 1), 16_667)] {
            let mut times: Vec<i64> =
                (0..300).map(|i| (i * ms_per_1000_frames + 500) / 1000 * 1_000_000).collect();
            times.remove(100);
            assert_eq!(measure(&times, None), FrameRate { rate, is_variable: true });
        }
    }

    #[test]
    fn slow_tracks_have_simple_rates() {
        for (num, den) in [(1_i64, 30_i64), (1, 10), (1, 4), (2, 3), (1, 1), (3, 2), (2, 1), (4, 1)] {
            let times: Vec<i64> = (0..20).map(|i| i * 1_000 * den / num * 1_000_000).collect();
            let expected = FrameRate { rate: Rational::new(num as u32, den as u32), is_variable: false };
            assert_eq!(measure(&times, None), expected);
            assert_eq!(measure(&times, Some(expected.rate)), expected);
        }
    }

    #[test]
    fn an_irregular_track_is_fast_enough_for_each_frame_to_be_at_its_time() {
        let irregular = FrameRate { rate: MIN_IRREGULAR_RATE, is_variable: true };
        // Two slides; a flash of 0.1 s every two seconds; a screen that changes now and then.
        for times_ms in
            [vec![0, 8_000], vec![0, 1_000, 1_100, 3_000, 3_100, 5_000], vec![0, 100, 20_100, 20_400]]
        {
            let times: Vec<i64> = times_ms.iter().map(|ms| ms * 1_000_000).collect();
            assert_eq!(measure(&times, Some(Rational::new(1, 2))), irregular, "{times_ms:?}");
        }
        let mut often = every(50_000_000, 40);
        often.extend((0..40).map(|i| 2_000_000_000 + i * 33_333_333));
        assert!(measure(&often, None).rate.as_f64() > 20.0, "a mean above that is kept");
    }

    #[test]
    fn one_frame_has_the_declared_rate() {
        assert_eq!(measure(&[0], Some(Rational::new(24, 1))).rate, Rational::new(24, 1));
        assert_eq!(measure(&[0], None).rate, Rational::new(25, 1));
    }
}
