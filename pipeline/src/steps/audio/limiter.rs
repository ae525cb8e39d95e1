//! A look-ahead limiter that keeps peaks under a ceiling, also those between samples.
//!
//! Each frame gets the gain that its own peak needs. The minimum over the next 5 ms is taken, then
//! averaged over the same time. So the gain falls in time, smoothly, and never exceeds what a frame
//! needs. It stays for 10 ms, and rises again slowly.

use std::collections::VecDeque;

use super::fir::{dot, low_pass};

/// Frames that are looked ahead: 5 ms.
const WINDOW_FRAMES: usize = 240;
/// Taps to interpolate between two samples; half of them lie after.
const TAPS: usize = 12;
/// Frames for which the gain stays down after a peak: 10 ms. The next peak of a 50 Hz wave comes
/// within that time, so the gain does not follow the wave itself.
const HOLD_FRAMES: usize = 480;
/// Share of the way back to full gain, in dB, that one frame makes: 26 dB become 1 dB in 330 ms.
const RELEASE_PER_FRAME: f32 = 1.0 / 4800.0;
/// Gain that counts as full.
const FULL_GAIN: f32 = 0.9999;
/// Maximum ratio of an interpolated value to its largest sample (sum of the taps' magnitudes).
const MAX_OVERSHOOT: f32 = 2.2;

/// The limiter, for two channels.
pub struct Limiter {
    ceiling: f32,
    phases: [Vec<f32>; 3],
    /// The latest input frames, channel by channel, oldest first.
    recent: [[f32; TAPS]; 2],
    /// Peak just before the frame in the middle of `recent`.
    last_peak: f32,
    /// Frames that are not yet in the output.
    delayed: VecDeque<[f32; 2]>,
    /// Candidates for the minimum gain in the window: (frame number, gain), rising.
    minima: VecDeque<(u64, f32)>,
    /// Gains in the averaging window, and their sum.
    window: VecDeque<f32>,
    sum: f64,
    envelope: f32,
    /// Number of frames processed, including those after the end.
    frame_number: u64,
    frames_in: u64,
    frames_out: u64,
}

impl Limiter {
    /// Creates a limiter at the start of a signal; `ceiling` is 1.0 for full scale.
    pub fn new(ceiling: f32) -> Self {
        let middle = (TAPS / 2 - 1) as f64;
        Self {
            ceiling,
            phases: [0.25, 0.5, 0.75].map(|part| low_pass(TAPS, 1.0, middle + part, 3.0)),
            recent: [[0.0; TAPS]; 2],
            last_peak: 0.0,
            delayed: VecDeque::with_capacity(WINDOW_FRAMES + TAPS),
            minima: VecDeque::new(),
            window: VecDeque::from(vec![1.0; WINDOW_FRAMES]),
            sum: WINDOW_FRAMES as f64,
            envelope: 1.0,
            frame_number: 0,
            frames_in: 0,
            frames_out: 0,
        }
    }

    /// Adds frames, and appends those that are complete.
    pub fn push(&mut self, input: &[[f32; 2]], out: &mut Vec<[f32; 2]>) {
        for &frame in input {
            self.delayed.push_back(frame);
            self.process_frame(frame, out);
            self.frames_in += 1;
        }
    }

    /// Appends the remaining frames.
    pub fn finish(&mut self, out: &mut Vec<[f32; 2]>) {
        while self.frames_out < self.frames_in {
            self.process_frame([0.0; 2], out);
        }
    }

    fn process_frame(&mut self, frame: [f32; 2], out: &mut Vec<[f32; 2]>) {
        for (recent, sample) in self.recent.iter_mut().zip(frame) {
            recent.copy_within(1.., 0);
            recent[TAPS - 1] = sample;
        }
        // The peak between the middle frame and the next one belongs to both.
        let peak = self.peak();
        let needed_gain = self.ceiling / self.last_peak.max(peak).max(self.ceiling);
        self.last_peak = peak;

        let frame_number = self.next_frame_number();
        while self.minima.back().is_some_and(|(_, gain)| *gain >= needed_gain) {
            self.minima.pop_back();
        }
        self.minima.push_back((frame_number, needed_gain));
        while self
            .minima
            .front()
            .is_some_and(|(start, _)| start + ((WINDOW_FRAMES + HOLD_FRAMES) as u64) <= frame_number)
        {
            self.minima.pop_front();
        }
        let min_gain = self.minima.front().map_or(1.0, |(_, gain)| *gain);
        if self.envelope < 1.0 {
            let released = self.envelope.powf(1.0 - RELEASE_PER_FRAME);
            self.envelope = if released < FULL_GAIN { released } else { 1.0 };
        }
        self.envelope = self.envelope.min(min_gain);
        self.window.push_back(self.envelope);
        let leaving = self.window.pop_front().unwrap_or(1.0);
        self.sum += f64::from(self.envelope) - f64::from(leaving);

        // Earlier averages belong to frames before the signal.
        if frame_number >= (WINDOW_FRAMES + TAPS / 2 - 1) as u64
            && let Some(delayed) = self.delayed.pop_front()
        {
            let gain = (self.sum / WINDOW_FRAMES as f64) as f32;
            out.push(delayed.map(|sample| sample * gain));
            self.frames_out += 1;
        }
    }

    /// Returns the number of the latest frame, including those after the end.
    fn next_frame_number(&mut self) -> u64 {
        self.frame_number += 1;
        self.frame_number - 1
    }

    /// Returns the largest magnitude from the middle frame up to the next.
    fn peak(&self) -> f32 {
        let mut peak = 0.0f32;
        for recent in &self.recent {
            peak = peak.max(recent[TAPS / 2 - 1].abs());
            let largest = recent.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            if largest * MAX_OVERSHOOT > self.ceiling {
                for phase in &self.phases {
                    peak = peak.max(dot(phase, recent).abs());
                }
            }
        }
        peak
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(input: &[[f32; 2]], ceiling: f32) -> Vec<[f32; 2]> {
        let (mut limiter, mut out) = (Limiter::new(ceiling), Vec::new());
        input.chunks(777).for_each(|chunk| limiter.push(chunk, &mut out));
        limiter.finish(&mut out);
        out
    }

    fn true_peak(frames: &[[f32; 2]]) -> f64 {
        let mut meter = ebur128::EbuR128::new(2, 48_000, ebur128::Mode::TRUE_PEAK).expect("a meter");
        meter.add_frames_f32(frames.as_flattened()).expect("frames");
        meter.true_peak(0).expect("peak").max(meter.true_peak(1).expect("peak"))
    }

    #[test]
    fn what_is_under_the_ceiling_is_not_touched() {
        let quiet: Vec<_> = (0..5000).map(|i| [(i as f32 * 0.1).sin() * 0.3, 0.1]).collect();
        assert_eq!(limited(&quiet, 0.8), quiet);
        for frames in [0, 1, 5, 239, 240, 241] {
            assert_eq!(limited(&vec![[0.5; 2]; frames], 0.8).len(), frames);
        }
    }

    #[test]
    fn bursts_clicks_and_peaks_between_samples_are_held() {
        // A quarter of the sample rate, at 45 degrees: samples at 0.71 of the real peak.
        let between = |i: usize| (std::f32::consts::FRAC_PI_2 * i as f32 + 0.785).sin() * 1.4;
        let mut seed = 1u32;
        let mut noise = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / 8_388_608.0 - 1.0
        };
        let mut signal: Vec<[f32; 2]> = (0..48_000)
            .map(|i| match i / 6000 {
                1 => [between(i), 0.1],
                3 => [noise() * 3.0, noise() * 3.0],
                6 => [(i as f32 * 0.01).sin() * 5.0, (i as f32 * 0.02).sin()],
                _ => [noise() * 0.1, noise() * 0.1],
            })
            .collect();
        signal[2000] = [4.0, -4.0];
        signal[47_999] = [2.0, 2.0];
        let out = limited(&signal, 0.8);
        assert_eq!(out.len(), signal.len());
        let peak = true_peak(&out);
        assert!(peak <= 0.8 * 1.01, "{peak}");
        assert!(peak > 0.7, "not squashed: {peak}");
        // Both channels go down together, and recover within a second.
        assert!(out[2000][0] > 0.7 && out[46_900][0].abs() < 0.11);
    }

    #[test]
    fn a_voice_is_back_soon_after_a_bang_and_a_low_tone_keeps_its_shape() {
        // 30 dB of gain on a voice at -48 dBFS, and on half a second of full scale before it.
        let tone = |i: usize, hz: f32| (i as f32 * std::f32::consts::TAU * hz / 48_000.0).sin();
        let bang = 12_000..36_000;
        let level = |i: usize| if bang.contains(&i) { 31.0 } else { 0.125 };
        let signal: Vec<_> = (0..72_000).map(|i| [tone(i, 100.0) * level(i); 2]).collect();
        let out = limited(&signal, 0.8);
        let gain = |from: usize, frames: usize| {
            let energy =
                |signal: &[[f32; 2]]| signal[from..from + frames].iter().map(|f| f[0] * f[0]).sum::<f32>();
            10.0 * (energy(&out) / energy(&signal)).log10()
        };
        assert!(gain(36_000 + 4800, 4800) > -20.0, "{}", gain(36_000 + 4800, 4800));
        assert!(gain(36_000 + 19_200, 4800) > -1.0, "{}", gain(36_000 + 19_200, 4800));
        assert!(gain(6000, 4800) > -0.01, "what comes before it is not touched");
        // The gain is even over the bang: the ratio of output to input hardly moves.
        let ratios = (20_000..30_000).filter(|&i| signal[i][0].abs() > 3.0).map(|i| out[i][0] / signal[i][0]);
        let (least, most) = ratios.fold((f32::MAX, 0.0_f32), |(least, most), r| (least.min(r), most.max(r)));
        assert!(most / least < 1.05, "{least} to {most}");
    }
}
