//! The frame rate of a track, out of its time stamps. Pure.

use crate::media::Rational;

/// Rates that cameras and screens have.
const USUAL: [Rational; 14] = [
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

/// Frames per second of a track without a pace, at least. Screen recorders write a frame when something changes, now
/// 0.1 s after the last one, now 20 s. At this rate each is seen within 34 ms of its time.
const UNPACED: Rational = Rational::new(15, 1);

/// What time stamps say of a track's rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paced {
    /// Nominal frames per second.
    pub rate: Rational,
    /// Whether frames are unevenly spaced, or too few to say.
    pub variable: bool,
}

/// The pace of frames presented at `times_ns`, in any order; `declared` is what the file says.
pub fn pace(times_ns: &[i64], declared: Option<Rational>) -> Paced {
    let mut times = times_ns.to_vec();
    times.sort_unstable();
    let mut gaps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).filter(|&gap| gap > 0).collect();
    let declared = declared.filter(|d| d.num > 0 && d.den > 0 && (0.001..=1000.0).contains(&d.as_f64()));
    gaps.sort_unstable();
    let Some(&median) = gaps.get(gaps.len() / 2) else {
        return Paced { rate: declared.unwrap_or(Rational::new(25, 1)), variable: true };
    };
    // A gap counts as uneven past a tenth of a frame and past what clocks of 1 ms round.
    let slack = (median / 10).max(1_100_000);
    let uneven = gaps.iter().filter(|&&gap| (gap - median).abs() > slack).count();
    let variable = uneven > 0 || gaps.len() == 1;
    let span = times[times.len() - 1] - times[0];
    let mean = (times.len() - 1) as f64 * 1e9 / span.max(1) as f64;
    // One dropped frame does not make a 30 frames per second camera one of 27.
    let is_paced = uneven * 4 <= gaps.len() && gaps.len() > 1;
    if !is_paced && mean < UNPACED.as_f64() {
        return Paced { rate: UNPACED, variable };
    }
    let measured = if is_paced && variable { 1e9 / median as f64 } else { mean };
    if let Some(declared) = declared.filter(|d| !variable && (d.as_f64() / measured - 1.0).abs() < 0.005) {
        return Paced { rate: usual(declared.as_f64()).unwrap_or(declared), variable };
    }
    let rate = usual(measured).or_else(|| simple(measured)).unwrap_or_else(|| {
        let thousandths = (measured * 1000.0).floor().clamp(1.0, 1_000_000.0) as u32;
        Rational::new(thousandths, 1000)
    });
    Paced { rate, variable }
}

/// A slow rate as a ratio of small numbers, if one is within 0.05%: 1/30, 2/3, 3/2.
fn simple(measured: f64) -> Option<Rational> {
    let slowest_usual = USUAL[0].as_f64();
    (1..=60)
        .map(|den| Rational::new((measured * f64::from(den)).round() as u32, den))
        .find(|rate| measured < slowest_usual && (rate.as_f64() / measured - 1.0).abs() < 0.000_5)
}

/// The usual rate nearest to a measured one, where one is within 0.2%: the lower where two are.
fn usual(measured: f64) -> Option<Rational> {
    let off = |rate: &Rational| (rate.as_f64() / measured - 1.0).abs();
    let near: Vec<_> = USUAL.iter().filter(|rate| off(rate) < 0.002).collect();
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
    fn even_tracks_have_their_usual_rate() {
        assert_eq!(pace(&every(33_333_333, 90), None), Paced { rate: Rational::new(30, 1), variable: false });
        assert_eq!(
            pace(&every(33_366_667, 90), None),
            Paced { rate: Rational::new(30_000, 1001), variable: false }
        );
        assert_eq!(pace(&every(1_000_000_000, 30), None).rate, Rational::new(1, 1));
    }

    #[test]
    fn clocks_of_a_millisecond_are_even() {
        let times: Vec<i64> = (0..100).map(|i| (i * 1001 + 15) / 30 * 1_000_000).collect();
        assert_eq!(pace(&times, None), Paced { rate: Rational::new(30_000, 1001), variable: false });
    }

    #[test]
    fn a_dropped_frame_leaves_the_rate_and_says_variable() {
        let mut times = every(33_333_333, 60);
        times.remove(20);
        assert_eq!(pace(&times, None), Paced { rate: Rational::new(30, 1), variable: true });
    }

    #[test]
    fn slow_tracks_have_simple_rates() {
        for (num, den) in [(1_i64, 30_i64), (1, 10), (1, 4), (2, 3), (1, 1), (3, 2), (2, 1), (4, 1)] {
            let times: Vec<i64> = (0..20).map(|i| i * 1_000 * den / num * 1_000_000).collect();
            let expected = Paced { rate: Rational::new(num as u32, den as u32), variable: false };
            assert_eq!(pace(&times, None), expected);
            assert_eq!(pace(&times, Some(expected.rate)), expected);
        }
    }

    #[test]
    fn a_track_without_a_pace_is_fast_enough_for_each_frame_to_be_at_its_time() {
        let unpaced = Paced { rate: UNPACED, variable: true };
        // Two slides; a flash of 0.1 s every two seconds; a screen that changes now and then.
        for times_ms in
            [vec![0, 8_000], vec![0, 1_000, 1_100, 3_000, 3_100, 5_000], vec![0, 100, 20_100, 20_400]]
        {
            let times: Vec<i64> = times_ms.iter().map(|ms| ms * 1_000_000).collect();
            assert_eq!(pace(&times, Some(Rational::new(1, 2))), unpaced, "{times_ms:?}");
        }
        let mut often = every(50_000_000, 40);
        often.extend((0..40).map(|i| 2_000_000_000 + i * 33_333_333));
        assert!(pace(&often, None).rate.as_f64() > 20.0, "a mean above that is kept");
    }

    #[test]
    fn one_frame_takes_what_the_file_says() {
        assert_eq!(pace(&[0], Some(Rational::new(24, 1))).rate, Rational::new(24, 1));
        assert_eq!(pace(&[0], None).rate, Rational::new(25, 1));
    }
}
