//! The voice encoder: a recurrent network of three layers that turns 1.6 s of speech into 256
//! numbers. They are close for one voice and apart for two.
//!
//! It was trained by the generalised end-to-end loss (Wan et al., 2018). The file holds its weights
//! alone, as 32-bit floats in the order in which they are read here.

use std::path::Path;

use super::encoder::VoiceEncoder;
use super::matrix::multiply_transposed;
use super::mel::BANDS;
use crate::error::{Error, Result};

/// Size of a layer's state, and of the result.
pub const SIZE: usize = 256;
/// Rows of a layer's weights: the input gate, the forget gate, the cell and the output gate.
const GATES: usize = 4 * SIZE;
/// Inputs of the layers.
const INPUTS: [usize; 3] = [BANDS, SIZE, SIZE];
/// Number of windows computed at once. More would not be faster, and take more memory.
const BATCH: usize = 32;

/// The network, ready for use.
pub struct Network {
    layers: Vec<Layer>,
    projection: Vec<f32>,
    projection_bias: Vec<f32>,
}

#[derive(Default)]
struct Layer {
    input: Vec<f32>,
    recurrent: Vec<f32>,
    bias: Vec<f32>,
}

impl Network {
    /// Loads the weights.
    ///
    /// # Errors
    /// `internal` if the file is not the voice encoder.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path)?;
        let mut numbers = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let mut take = |count: usize| numbers.by_ref().take(count).collect::<Vec<f32>>();
        let mut layers: Vec<Layer> = INPUTS
            .iter()
            .map(|inputs| Layer {
                input: take(GATES * inputs),
                recurrent: take(GATES * SIZE),
                bias: Vec::new(),
            })
            .collect();
        for layer in &mut layers {
            // Both biases are only ever added.
            let (input, recurrent) = (take(GATES), take(GATES));
            layer.bias = input.iter().zip(&recurrent).map(|(a, b)| a + b).collect();
        }
        let (projection, projection_bias) = (take(SIZE * SIZE), take(SIZE));
        if projection_bias.len() != SIZE || numbers.next().is_some() {
            return Err(Error::internal("the voice encoder's file does not have its size"));
        }
        Ok(Self { layers, projection, projection_bias })
    }

    /// Embeds up to [`BATCH`] windows of equal length.
    fn embed_batch(&self, windows: &[&[f32]]) -> Vec<Vec<f32>> {
        let (batch, frames) = (windows.len(), windows[0].len() / BANDS);
        // Frame by frame, and in it window by window.
        let mut values: Vec<f32> = Vec::with_capacity(frames * batch * BANDS);
        for frame in 0..frames {
            for window in windows {
                values.extend_from_slice(&window[frame * BANDS..][..BANDS]);
            }
        }
        for (layer, inputs) in self.layers.iter().zip(INPUTS) {
            values = layer.run(&values, inputs, batch, frames);
        }
        let last = &values[(frames - 1) * batch * SIZE..];
        let mut out = vec![0.0; batch * SIZE];
        multiply_transposed((batch, SIZE, SIZE), last, &self.projection, 0.0, &mut out);
        out.chunks_exact(SIZE)
            .map(|row| {
                let biased =
                    row.iter().zip(&self.projection_bias).map(|(value, bias)| (value + bias).max(0.0));
                let mut embedding: Vec<f32> = biased.collect();
                let length = embedding.iter().map(|v| v * v).sum::<f32>().sqrt().max(f32::EPSILON);
                embedding.iter_mut().for_each(|value| *value /= length);
                embedding
            })
            .collect()
    }
}

impl VoiceEncoder for Network {
    fn embed(&self, windows: &[&[f32]]) -> Vec<Vec<f32>> {
        // Only windows of equal length can be computed together.
        let mut order: Vec<usize> = (0..windows.len()).collect();
        order.sort_by_key(|index| windows[*index].len());
        let sorted: Vec<&[f32]> = order.iter().map(|index| windows[*index]).collect();
        let embedded = sorted
            .chunk_by(|a, b| a.len() == b.len())
            .flat_map(|equal| equal.chunks(BATCH))
            .flat_map(|batch| self.embed_batch(batch));
        let mut out = vec![Vec::new(); windows.len()];
        order.into_iter().zip(embedded).for_each(|(index, embedding)| out[index] = embedding);
        out
    }
}

impl Layer {
    /// Returns the layer's state after every frame.
    fn run(&self, values: &[f32], inputs: usize, batch: usize, frames: usize) -> Vec<f32> {
        let mut gates = vec![0.0; frames * batch * GATES];
        multiply_transposed((frames * batch, inputs, GATES), values, &self.input, 0.0, &mut gates);
        let mut states = vec![0.0; (frames + 1) * batch * SIZE];
        let mut cells = vec![0.0; batch * SIZE];
        for (frame, gates) in gates.chunks_exact_mut(batch * GATES).enumerate() {
            let (before, now) = states[frame * batch * SIZE..].split_at_mut(batch * SIZE);
            multiply_transposed((batch, SIZE, GATES), before, &self.recurrent, 1.0, gates);
            let rows = gates.chunks_exact(GATES).zip(cells.chunks_exact_mut(SIZE));
            for ((gates, cells), state) in rows.zip(now.chunks_exact_mut(SIZE)) {
                self.update(gates, cells, state);
            }
        }
        states.split_off(batch * SIZE)
    }

    /// Computes one window's next cells and state.
    fn update(&self, gates: &[f32], cells: &mut [f32], state: &mut [f32]) {
        let gate = |part: usize| gates[part * SIZE..][..SIZE].iter().zip(&self.bias[part * SIZE..][..SIZE]);
        let rows = gate(0).zip(gate(1)).zip(gate(2)).zip(gate(3)).zip(cells).zip(state);
        for (((((input, forget), new), output), cell), state) in rows {
            *cell = sigmoid(forget.0 + forget.1) * *cell + sigmoid(input.0 + input.1) * tanh(new.0 + new.1);
            *state = sigmoid(output.0 + output.1) * tanh(*cell);
        }
    }
}

fn sigmoid(value: f32) -> f32 {
    0.5 + 0.5 * tanh(0.5 * value)
}

/// Approximates the hyperbolic tangent to 0.0001 by a continued fraction. The compiler makes vector
/// instructions of it, which the exact function's calls would prevent.
fn tanh(value: f32) -> f32 {
    let x = value.clamp(-4.97, 4.97);
    let square = x * x;
    let above = x * (135_135.0 + square * (17_325.0 + square * (378.0 + square)));
    let below = 135_135.0 + square * (62_370.0 + square * (3_150.0 + square * 28.0));
    (above / below).clamp(-1.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_approximation_is_close() {
        for step in -2_000..2_000 {
            let value = step as f32 / 200.0;
            assert!((tanh(value) - value.tanh()).abs() < 2e-4, "{value}");
        }
    }
}
