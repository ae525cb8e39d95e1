//! Transposes planes, in blocks of sixteen by sixteen samples.

use std::array;

use wide::u8x16;

/// Side of a block, in samples: the length of a vector.
const BLOCK: usize = 16;
/// Rows read together, so that writes fill complete cache lines.
const BAND: usize = 64;

/// Writes the columns of `from`, whose rows have `width` samples, as rows of `to`.
pub fn transpose(from: &[u8], width: usize, to: &mut [u8]) {
    let height = from.len().checked_div(width).unwrap_or(0);
    let (block_width, block_height) = (width - width % BLOCK, height - height % BLOCK);
    for band in (0..block_height).step_by(BAND) {
        for left in (0..block_width).step_by(BLOCK) {
            for top in (band..block_height.min(band + BAND)).step_by(BLOCK) {
                let rows = &from[top * width + left..];
                let columns = &mut to[left * height + top..];
                let block = array::from_fn(|row| vector(&rows[row * width..]));
                let turned = interleave(interleave(interleave(interleave(block))));
                for (column, vector) in turned.iter().enumerate() {
                    columns[column * height..][..BLOCK].copy_from_slice(vector.as_array());
                }
            }
        }
    }
    // The rest at the right and at the bottom.
    for y in 0..height {
        let done = if y < block_height { block_width } else { 0 };
        for x in done..width {
            to[x * height + y] = from[y * width + x];
        }
    }
}

fn vector(samples: &[u8]) -> u8x16 {
    samples.first_chunk().map_or(u8x16::ZERO, |samples| u8x16::new(*samples))
}

/// Interleaves the block's halves sample by sample. That moves each bit of a sample's index up by
/// one, and the highest to the bottom. After four times row and column are exchanged.
#[inline(always)]
fn interleave(block: [u8x16; BLOCK]) -> [u8x16; BLOCK] {
    let (low, high) = (u8x16::unpack_low, u8x16::unpack_high);
    // Unrolled: in a loop the block would be kept in memory at lower optimisation levels.
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = block;
    [
        low(a, i),
        high(a, i),
        low(b, j),
        high(b, j),
        low(c, k),
        high(c, k),
        low(d, l),
        high(d, l),
        low(e, m),
        high(e, m),
        low(f, n),
        high(f, n),
        low(g, o),
        high(g, o),
        low(h, p),
        high(h, p),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_becomes_a_row_at_every_size() {
        for (width, height) in [(1, 1), (16, 16), (15, 17), (16, 64), (65, 130), (854, 3), (3, 200), (40, 72)]
        {
            let from: Vec<u8> = (0..width * height).map(|i| (i * 31 % 251) as u8).collect();
            let mut to = vec![0; from.len()];
            transpose(&from, width, &mut to);
            for y in 0..height {
                for x in 0..width {
                    assert_eq!(to[x * height + y], from[y * width + x], "{width}×{height} at {x}, {y}");
                }
            }
        }
        transpose(&[], 0, &mut []);
    }
}
