//! Converts the voice encoder from the package's format to its weights alone.
//!
//! The package holds a checkpoint of the training program, whose tensors lie one after another. As
//! its sum is pinned, so are their positions.

use std::io::Write;

use crate::error::{Error, Result};

/// Position and size of what is kept, in bytes: the three recurrent layers (all weights, then all
/// biases), the projection's weights, its bias.
const PARTS: [(usize, usize); 3] = [(269_883, 4 * 1_357_824), (7_731, 4 * 65_536), (6_699, 4 * 256)];

/// Size of the weights in bytes.
pub const SIZE_BYTES: u64 = (PARTS[0].1 + PARTS[1].1 + PARTS[2].1) as u64;

/// Writes the weights of the checkpoint.
pub fn write_weights(checkpoint: &[u8], out: &mut impl Write) -> Result<()> {
    for (from, size) in PARTS {
        let part = checkpoint.get(from..from + size);
        out.write_all(part.ok_or_else(|| Error::internal("the voice encoder is too short"))?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_parts_are_written_in_order() {
        let mut checkpoint = vec![0; 269_883 + 4 * 1_357_824];
        (checkpoint[269_883], checkpoint[7_731], checkpoint[6_699]) = (1, 2, 3);
        let mut out = Vec::new();
        write_weights(&checkpoint, &mut out).unwrap();
        assert_eq!((out[0], out[4 * 1_357_824], out[4 * (1_357_824 + 65_536)]), (1, 2, 3));
        assert_eq!(out.len() as u64, SIZE_BYTES);
        assert!(write_weights(&checkpoint[1..], &mut Vec::new()).is_err());
    }
}
