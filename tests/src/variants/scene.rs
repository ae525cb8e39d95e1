//! The scene of the variants: a red quarter, a yellow square, something that moves, flashes
//! and beeps.

use std::fmt::Write;

use crate::ground_truth::GroundTruth;

/// Length of a flash and of a beep, in s.
pub const FLASH_S: f64 = 0.1;

/// Video and audio of which everything is known.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Width and height, in pixels.
    pub size: (usize, usize),
    /// Frames per second, as ffmpeg reads it.
    pub rate: &'static str,
    /// Length, in s.
    pub length_s: f64,
    /// When white flashes begin, in s.
    pub flashes_s: Vec<f64>,
    /// When beeps begin, in s.
    pub beeps_s: Vec<f64>,
}

impl Scene {
    /// Flashes and beeps together, each two seconds from 1 s on, where a frame begins at half the
    /// rate too.
    pub fn new(size: (usize, usize), rate: &'static str, length_s: f64) -> Self {
        let first_s = if rate == "25" { 1.04 } else { 1.0 };
        let times: Vec<f64> =
            (0..).map(|n| first_s + 2.0 * f64::from(n)).take_while(|at| at + 0.5 < length_s).collect();
        Self { size, rate, length_s, flashes_s: times.clone(), beeps_s: times }
    }

    /// ffmpeg's graph of the video.
    pub fn video(&self) -> String {
        let (width, height) = self.size;
        let side = (width.min(height) / 4).div_ceil(2) * 2;
        let (x, y) = ((width * 3 / 4 - side / 2) / 2 * 2, (height / 4 - side / 2) / 2 * 2);
        let (rate, length_s) = (self.rate, self.length_s);
        let (bar_width, bar_height) = (width / 8 / 2 * 2, height / 8 / 2 * 2);
        let (half, third, down) = (width / 2 / 2 * 2, height / 2 / 2 * 2, height * 7 / 10 / 2 * 2);
        // Fine lines below: only a large rendition has them.
        let bottom = height - bar_height;
        format!(
            "color=c=0x1f2d4d:s={width}x{height}:r={rate}:d={length_s},\
             drawbox=x=0:y=0:w={half}:h={third}:c=red:t=fill,\
             drawbox=x={x}:y={y}:w={side}:h={side}:c=yellow:t=fill[back];\
             color=c=gray:s={bar_width}x{bar_height}:r={rate}:d={length_s}[bar];\
             [back][bar]overlay=x='mod(t*W/3,W)':y={down}:eval=frame[moving];\
             color=c=gray:s={width}x{bar_height}:r={rate}:d={length_s},drawgrid=w=3:h=3:t=1:c=black[fine];\
             [moving][fine]overlay=y={bottom},\
             drawbox=c=white:t=fill:enable='{}',format=yuv420p",
            on(&self.flashes_s)
        )
    }

    /// ffmpeg's graph of the audio.
    pub fn audio(&self) -> String {
        format!("aevalsrc=0.5*sin(2*PI*1000*t)*({}):s=48000:d={}", on(&self.beeps_s), self.length_s)
            .replace(',', "\\,")
    }

    /// Both as inputs of ffmpeg.
    pub fn inputs(&self) -> String {
        format!("-f lavfi -i {} -f lavfi -i {}", self.video(), self.audio())
    }

    /// The right result for a stream of it.
    pub fn truth(&self) -> GroundTruth {
        let quiet = |at: &f64| self.flashes_s.iter().all(|flash| (flash - at).abs() > 0.3);
        // Where nothing flashes.
        let looks: Vec<f64> =
            [0.25, 0.5, 0.75].iter().map(|share| share * self.length_s).filter(quiet).collect();
        let looks = if looks.is_empty() { vec![self.length_s * 0.6] } else { looks };
        GroundTruth {
            length_s: Some(self.length_s),
            flashes_s: self.flashes_s.clone(),
            beeps_s: self.beeps_s.clone(),
            squares_s: looks.clone(),
            upright_s: looks,
            ..GroundTruth::default()
        }
    }
}

/// An expression that is not 0 for the length of a flash from each of these times on. A frame at
/// exactly that time counts.
fn on(times_s: &[f64]) -> String {
    let mut text = "0".to_owned();
    for at_s in times_s {
        let _ = write!(text, "+between(t,{:.4},{:.4})", at_s - 0.001, at_s + FLASH_S - 0.002);
    }
    text
}
