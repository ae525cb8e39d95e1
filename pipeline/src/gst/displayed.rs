//! The size at which a frame is displayed: upright, and with square pixels.

use gstreamer_video as gst_video;

use crate::media::Orientation;

/// Width and height of a frame after its turn, with square pixels, not rounded. `par` is the pixel
/// aspect ratio.
pub fn displayed_size((width, height): (u32, u32), par: (i32, i32), turn: Orientation) -> (f64, f64) {
    let (width, height) = squared(width, height, par.0, par.1);
    if turn.is_sideways() { (height, width) } else { (width, height) }
}

/// Like [`displayed_size`], of a decoded frame.
pub fn displayed_frame(info: &gst_video::VideoInfo, turn: Orientation) -> (f64, f64) {
    displayed_size((info.width(), info.height()), (info.par().numer(), info.par().denom()), turn)
}

/// Rounds a size to even lengths, as H.264 needs them.
pub fn even_size((width, height): (f64, f64)) -> (u32, u32) {
    let even = |length: f64| (length.round() as u32 & !1).max(2);
    (even(width), even(height))
}

/// Size with square pixels. The longer side shrinks, so that nothing is enlarged. Pixels of an
/// implausible ratio count as square.
fn squared(width: u32, height: u32, par_num: i32, par_den: i32) -> (f64, f64) {
    let (width, height) = (f64::from(width), f64::from(height));
    let par = f64::from(par_num) / f64::from(par_den);
    if par_num <= 0 || par_den <= 0 || !(0.1..=10.0).contains(&par) {
        return (width, height);
    }
    if par < 1.0 { (width * par, height) } else { (width, height / par) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_become_square_without_growing() {
        assert_eq!(squared(720, 576, 16, 15), (720.0, 540.0));
        assert_eq!(even_size(squared(640, 360, 2, 3)), (426, 360));
        assert_eq!(squared(640, 360, 0, 1), (640.0, 360.0));
        assert_eq!(squared(640, 360, 1, 100), (640.0, 360.0));
        assert_eq!(even_size((0.4, 1081.0)), (2, 1080));
    }
}
