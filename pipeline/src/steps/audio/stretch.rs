//! Rendering of decoded audio on the timeline. Audio is copied where it fits, and stretched evenly
//! where the recording's clock drifts. Gaps become silence.

use super::fir::{dot, low_pass};
use super::sample_rate::RATE_HZ;
use super::timeline::PlacedPacket;
use crate::error::Result;

/// Taps of the interpolating filter: flat to 20 kHz, and exact at positions that are frames of the
/// input.
const TAPS: usize = 32;
/// Taps before the position that is interpolated.
const TAPS_BEFORE: usize = TAPS / 2 - 1;
/// Fractions of a frame for which the filter is computed. Between them it is interpolated (error
/// below -95 dB).
const PHASES: usize = 256;
/// Frames passed on at a time.
const CHUNK_FRAMES: usize = 4800;

/// A block of silence.
static SILENCE: [[f32; 2]; CHUNK_FRAMES] = [[0.0; 2]; CHUNK_FRAMES];

/// Takes decoded frames, and renders those of the timeline in order.
#[derive(Default)]
pub struct TimeStretcher {
    /// Decoded frames from `input_start` on, per channel.
    input: [Vec<f32>; 2],
    input_start: u64,
    rendered_frames: u64,
    filters: Vec<[f32; TAPS]>,
    output: Vec<[f32; 2]>,
}

impl TimeStretcher {
    /// Adds the next decoded frames.
    pub fn push(&mut self, frames: impl Iterator<Item = [f32; 2]>) {
        for [left, right] in frames {
            self.input[0].push(left);
            self.input[1].push(right);
        }
    }

    /// Returns the number of frames rendered so far.
    pub fn rendered_frames(&self) -> u64 {
        self.rendered_frames
    }

    /// Renders the frames up to the end of a packet.
    pub fn render(
        &mut self,
        placed: &PlacedPacket,
        write_frames: &mut impl FnMut(&[[f32; 2]]) -> Result<()>,
    ) -> Result<()> {
        let (first, end) = (placed.start.ceil().max(0.0) as u64, placed.end.ceil().max(0.0) as u64);
        self.render_silence(first.saturating_sub(self.rendered_frames), write_frames)?;
        let step = placed.frames as f64 / (placed.end - placed.start);
        // Frames before 0, and those that earlier packets cover, are left out.
        while self.rendered_frames < end {
            let until = end.min(self.rendered_frames + CHUNK_FRAMES as u64);
            self.output.clear();
            for position in self.rendered_frames..until {
                let within = (position as f64 - placed.start) * step;
                let frame = self.interpolate((placed.position - self.input_start) as f64 + within);
                self.output.push(frame);
            }
            write_frames(&self.output)?;
            self.rendered_frames = until;
        }
        self.discard_input_before(placed.position + placed.frames);
        Ok(())
    }

    /// Renders silence.
    pub fn render_silence(
        &mut self,
        mut frames: u64,
        write_frames: &mut impl FnMut(&[[f32; 2]]) -> Result<()>,
    ) -> Result<()> {
        while frames > 0 {
            let now = frames.min(CHUNK_FRAMES as u64);
            write_frames(&SILENCE[..now as usize])?;
            self.rendered_frames += now;
            frames -= now;
        }
        Ok(())
    }

    /// Returns the input at a position, which may lie between its frames.
    fn interpolate(&mut self, position: f64) -> [f32; 2] {
        let (index, fraction) = (position.floor(), position - position.floor());
        let index = index as usize;
        if fraction == 0.0 {
            return [0, 1].map(|channel| self.input[channel].get(index).copied().unwrap_or(0.0));
        }
        if self.filters.is_empty() {
            let delays = (0..=PHASES).map(|phase| TAPS_BEFORE as f64 + phase as f64 / PHASES as f64);
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
            match (
                index.checked_sub(TAPS_BEFORE),
                input.get(index.saturating_sub(TAPS_BEFORE)..=index + TAPS / 2),
            ) {
                (Some(_), Some(frames)) => dot(&filter, frames),
                // The recording is surrounded by silence.
                _ => (0..TAPS)
                    .filter_map(|i| Some(filter[i] * input.get((index + i).checked_sub(TAPS_BEFORE)?)?))
                    .sum(),
            }
        })
    }

    /// Discards input before a position, except what the filter still needs.
    fn discard_input_before(&mut self, position: u64) {
        let unused = position.saturating_sub(self.input_start + TAPS as u64) as usize;
        // Rarely, because the remaining input is moved.
        if unused >= RATE_HZ as usize {
            self.input.iter_mut().for_each(|channel| drop(channel.drain(..unused)));
            self.input_start += unused as u64;
        }
    }
}
