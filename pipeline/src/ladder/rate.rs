//! Frame rates of the output.

use crate::media::Rational;

/// Slowest output: segments start only at frames, and must stay near their length.
const SLOWEST: Rational = Rational::new(1, 1);

/// The source's rate divided by the smallest whole number that brings it to `most` frames per second or fewer, give
/// or take 2%: 60 → 30, 59.94 → 29.97, 50 → 25, 120 → 30.
pub fn output_rate(source: Rational, most: u32) -> Rational {
    if source.num == 0 || source.den == 0 || source.as_f64() < SLOWEST.as_f64() {
        return SLOWEST;
    }
    let allowed = f64::from(most.max(1)) * 1.02;
    let divisor = (source.as_f64() / allowed).ceil().max(1.0) as u32;
    reduced(source.num, u64::from(source.den) * u64::from(divisor))
}

/// `full`, or half of it where it is above `most`. Only ever one half: the smaller grid's frames are every second
/// one of the larger's, so segments can start together.
pub fn halved(full: Rational, most: u32) -> Rational {
    if full.as_f64() > f64::from(most.max(1)) * 1.02 {
        reduced(full.num, u64::from(full.den) * 2)
    } else {
        full
    }
}

/// A ratio in its lowest terms, its denominator small enough for exact time stamps.
fn reduced(num: u32, den: u64) -> Rational {
    let divisor = greatest_common_divisor(u64::from(num), den).max(1);
    let (mut num, mut den) = (u64::from(num) / divisor, den / divisor);
    while num > 1_000_000 || den > 1_000_000 {
        num = (num / 2).max(1);
        den = (den / 2).max(1);
    }
    Rational::new(num as u32, den as u32)
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
