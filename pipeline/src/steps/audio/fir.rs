//! Windowed-sinc filters: for peaks between samples, and for the conversion from 48 to 16 kHz.

use std::f64::consts::PI;

/// Returns the taps of a low-pass at `cutoff` (1.0 is half the sample rate), centred `delay` taps
/// after the first. Their sum is 1.
///
/// `beta` shapes the Kaiser window: 8 keeps aliases below -80 dB, 3 bends a short filter's response
/// less.
pub fn low_pass(taps: usize, cutoff: f64, delay: f64, beta: f64) -> Vec<f32> {
    let half = taps as f64 / 2.0;
    let raw: Vec<f64> = (0..taps)
        .map(|i| {
            let x = i as f64 - delay;
            let sinc = if x.abs() < 1e-9 { cutoff } else { (PI * x * cutoff).sin() / (PI * x) };
            let r = (x / half).clamp(-1.0, 1.0);
            sinc * bessel_i0(beta * (1.0 - r * r).sqrt()) / bessel_i0(beta)
        })
        .collect();
    let sum: f64 = raw.iter().sum();
    raw.iter().map(|tap| (tap / sum) as f32).collect()
}

/// Modified Bessel function of the first kind, order 0.
fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..40 {
        term *= quarter / f64::from(k * k);
        sum += term;
    }
    sum
}

/// Converts 48 kHz to 16 kHz: output `k` is the low-passed input at `3k`, without delay.
pub struct Decimator {
    taps: Vec<f32>,
    /// Input from half a filter before the next output.
    buffered: Vec<f32>,
}

impl Decimator {
    const TAPS: usize = 241;
    const HALF: usize = Self::TAPS / 2;

    /// Creates a decimator at the start of a signal.
    pub fn new() -> Self {
        // Flat to 7.1 kHz, 80 dB down from 8.1 kHz.
        let taps = low_pass(Self::TAPS, 7600.0 / 24_000.0, Self::HALF as f64, 8.0);
        Self { taps, buffered: vec![0.0; Self::HALF] }
    }

    /// Adds input, and appends the output that it completes.
    pub fn push(&mut self, input: &[f32], out: &mut Vec<f32>) {
        self.buffered.extend_from_slice(input);
        let mut start = 0;
        while start + Self::TAPS <= self.buffered.len() {
            out.push(dot(&self.taps, &self.buffered[start..start + Self::TAPS]));
            start += 3;
        }
        self.buffered.drain(..start);
    }

    /// Appends the outputs that depend on audio after the end.
    pub fn finish(&mut self, out: &mut Vec<f32>) {
        self.push(&[0.0; Self::HALF], out);
    }
}

/// Returns the sum of products; computed in lanes, so that the compiler can use vector
/// instructions.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a8.remainder().iter().zip(b8.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a8.zip(b8) {
        for lane in 0..8 {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    lanes.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f64, frames: usize) -> Vec<f32> {
        (0..frames).map(|i| (2.0 * PI * hz * i as f64 / 48_000.0).sin() as f32).collect()
    }

    fn decimated(input: &[f32], chunk: usize) -> Vec<f32> {
        let (mut decimator, mut out) = (Decimator::new(), Vec::new());
        input.chunks(chunk).for_each(|c| decimator.push(c, &mut out));
        decimator.finish(&mut out);
        out
    }

    #[test]
    fn length_and_position_are_kept() {
        for frames in [1, 2, 3, 100, 48_000, 48_001, 48_002] {
            assert_eq!(decimated(&vec![0.1; frames], 977).len(), frames.div_ceil(3));
        }
        let mut click = vec![0.0; 48_000];
        click[30_000] = 1.0;
        let out = decimated(&click, 4096);
        let peak = (0..out.len()).max_by(|a, b| out[*a].abs().total_cmp(&out[*b].abs()));
        assert_eq!(peak, Some(10_000));
    }

    #[test]
    fn speech_passes_and_aliases_do_not() {
        for (hz, low, high) in
            [(300.0, 0.99, 1.01), (6800.0, 0.98, 1.01), (8300.0, 0.0, 2e-4), (15_500.0, 0.0, 2e-4)]
        {
            let out = decimated(&tone(hz, 48_000), 1000);
            let peak = out[200..out.len() - 200].iter().fold(0.0f32, |m, v| m.max(v.abs()));
            assert!((low..=high).contains(&peak), "{hz} Hz: {peak}");
        }
    }
}
