//! Picks the frame that represents the recording: a sharp and well-lit one.

use image::RgbImage;
use image::imageops::grayscale;

/// The best of the frames considered so far.
#[derive(Default)]
pub struct PosterPicker {
    frame: Option<(f64, RgbImage)>,
}

impl PosterPicker {
    /// Considers one more frame. Of equal ones the earlier wins.
    pub fn consider(&mut self, frame: RgbImage) {
        let score = score(&frame);
        if self.frame.as_ref().is_none_or(|(best, _)| score > *best) {
            self.frame = Some((score, frame));
        }
    }

    /// Returns the best frame; `None` if there was none.
    pub fn into_best(self) -> Option<RgbImage> {
        self.frame.map(|(_, frame)| frame)
    }
}

/// Scores a frame by its detail, weighted by its lighting. Always above 0, so that some frame wins.
fn score(frame: &RgbImage) -> f64 {
    let (width, height) = super::encode::fit_within(frame.width(), frame.height(), 320);
    let small = super::encode::scaled(frame, width, height).unwrap_or_else(|_| frame.clone());
    let grey = grayscale(&small);
    let (width, height) = grey.dimensions();
    let mean = grey.pixels().map(|p| f64::from(p.0[0])).sum::<f64>() / f64::from(width * height).max(1.0);
    // Mean magnitude of the Laplacian, capped where more detail is only noise or print.
    let at = |x: u32, y: u32| f64::from(grey.get_pixel(x, y).0[0]);
    let (mut detail, mut count) = (0.0, 1.0);
    for y in 1..height.saturating_sub(1) {
        for x in 1..width.saturating_sub(1) {
            let around = at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1);
            detail += (4.0 * at(x, y) - around).abs();
            count += 1.0;
        }
    }
    let detail = (detail / count).min(25.0) + 0.5;
    // Full weight from a dim room to a bright slide; little for black or overexposed frames.
    let light = if mean < 70.0 { mean / 70.0 } else { ((255.0 - mean) / 45.0).clamp(0.0, 1.0) };
    detail * (light * light + 0.01)
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    fn checks(light: u8, dark: u8, size: u32) -> RgbImage {
        RgbImage::from_fn(320, 180, |x, y| {
            Rgb([if (x / size + y / size).is_multiple_of(2) { light } else { dark }; 3])
        })
    }

    #[test]
    fn a_lit_and_sharp_frame_wins() {
        let black = checks(4, 0, 8);
        let white = checks(255, 254, 8);
        let blurred = image::imageops::blur(&checks(200, 60, 8), 4.0);
        let sharp = checks(200, 60, 8);
        let mut best = PosterPicker::default();
        [black.clone(), blurred, sharp.clone(), white].into_iter().for_each(|f| best.consider(f));
        assert_eq!(best.into_best(), Some(sharp));
        let mut only = PosterPicker::default();
        only.consider(black.clone());
        assert_eq!(only.into_best(), Some(black), "a black recording has a black poster");
    }
}
