//! The storyboard: tiles on sheets, and the WebVTT file that maps times to them.

use std::fmt::Write;

use image::RgbImage;
use serde::{Deserialize, Serialize};

use super::encode::{jpeg, scaled};
use crate::context::StepContext;
use crate::error::Result;
use crate::media::VideoTrack;

/// A storyboard: sheets of small images for the seek bar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Storyboard {
    /// Path of the WebVTT file that maps times to tiles.
    pub vtt: String,
    /// Paths of the sheets.
    pub sheets: Vec<String>,
    /// Width of one tile, in pixels.
    pub tile_width: u32,
    /// Height of one tile, in pixels.
    pub tile_height: u32,
    /// Time between tiles, in ms.
    pub interval_ms: u64,
}

/// Longest side of a tile, in pixels.
const TILE_SIDE_PIXELS: u32 = 160;
/// Tiles in a row, and rows of a sheet.
const TILES_PER_ROW: u32 = 5;
/// JPEG quality of a sheet.
const QUALITY: u8 = 68;

/// Returns the time between tiles, in ms: ten seconds, or less if that gave only a few tiles.
pub fn interval_ms(duration_ms: u64) -> u64 {
    (duration_ms.div_ceil(10_000) * 1000).clamp(1000, 10_000)
}

/// Fills and writes the sheets.
pub struct StoryboardWriter {
    interval_ms: u64,
    duration_ms: u64,
    tile: (u32, u32),
    /// Tiles of the current sheet.
    tiles: Vec<RgbImage>,
    /// Paths of the sheets written.
    sheets: Vec<String>,
    last: Option<RgbImage>,
}

impl StoryboardWriter {
    /// A storyboard of a video.
    pub fn new(video: &VideoTrack, interval_ms: u64, duration_ms: u64) -> Self {
        let tile = tile_size(video.width, video.height);
        Self { interval_ms, duration_ms, tile, tiles: Vec::new(), sheets: Vec::new(), last: None }
    }

    /// Number of tiles of the complete recording.
    fn tile_count(&self) -> u64 {
        self.duration_ms.div_ceil(self.interval_ms).max(1)
    }

    fn tiles_done(&self) -> u64 {
        self.sheets.len() as u64 * u64::from(TILES_PER_ROW * TILES_PER_ROW) + self.tiles.len() as u64
    }

    /// Adds a frame at `time_ms`. An interval without a frame displays the one before.
    pub fn add_frame(&mut self, time_ms: u64, frame: &RgbImage, ctx: &StepContext) -> Result<()> {
        let index = (time_ms / self.interval_ms).min(self.tile_count() - 1);
        let small = scaled(frame, self.tile.0, self.tile.1)?;
        let before = self.last.replace(small.clone());
        while self.tiles_done() < index {
            self.push(before.as_ref().unwrap_or(&small).clone(), ctx)?;
        }
        if self.tiles_done() == index { self.push(small, ctx) } else { Ok(()) }
    }

    fn push(&mut self, tile: RgbImage, ctx: &StepContext) -> Result<()> {
        self.tiles.push(tile);
        if self.tiles.len() as u32 == TILES_PER_ROW * TILES_PER_ROW { self.write_sheet(ctx) } else { Ok(()) }
    }

    fn write_sheet(&mut self, ctx: &StepContext) -> Result<()> {
        let (width, height) = self.tile;
        let count = self.tiles.len() as u32;
        let mut sheet =
            RgbImage::new(width * count.min(TILES_PER_ROW), height * count.div_ceil(TILES_PER_ROW));
        for (i, tile) in (0..).zip(&self.tiles) {
            let (x, y) = tile_position(i, self.tile);
            image::imageops::replace(&mut sheet, tile, x.into(), y.into());
        }
        let path = format!("stills/{}", sheet_name(self.sheets.len() as u32));
        ctx.write_output(&path, &jpeg(&sheet, QUALITY)?)?;
        self.sheets.push(path);
        self.tiles.clear();
        Ok(())
    }

    /// Writes the last sheet and the WebVTT file.
    pub fn finish(mut self, ctx: &StepContext) -> Result<Storyboard> {
        while let Some(tile) = self.last.clone().filter(|_| self.tiles_done() < self.tile_count()) {
            self.push(tile, ctx)?;
        }
        if !self.tiles.is_empty() {
            self.write_sheet(ctx)?;
        }
        let vtt = "stills/storyboard.vtt";
        ctx.write_output(vtt, self.webvtt().as_bytes())?;
        Ok(Storyboard {
            vtt: vtt.to_owned(),
            sheets: self.sheets,
            tile_width: self.tile.0,
            tile_height: self.tile.1,
            interval_ms: self.interval_ms,
        })
    }

    fn webvtt(&self) -> String {
        let mut text = String::from("WEBVTT\n");
        let end = self.duration_ms.max(1);
        for i in 0..self.tile_count() {
            let (from, to) = (i * self.interval_ms, ((i + 1) * self.interval_ms).min(end));
            let per_sheet = u64::from(TILES_PER_ROW * TILES_PER_ROW);
            let (x, y) = tile_position((i % per_sheet) as u32, self.tile);
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "\n{} --> {}\n{}#xywh={x},{y},{},{}\n",
                timestamp(from),
                timestamp(to),
                sheet_name((i / per_sheet) as u32),
                self.tile.0,
                self.tile.1
            );
        }
        text
    }
}

fn sheet_name(number: u32) -> String {
    format!("storyboard-{number:03}.jpg")
}

/// Position of tile `i` on its sheet, in pixels.
fn tile_position(i: u32, tile: (u32, u32)) -> (u32, u32) {
    (i % TILES_PER_ROW * tile.0, i / TILES_PER_ROW * tile.1)
}

/// Size of a tile: the video's shape, with a fixed longest side.
fn tile_size(width: u32, height: u32) -> (u32, u32) {
    let (width, height) = (width.max(1), height.max(1));
    if width >= height {
        (TILE_SIDE_PIXELS, (TILE_SIDE_PIXELS * height / width).max(1))
    } else {
        ((TILE_SIDE_PIXELS * width / height).max(1), TILE_SIDE_PIXELS)
    }
}

fn timestamp(ms: u64) -> String {
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}
