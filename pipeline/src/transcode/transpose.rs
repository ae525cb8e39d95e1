//! Rows made columns: eight by eight samples at a time, in machine words.

use std::array;

/// Samples of a block's side: as many as a word holds.
const BLOCK: usize = 8;
/// Rows read together, so that what is written fills whole cache lines.
const BAND: usize = 64;

/// Writes the columns of `from`, which has rows of `width` samples, as rows of `to`.
pub fn transpose(from: &[u8], width: usize, to: &mut [u8]) {
    let height = from.len().checked_div(width).unwrap_or(0);
    let (whole_width, whole_height) = (width - width % BLOCK, height - height % BLOCK);
    for band in (0..whole_height).step_by(BAND) {
        for left in (0..whole_width).step_by(BLOCK) {
            for top in (band..whole_height.min(band + BAND)).step_by(BLOCK) {
                let rows = &from[top * width + left..];
                let mut block = array::from_fn(|row| word(&rows[row * width..]));
                turn::<4, 0x0000_0000_ffff_ffff>(&mut block);
                turn::<2, 0x0000_ffff_0000_ffff>(&mut block);
                turn::<1, 0x00ff_00ff_00ff_00ff>(&mut block);
                let columns = &mut to[left * height + top..];
                for (column, word) in block.iter().enumerate() {
                    columns[column * height..][..BLOCK].copy_from_slice(&word.to_le_bytes());
                }
            }
        }
    }
    // What is left at the right, and below.
    for y in 0..height {
        let done = if y < whole_height { whole_width } else { 0 };
        for x in done..width {
            to[x * height + y] = from[y * width + x];
        }
    }
}

fn word(samples: &[u8]) -> u64 {
    samples.first_chunk().map_or(0, |samples| u64::from_le_bytes(*samples))
}

/// A stage of turning a block over: its halves exchange their far corners, then each quarter's, then single samples do.
/// `LOW` are a word's samples whose place has not the bit `APART`.
#[inline(always)]
fn turn<const APART: usize, const LOW: u64>(block: &mut [u64; BLOCK]) {
    for row in 0..BLOCK {
        if row & APART == 0 {
            let (upper, lower) = (block[row], block[row + APART]);
            block[row] = upper & LOW | (lower & LOW) << (8 * APART);
            block[row + APART] = lower & !LOW | (upper & !LOW) >> (8 * APART);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_becomes_a_row_at_every_size() {
        for (width, height) in [(1, 1), (8, 8), (7, 9), (16, 64), (65, 130), (854, 3), (3, 200), (40, 72)] {
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
