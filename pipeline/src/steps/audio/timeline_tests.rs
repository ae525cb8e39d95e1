//! Timestamps of many kinds on a steady tone, rendered, and the tone measured.

use super::*;
use crate::steps::audio::stretch::TimeStretcher;

const MS: i64 = 1_000_000;
const TONE_HZ: f64 = 440.0;

/// Renders a tone, decoded in packets with the given timestamps, on the timeline.
fn rendered(packets: &[(i64, u64)]) -> Vec<[f32; 2]> {
    let (mut aligner, mut stretcher, mut out) =
        (TimelineAligner::default(), TimeStretcher::default(), Vec::new());
    let mut take = |frames: &[[f32; 2]]| {
        out.extend_from_slice(frames);
        Ok(())
    };
    let mut at = 0;
    for (time_ns, frames) in packets {
        aligner.push(*time_ns, *frames);
        stretcher.push((at..at + frames).map(tone));
        at += frames;
        while let Some(placed) = aligner.next(false) {
            stretcher.render(&placed, &mut take).expect("taken");
        }
        let oldest = aligner.judged.front().map_or(0, |judged| judged.packet.position);
        assert!(aligner.decoded - oldest < 12 * RATE_HZ, "{} held", aligner.decoded - oldest);
    }
    while let Some(placed) = aligner.next(true) {
        stretcher.render(&placed, &mut take).expect("taken");
    }
    stretcher.render_silence(aligner.missing_at_end(stretcher.rendered_frames()), &mut take).expect("taken");
    out
}

fn tone(at: u64) -> [f32; 2] {
    [(at as f64 / RATE_HZ as f64 * TONE_HZ * std::f64::consts::TAU + 0.3).sin() as f32 * 0.5; 2]
}

/// Counts the periods that differ from the median by more than 2%, and the runs of silence of 2 ms
/// or more.
pub(crate) fn flaws(frames: &[[f32; 2]]) -> (usize, usize) {
    let mut crossings = Vec::new();
    let (mut silent, mut holes) = (0, 0);
    for (i, pair) in frames.windows(2).enumerate() {
        let (a, b) = (f64::from(pair[0][0]), f64::from(pair[1][0]));
        if a < 0.0 && b >= 0.0 {
            crossings.push(i as f64 + a / (a - b));
        }
        silent = if a.abs() < 1e-3 { silent + 1 } else { 0 };
        holes += usize::from(silent == 96);
    }
    let mut periods: Vec<f64> = crossings.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let typical = crate::steps::audio::jumps::median(&mut periods.clone()).unwrap_or(0.0);
    periods.retain(|period| (period / typical - 1.0).abs() > 0.02);
    (periods.len(), holes)
}

/// Makes packets of `frames` for `seconds`; `stamp_ms` gives the timestamp of each from its exact
/// time in ms.
fn packets(seconds: u64, frames: u64, mut stamp_ms: impl FnMut(f64) -> f64) -> Vec<(i64, u64)> {
    (0..seconds * RATE_HZ / frames)
        .map(|i| {
            let exact = (i * frames) as f64 * 1000.0 / RATE_HZ as f64;
            ((stamp_ms(exact) * MS as f64) as i64, frames)
        })
        .collect()
}

/// Random numbers from -1 to 1.
fn noise(mut seed: u32) -> impl FnMut() -> f64 {
    move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(seed >> 8) / f64::from(1 << 23) - 1.0
    }
}

/// Asserts that the samples are those decoded, with nothing before, between or after them.
fn assert_unchanged(out: &[[f32; 2]], frames: u64) {
    assert_eq!(out.len() as u64, frames);
    assert!(out.iter().zip(0..).all(|(frame, at)| *frame == tone(at)));
}

#[test]
fn exact_and_rounded_time_stamps_change_no_sample() {
    let units_ms = [0.001, 1.0, 1000.0 / 90_000.0, 10.0, 15.6];
    for frames in [128, 480, 960, 1024, 1152, 4096] {
        for unit in units_ms {
            let packets = packets(14, frames, |exact| (exact / unit).floor() * unit);
            assert_unchanged(&rendered(&packets), packets.len() as u64 * frames);
        }
    }
    let packets = packets(14, 48_000, |exact| exact);
    assert_unchanged(&rendered(&packets), 14 * 48_000);
}

#[test]
fn a_late_start_is_silence_and_an_early_one_left_out() {
    let late = rendered(&packets(3, 480, |exact| exact + 1500.0));
    assert!(late[..72_000].iter().all(|frame| *frame == [0.0; 2]));
    assert!(late[72_000..].iter().zip(0..).all(|(frame, at)| *frame == tone(at)));
    let early = rendered(&packets(3, 480, |exact| exact - 25.0));
    assert_eq!(early.len(), 3 * 48_000 - 1200);
    assert!(early.iter().zip(1200..).all(|(frame, at)| *frame == tone(at)));
}

#[test]
fn a_gap_is_silence_where_it_is_and_an_overlap_left_out() {
    for gap_ms in [21.4, 100.0, 5000.0] {
        let out = rendered(&packets(10, 1024, |exact| if exact > 4000.0 { exact + gap_ms } else { exact }));
        let (at, gap) = (188 * 1024, (gap_ms * 48.0) as usize);
        let silent = out.iter().filter(|frame| **frame == [0.0; 2]).count();
        assert!(silent.abs_diff(gap) <= 1, "{gap_ms} ms: {silent}");
        assert_eq!(out[at + gap + 2], tone(at as u64 + 2 + (gap - silent) as u64));
    }
    let out = rendered(&packets(10, 960, |exact| if exact >= 4000.0 { exact - 300.0 } else { exact }));
    assert_eq!(out.len(), 480_000 - 14_400);
    assert_eq!((out[191_999], out[192_000]), (tone(191_999), tone(192_000 + 14_400)));
}

#[test]
fn jitter_leaves_a_tone_steady() {
    for (seed, most_ms) in [(1, 5.0), (2, 15.0), (3, 40.0), (4, 40.0), (5, 60.0)] {
        for frames in [480, 1024, 2880] {
            let mut random = noise(seed);
            let packets = packets(20, frames, |exact| exact + 200.0 + random() * most_ms);
            let out = rendered(&packets);
            let begin = out.iter().position(|frame| *frame != [0.0; 2]).expect("a tone");
            let case = format!("{most_ms} ms, {frames}");
            assert_eq!(flaws(&out[begin..out.len() - 4800]), (0, 0), "{case}");
            assert!(begin.abs_diff(9600) < 1500, "{case}: begins at {begin}");
            if most_ms <= 15.0 {
                let mut unchanged = out[begin..].iter().zip(0..).take(19 * 48_000);
                assert!(unchanged.all(|(frame, at)| *frame == tone(at)), "{case}");
            }
            let lost_ms = (out.len() as f64 - (packets.len() as u64 * frames) as f64) / 48.0 - 200.0;
            assert!(lost_ms.abs() < most_ms + 25.0, "{most_ms} ms, {frames}: {lost_ms}");
        }
    }
}

#[test]
fn every_drift_is_followed_evenly() {
    for (percent, jitter_ms, frames) in [
        (0.01, 0.0, 960),
        (-0.1, 0.5, 1024),
        (0.3, 15.0, 960),
        (1.0, 40.0, 960),
        (-1.0, 10.0, 2880),
        (2.0, 0.0, 960),
        (-2.0, 0.5, 1024),
        (2.0, 40.0, 960),
        (-2.0, 40.0, 1152),
        (2.0, 0.0, 48_000),
        (-2.0, 0.0, 48_000),
        (8.8, 0.5, 960),
    ] {
        let mut random = noise(7);
        let factor = 1.0 + percent / 100.0;
        let out = rendered(&packets(20, frames, |exact| exact * factor + random() * jitter_ms));
        let case = format!("{percent}% with {jitter_ms} ms, {frames} frames");
        let (broken, holes) = flaws(&out[..out.len() - 4800]);
        assert_eq!((broken, holes), (0, 0), "{case}");
        let off_ms = (out.len() as f64 / 48.0 - 20_000.0 * factor).abs();
        assert!(off_ms < 30.0 + jitter_ms, "{case}: {off_ms} ms at the end");
    }
}

#[test]
fn a_drift_that_sets_in_later_is_followed_within_forty_milliseconds() {
    let kink = |exact: f64| exact + (exact - 20_000.0).max(0.0) * 0.01 - (exact - 40_000.0).max(0.0) * 0.02;
    let (mut aligner, mut worst) = (TimelineAligner::default(), 0.0_f64);
    for (time_ns, frames) in packets(60, 960, kink) {
        aligner.push(time_ns, frames);
    }
    while let Some(placed) = aligner.next(true) {
        let right = kink(placed.position as f64 / 48.0);
        worst = worst.max((placed.start / 48.0 - right).abs());
    }
    assert!(worst < 40.0, "{worst} ms");
}

#[test]
fn gaps_in_jitter_and_drift_are_kept() {
    for (jitter_ms, percent, gap_ms) in
        [(15.0, 0.0, 500.0), (40.0, 0.0, 300.0), (0.0, 1.0, 100.0), (10.0, -2.0, 900.0)]
    {
        let mut random = noise(3);
        let stamp =
            |exact: f64| exact * (1.0 + percent / 100.0) + if exact >= 10_000.0 { gap_ms } else { 0.0 };
        let out = rendered(&packets(20, 960, |exact| stamp(exact) + random() * jitter_ms));
        let from = (stamp(9999.9) * 48.0) as usize;
        let silent = out[from - 9600..from + 48 * gap_ms as usize + 9600]
            .iter()
            .filter(|frame| frame[0].abs() < 1e-6)
            .count() as f64
            / 48.0;
        assert!((silent - gap_ms).abs() < jitter_ms + 25.0, "{jitter_ms} ms, {percent}%: {silent} ms silent");
        assert_eq!(flaws(&out[..from - 9600]).0, 0);
        assert_eq!(flaws(&out[from + 48 * gap_ms as usize + 9600..out.len() - 4800]).0, 0);
    }
}

#[test]
fn stamps_of_bursts_and_glitches_change_no_sample() {
    let stamp = |exact: f64| match exact as u64 {
        // Two packets are held until a third arrives; then a stall of 600 ms, and two wrong
        // timestamps.
        5000..8000 => (exact / 60.0).ceil() * 60.0,
        12_000..12_600 => 12_600.0,
        20_000 => 3_600_000.0,
        25_000 => 3.0,
        _ => exact,
    };
    let packets = packets(30, 960, stamp);
    assert_unchanged(&rendered(&packets), 30 * 48_000);
}

#[test]
fn stamps_that_stand_still_or_run_backwards_end() {
    let still = rendered(&packets(20, 960, |_| 0.0));
    assert!(still.len() < 48_000 * 21);
    let back = rendered(&packets(20, 960, |exact| 20_000.0 - exact));
    assert!(back.len() < 48_000 * 41);
    let again = rendered(&packets(20, 960, |exact| exact % 10_000.0));
    assert!((480_000..490_000).contains(&again.len()), "{}", again.len());
}

#[test]
fn the_end_is_where_the_time_stamps_say() {
    let mut aligner = TimelineAligner::default();
    aligner.push(0, 480);
    aligner.push(25 * MS, 480);
    let last = std::iter::from_fn(|| aligner.next(true)).last().expect("placed");
    assert_eq!((last.end, aligner.missing_at_end(960)), (960.0, 720));
}
