//! Frame rates of the renditions.

use crate::media::Rational;

/// Sources below this many frames per second get repeated frames.
const MIN_SOURCE_FPS: f64 = 5.0;
/// Least frames per second that they are raised to. Repeated frames cost next to nothing, and let
/// keyframes and segments start near their times. At one frame per second segments would last 3 s
/// or 4 s.
const MIN_OUTPUT_FPS: u32 = 15;

/// Least frames per second that a faster source is lowered to: cinema's, within 2%.
const MIN_DIVIDED_FPS: f64 = 23.5;

/// Returns the frames per second of the full-rate renditions.
///
/// A faster source's rate is divided by the smallest integer that brings it to `max_fps` or
/// below, within 2%: 60 → 30, 59.94 → 29.97, 50 → 25. If that gave fewer than 24, as with a phone's
/// variable 36, the rate is `max_fps`: frames dropped unevenly are less visible than every second
/// frame missing.
///
/// A slow source's rate is multiplied by the smallest integer that brings it to 15 or more, so
/// that each of its frames keeps its time: 1/4 → 15, 2 → 16.
pub fn output_rate(source: Rational, max_fps: u32) -> Rational {
    let max_fps = max_fps.max(1);
    let allowed = f64::from(max_fps) * 1.02;
    let slowest = Rational::new(MIN_OUTPUT_FPS.min(max_fps), 1);
    if source.num == 0 || source.den == 0 {
        return slowest;
    }
    if source.as_f64() < MIN_SOURCE_FPS.min(slowest.as_f64()) {
        let times = (slowest.as_f64() / source.as_f64()).ceil() as u64;
        let raised = reduced(u64::from(source.num) * times, u64::from(source.den));
        return if raised.as_f64() > allowed { slowest } else { raised };
    }
    let divisor = (source.as_f64() / allowed).ceil().max(1.0) as u32;
    let divided = source.as_f64() / f64::from(divisor);
    if divisor > 1 && divided < MIN_DIVIDED_FPS.min(f64::from(max_fps) * 0.8) {
        return Rational::new(max_fps, 1);
    }
    reduced(source.num.into(), u64::from(source.den) * u64::from(divisor))
}

/// Returns `full`, or half of it if it is above `max_fps`. Never less than half: the frames of the
/// smaller grid are every second one of the larger, so segments can start together.
pub fn halved(full: Rational, max_fps: u32) -> Rational {
    if full.as_f64() > f64::from(max_fps.max(1)) * 1.02 {
        reduced(full.num.into(), u64::from(full.den) * 2)
    } else {
        full
    }
}

/// Reduces a ratio to lowest terms, with a denominator small enough for exact time stamps.
fn reduced(num: u64, den: u64) -> Rational {
    let divisor = greatest_common_divisor(num, den).max(1);
    let (mut num, mut den) = (num / divisor, den / divisor);
    while num > 1_000_000 || den > 1_000_000 {
        num = (num / 2).max(1);
        den = (den / 2).max(1);
    }
    Rational::new(num as u32, den as u32)
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
