//! Quantisation to 8-bit blocks (ggml's q8_0): 32 numbers share one 16-bit scale, so a block has 34
//! bytes.
//!
//! It halves the memory of 16-bit weights without a change of the transcript (figures in
//! docs/design/speech.md).

use super::half_float::{f16_to_f32, f32_to_f16};

/// Numbers in a block.
pub const BLOCK_NUMBERS: usize = 32;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 2 + BLOCK_NUMBERS;

/// Quantises little-endian 16-bit floats, whose count must be a multiple of [`BLOCK_NUMBERS`].
pub fn q8_0(halves: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(halves.len() / 2 / BLOCK_NUMBERS * BLOCK_BYTES);
    for block in halves.chunks_exact(BLOCK_NUMBERS * 2) {
        let mut values = [0f32; BLOCK_NUMBERS];
        for (value, half) in values.iter_mut().zip(block.chunks_exact(2)) {
            *value = f16_to_f32(u16::from_le_bytes([half[0], half[1]]));
        }
        let largest = values.iter().fold(0f32, |m, v| m.max(v.abs()));
        let scale = largest / 127.0;
        let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        out.extend_from_slice(&f32_to_f16(scale).to_le_bytes());
        out.extend(values.iter().map(|v| (v * inverse).round() as i8 as u8));
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_block_is_a_scale_and_32_steps() {
        let values: Vec<f32> = (0..BLOCK_NUMBERS).map(|i| i as f32 - 4.0).collect();
        let halves: Vec<u8> = values.iter().flat_map(|v| f32_to_f16(*v).to_le_bytes()).collect();
        let block = q8_0(&halves);
        assert_eq!(block.len(), BLOCK_BYTES);
        let scale = f16_to_f32(u16::from_le_bytes([block[0], block[1]]));
        assert!((scale - 27.0 / 127.0).abs() < 1e-4);
        for (value, step) in values.iter().zip(&block[2..]) {
            assert!((f32::from(*step as i8) * scale - value).abs() < scale * 0.6);
        }
        assert_eq!(block[2 + 31] as i8, 127);
    }

    #[test]
    fn zeros_stay_zero() {
        assert_eq!(q8_0(&[0; BLOCK_NUMBERS * 2]), vec![0; BLOCK_BYTES]);
    }
}
