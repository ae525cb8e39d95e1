//! Decoded frames in RGB, and the shapes in them that say how they were fitted.

use std::path::Path;
use std::process::Command;

use crate::process::tool;

/// A frame in RGB.
pub struct RgbFrame {
    /// Its time, in s.
    pub at_s: f64,
    /// Width, in pixels.
    pub width: usize,
    /// Height, in pixels.
    pub height: usize,
    rgb: Vec<u8>,
}

/// A rectangle of pixels.
#[derive(Clone, Copy, Debug)]
struct Area {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

/// Width and height of a file's frames.
pub fn dimensions(file: &Path) -> (usize, usize) {
    let output = Command::new(tool("ffprobe", "ffmpeg"))
        .args(["-v", "error", "-select_streams", "v:0", "-of", "csv=p=0"])
        .args(["-show_entries", "stream=width,height"])
        .arg(file)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut sides = text.trim().split(',').filter_map(|side| side.parse().ok());
    (sides.next().unwrap_or(2), sides.next().unwrap_or(2))
}

/// The frames of a file at this size, on the stream's own clock; all, or the one at a time.
pub fn decode(file: &Path, at_s: Option<f64>, (width, height): (usize, usize)) -> Vec<RgbFrame> {
    let mut command = Command::new(tool("ffmpeg", "ffmpeg"));
    command.args(["-v", "info", "-nostats", "-nostdin", "-copyts"]);
    if let Some(at_s) = at_s {
        command.args(["-ss", &format!("{at_s:.3}")]);
    }
    command.arg("-i").arg(file);
    if at_s.is_some() {
        command.args(["-frames:v", "1"]);
    }
    let chain = format!("scale={width}:{height}:flags=area,format=rgb24,showinfo=checksum=0");
    let output =
        command.args(["-vf", &chain, "-fps_mode", "passthrough", "-f", "rawvideo", "-"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let times = said
        .lines()
        .filter(|line| line.contains("showinfo"))
        .filter_map(|line| line.split("pts_time:").nth(1)?.split_whitespace().next()?.parse::<f64>().ok());
    let frames = output.stdout.chunks_exact(width * height * 3);
    times.zip(frames).map(|(at_s, rgb)| RgbFrame { at_s, width, height, rgb: rgb.to_vec() }).collect()
}

/// The frame on screen at a time.
pub fn still(file: &Path, at_s: f64, size: (usize, usize)) -> Option<RgbFrame> {
    decode(file, Some(at_s), size).pop()
}

impl RgbFrame {
    fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let at = (y * self.width + x) * 3;
        [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]]
    }

    /// Means of red, green and blue over the middle: bars are at the edges.
    pub fn middle(&self) -> [f64; 3] {
        let (mut sums, mut count) = ([0.0; 3], 0.0);
        for y in self.height * 3 / 8..self.height * 5 / 8 {
            for x in self.width * 3 / 8..self.width * 5 / 8 {
                for (sum, value) in sums.iter_mut().zip(self.pixel(x, y)) {
                    *sum += f64::from(value);
                }
                count += 1.0;
            }
        }
        sums.map(|sum| sum / count)
    }

    /// A part of it.
    pub fn part(&self, left: usize, top: usize, width: usize, height: usize) -> Self {
        let rgb = (top..(top + height).min(self.height))
            .flat_map(|y| (left..left + width).flat_map(move |x| self.pixel(x.min(self.width - 1), y)))
            .collect();
        Self { at_s: self.at_s, width, height: height.min(self.height.saturating_sub(top)), rgb }
    }

    /// Whether it is a flash.
    pub fn is_white(&self) -> bool {
        self.middle().iter().all(|&part| part > 200.0)
    }

    /// The smallest area with all pixels of a colour, without what is thinner than two pixels.
    fn area(&self, is: impl Fn([u8; 3]) -> bool) -> Option<Area> {
        let (mut columns, mut rows) = (vec![0_usize; self.width], vec![0_usize; self.height]);
        for (y, row) in rows.iter_mut().enumerate() {
            for (x, column) in columns.iter_mut().enumerate() {
                if is(self.pixel(x, y)) {
                    *column += 1;
                    *row += 1;
                }
            }
        }
        let span = |counts: &[usize]| -> Option<(usize, usize)> {
            // A row belongs to it with at least half as many pixels as the fullest.
            let most = counts.iter().copied().max().filter(|&most| most > 1)?;
            let first = counts.iter().position(|&count| count * 2 >= most)?;
            let last = counts.iter().rposition(|&count| count * 2 >= most)?;
            Some((first, last + 1 - first))
        };
        let ((left, width), (top, height)) = (span(&columns)?, span(&rows)?);
        Some(Area { left, top, width, height })
    }
}

fn is_yellow([red, green, blue]: [u8; 3]) -> bool {
    red > 140 && green > 140 && blue < 110
}

fn is_red([red, green, blue]: [u8; 3]) -> bool {
    red > 150 && green < 90 && blue < 90
}

fn is_lit(pixel: [u8; 3]) -> bool {
    pixel.iter().any(|&part| part > 26)
}

/// Whether the yellow square is as wide as high.
pub fn square(frame: &RgbFrame) -> Option<String> {
    let Some(area) = frame.area(is_yellow) else {
        // In the smallest frames a small square has no colour left.
        return (frame.width >= 320).then(|| format!("no yellow square at {:.2} s", frame.at_s));
    };
    // Chroma is sampled at every second pixel.
    let allowed = 2_usize.max(area.width.max(area.height) / 10);
    (area.width.abs_diff(area.height) > allowed)
        .then(|| format!("the square is {}×{} at {:.2} s", area.width, area.height, frame.at_s))
}

/// Whether the top left quarter of what is not bars is red, and nothing else.
pub fn upright(frame: &RgbFrame) -> Option<String> {
    let (Some(red), Some(content)) = (frame.area(is_red), frame.area(is_lit)) else {
        return Some(format!("no red at {:.2} s", frame.at_s));
    };
    let near = |a: usize, b: usize, side: usize| a.abs_diff(b) <= 3.max(side / 12);
    let right = near(red.left, content.left, content.width)
        && near(red.top, content.top, content.height)
        && near(red.width, content.width / 2, content.width)
        && near(red.height, content.height / 2, content.height);
    (!right).then(|| format!("the red quarter is {red:?} of {content:?} at {:.2} s: not upright", frame.at_s))
}
