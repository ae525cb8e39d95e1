//! Converts frames to RGB.

use image::RgbImage;

use super::frame::Frame;

/// Fraction bits of the factors below.
const SHIFT: i32 = 14;
const HALF: i32 = 1 << (SHIFT - 1);

/// A factor of BT.709 in limited range: luma has 219 levels, chroma 224.
const fn factor(value: f64, levels: f64) -> i32 {
    (value * 255.0 / levels * (1 << SHIFT) as f64 + 0.5) as i32
}

const LUMA: i32 = factor(1.0, 219.0);
const RED_OF_CR: i32 = factor(1.5748, 224.0);
const GREEN_OF_CB: i32 = factor(0.187_324, 224.0);
const GREEN_OF_CR: i32 = factor(0.468_124, 224.0);
const BLUE_OF_CB: i32 = factor(1.8556, 224.0);

/// Converts a BT.709 frame of limited range to RGB.
pub fn rgb(frame: &Frame) -> RgbImage {
    let (width, height) = frame.size();
    let [luma, u, v] = frame.planes();
    let mut pixels = vec![0; width * height * 3];
    let rows = luma.data.chunks_exact(luma.stride).zip(pixels.chunks_exact_mut(width * 3));
    for (y, (luma, out)) in rows.enumerate() {
        let chroma = y / 2 * u.stride;
        let chroma = u.data[chroma..].iter().zip(&v.data[chroma..]);
        for ((luma, out), (cb, cr)) in luma.chunks_exact(2).zip(out.chunks_exact_mut(6)).zip(chroma) {
            let (cb, cr) = (i32::from(*cb) - 128, i32::from(*cr) - 128);
            let (red, blue) = (RED_OF_CR * cr + HALF, BLUE_OF_CB * cb + HALF);
            let green = HALF - GREEN_OF_CB * cb - GREEN_OF_CR * cr;
            for (luma, out) in luma.iter().zip(out.chunks_exact_mut(3)) {
                let luma = (i32::from(*luma) - 16) * LUMA;
                for (out, part) in out.iter_mut().zip([red, green, blue]) {
                    *out = ((luma + part) >> SHIFT).clamp(0, 255) as u8;
                }
            }
        }
    }
    RgbImage::from_raw(width as u32, height as u32, pixels).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::steps::transcode::frame::FramePool;

    #[test]
    fn colours_are_those_of_bt_709_in_video_range() {
        for (yuv, expected) in [
            ([16, 128, 128], [0, 0, 0]),
            ([235, 128, 128], [255, 255, 255]),
            ([126, 128, 128], [128, 128, 128]),
            ([63, 102, 240], [255, 1, 0]),
            ([173, 42, 26], [0, 255, 1]),
            ([32, 240, 118], [1, 0, 255]),
            ([0, 128, 128], [0, 0, 0]),
        ] {
            let mut frame = Arc::new(FramePool::default()).get(4, 2);
            for ((plane, ..), value) in frame.planes_mut().into_iter().zip(yuv) {
                plane.fill(value);
            }
            for pixel in rgb(&frame).pixels() {
                for (made, expected) in pixel.0.into_iter().zip(expected) {
                    assert!(made.abs_diff(expected) <= 1, "{yuv:?}: {pixel:?}");
                }
            }
        }
    }
}
