//! Encodes decoded images as JPEG and PNG. No metadata of the source is in them.

use std::io::Cursor;

use base64::Engine;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage};

use crate::error::{Error, Result};

/// Most bytes of a poster: half a second of the weakest line.
pub const MAX_POSTER_BYTES: usize = 12_000;

/// Encodes a JPEG of the given quality (1 to 100).
pub fn jpeg(image: &RgbImage, quality: u8) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .encode_image(image)
        .map_err(|e| Error::internal("an image could not be encoded").with_source(e))?;
    Ok(bytes)
}

/// Encodes a JPEG of at most `max_bytes`, and returns it with its width and height. Lowers the
/// quality first, then the size.
pub fn fitted_jpeg(image: &RgbImage, max_bytes: usize) -> Result<(Vec<u8>, u32, u32)> {
    let mut image = std::borrow::Cow::Borrowed(image);
    loop {
        let mut bytes = Vec::new();
        for quality in [82, 72, 62, 52, 42] {
            bytes = jpeg(&image, quality)?;
            if bytes.len() <= max_bytes {
                return Ok((bytes, image.width(), image.height()));
            }
        }
        let (width, height) = image.dimensions();
        if width.min(height) < 64 {
            return Ok((bytes, width, height));
        }
        image = std::borrow::Cow::Owned(scaled(&image, width * 3 / 4, height * 3 / 4)?);
    }
}

/// Returns a scaled copy.
pub fn scaled(image: &RgbImage, width: u32, height: u32) -> Result<RgbImage> {
    let fault = |cause: String| Error::internal("an image could not be scaled").with_source(cause);
    let (width, height) = (width.max(1), height.max(1));
    let from = ImageRef::new(image.width(), image.height(), image.as_raw(), PixelType::U8x3)
        .map_err(|e| fault(e.to_string()))?;
    let mut to = Image::new(width, height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    Resizer::new().resize(&from, &mut to, &options).map_err(|e| fault(e.to_string()))?;
    RgbImage::from_raw(width, height, to.into_vec()).ok_or_else(|| fault("size".to_owned()))
}

/// Returns an image of at most 16 pixels a side, which is displayed enlarged and blurred until the
/// poster has loaded.
pub fn placeholder(image: &RgbImage) -> Result<String> {
    let (width, height) = fit_within(image.width(), image.height(), 16);
    let tiny = image::imageops::blur(&scaled(image, width, height)?, 0.8);
    let mut bytes = Vec::new();
    tiny.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
        .map_err(|e| Error::internal("an image could not be encoded").with_source(e))?;
    Ok(format!("data:image/png;base64,{}", base64::engine::general_purpose::STANDARD.encode(bytes)))
}

/// Returns the largest size of the same shape with no side above `max_side`, and never a larger
/// one.
pub fn fit_within(width: u32, height: u32, max_side: u32) -> (u32, u32) {
    let longer_side = width.max(height).max(1);
    if longer_side <= max_side {
        return (width.max(1), height.max(1));
    }
    let side = |side: u32| {
        ((u64::from(side) * u64::from(max_side) + u64::from(longer_side) / 2) / u64::from(longer_side)).max(1)
            as u32
    };
    (side(width), side(height))
}
