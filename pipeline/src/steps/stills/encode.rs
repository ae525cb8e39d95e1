//! Pictures of our own making to JPEG and PNG: no metadata of the source can come along.

use std::io::Cursor;

use base64::Engine;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage};

use crate::error::{Error, Result};

/// What a poster may weigh, in bytes: half a second of the weakest line.
pub const MAX_POSTER_BYTES: usize = 12_000;

/// A JPEG of the given quality (1 to 100).
pub fn jpeg(frame: &RgbImage, quality: u8) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .encode_image(frame)
        .map_err(|e| Error::internal("a picture could not be encoded").with_source(e))?;
    Ok(bytes)
}

/// A JPEG of at most `most_bytes`, with its width and height: quality goes down first, then size.
pub fn fitted_jpeg(frame: &RgbImage, max_bytes: usize) -> Result<(Vec<u8>, u32, u32)> {
    let mut frame = std::borrow::Cow::Borrowed(frame);
    loop {
        let mut bytes = Vec::new();
        for quality in [82, 72, 62, 52, 42] {
            bytes = jpeg(&frame, quality)?;
            if bytes.len() <= max_bytes {
                return Ok((bytes, frame.width(), frame.height()));
            }
        }
        let (width, height) = frame.dimensions();
        if width.min(height) < 64 {
            return Ok((bytes, width, height));
        }
        frame = std::borrow::Cow::Owned(scaled(&frame, width * 3 / 4, height * 3 / 4)?);
    }
}

/// A scaled copy.
pub fn scaled(frame: &RgbImage, width: u32, height: u32) -> Result<RgbImage> {
    let fault = |cause: String| Error::internal("a picture could not be scaled").with_source(cause);
    let (width, height) = (width.max(1), height.max(1));
    let from = ImageRef::new(frame.width(), frame.height(), frame.as_raw(), PixelType::U8x3)
        .map_err(|e| fault(e.to_string()))?;
    let mut to = Image::new(width, height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    Resizer::new().resize(&from, &mut to, &options).map_err(|e| fault(e.to_string()))?;
    RgbImage::from_raw(width, height, to.into_vec()).ok_or_else(|| fault("size".to_owned()))
}

/// A picture of at most 16 pixels a side, to be shown blown up and blurred while the poster loads.
pub fn placeholder(frame: &RgbImage) -> Result<String> {
    let (width, height) = fit_within(frame.width(), frame.height(), 16);
    let tiny = image::imageops::blur(&scaled(frame, width, height)?, 0.8);
    let mut bytes = Vec::new();
    tiny.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
        .map_err(|e| Error::internal("a picture could not be encoded").with_source(e))?;
    Ok(format!("data:image/png;base64,{}", base64::engine::general_purpose::STANDARD.encode(bytes)))
}

/// The largest size of the same shape with no side above `most`; never larger than it was.
pub fn fit_within(width: u32, height: u32, max_side: u32) -> (u32, u32) {
    let longest = width.max(height).max(1);
    if longest <= max_side {
        return (width.max(1), height.max(1));
    }
    let side = |side: u32| {
        ((u64::from(side) * u64::from(max_side) + u64::from(longest) / 2) / u64::from(longest)).max(1) as u32
    };
    (side(width), side(height))
}
