//! Decoded audio brought to its place on the timeline: copied where it fits, stretched evenly where the
//! recording's clock drifts, silence where there is none.

use super::fir::{dot, low_pass};
use super::timeline::{Placed, RATE_HZ};
use crate::error::Result;

/// Taps of the interpolating filter: flat to 20 kHz, and exact at places that are frames of the input.
const TAPS: usize = 32;
/// Taps before the place that is interpolated.
const BEFORE: usize = TAPS / 2 - 1;
/// Fractions of a frame the filter is computed for; between them it is interpolated (error below -95 dB).
const PHASES: usize = 256;
/// Frames handed out at a time.
const CHUNK_FRAMES: usize = 4800;

/// Silence to hand out.
static SILENCE: [[f32; 2]; CHUNK_FRAMES] = [[0.0; 2]; CHUNK_FRAMES];

/// Takes decoded frames, and makes those of the timeline in order.
#[derive(Default)]
pub struct Stretcher {
    /// Decoded frames from `begin` on, per channel.
    input: [Vec<f32>; 2],
    begin: u64,
    made: u64,
    filters: Vec<[f32; TAPS]>,
    output: Vec<[f32; 2]>,
}

impl Stretcher {
    /// Takes the next decoded frames.
    pub fn push(&mut self, frames: impl Iterator<Item = [f32; 2]>) {
        for [left, right] in frames {
            self.input[0].push(left);
            self.input[1].push(right);
        }
    }

    /// Frames of the timeline made so far.
    pub fn made(&self) -> u64 {
        self.made
    }

    /// Makes the frames up to the end of a packet.
    pub fn place(&mut self, placed: &Placed, take: &mut impl FnMut(&[[f32; 2]]) -> Result<()>) -> Result<()> {
        let (first, end) = (placed.from.ceil().max(0.0) as u64, placed.until.ceil().max(0.0) as u64);
        self.silence(first.saturating_sub(self.made), take)?;
        let step = placed.frames as f64 / (placed.until - placed.from);
        // What lies before 0, and what others are already in place of, is left out.
        while self.made < end {
            let until = end.min(self.made + CHUNK_FRAMES as u64);
            self.output.clear();
            for place in self.made..until {
                let within = (place as f64 - placed.from) * step;
                let frame = self.at((placed.at - self.begin) as f64 + within);
                self.output.push(frame);
            }
            take(&self.output)?;
            self.made = until;
        }
        self.forget(placed.at + placed.frames);
        Ok(())
    }

    /// Makes frames of silence.
    pub fn silence(
        &mut self,
        mut frames: u64,
        take: &mut impl FnMut(&[[f32; 2]]) -> Result<()>,
    ) -> Result<()> {
        while frames > 0 {
            let now = frames.min(CHUNK_FRAMES as u64);
            take(&SILENCE[..now as usize])?;
            self.made += now;
            frames -= now;
        }
        Ok(())
    }

    /// The input at a place between its frames.
    fn at(&mut self, place: f64) -> [f32; 2] {
        let (whole, fraction) = (place.floor(), place - place.floor());
        let whole = whole as usize;
        if fraction == 0.0 {
            return [0, 1].map(|channel| self.input[channel].get(whole).copied().unwrap_or(0.0));
        }
        if self.filters.is_empty() {
            let delays = (0..=PHASES).map(|phase| BEFORE as f64 + phase as f64 / PHASES as f64);
            self.filters = delays
                .map(|delay| {
                    let taps = low_pass(TAPS, 1.0, delay, 8.0);
                    std::array::from_fn(|i| taps[i])
                })
                .collect();
        }
        let phase = fraction * PHASES as f64;
        let (below, between) = (phase as usize, phase.fract() as f32);
        let (a, b) = (&self.filters[below], &self.filters[below + 1]);
        let mut filter = *a;
        filter.iter_mut().zip(b).for_each(|(tap, next)| *tap += (next - *tap) * between);
        [0, 1].map(|channel| {
            let input = &self.input[channel];
            match (whole.checked_sub(BEFORE), input.get(whole.saturating_sub(BEFORE)..=whole + TAPS / 2)) {
                (Some(_), Some(frames)) => dot(&filter, frames),
                // At both ends of the recording there is silence around.
                _ => (0..TAPS)
                    .filter_map(|i| Some(filter[i] * input.get((whole + i).checked_sub(BEFORE)?)?))
                    .sum(),
            }
        })
    }

    /// Lets go of input before a count of frames, but for what the filter reaches back to.
    fn forget(&mut self, before: u64) {
        let spare = before.saturating_sub(self.begin + TAPS as u64) as usize;
        // Not for every packet: what stays is moved.
        if spare >= RATE_HZ as usize {
            self.input.iter_mut().for_each(|channel| drop(channel.drain(..spare)));
            self.begin += spare as u64;
        }
    }
}
