//! I420 frames: scaled by planes, rotated upright, in memory that is used again.

use std::sync::{Arc, Mutex, PoisonError};

use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use super::transpose::transpose;
use crate::error::{Error, Result};
use crate::media::Orientation;

/// One plane of a frame in memory.
#[derive(Clone, Copy)]
pub struct Plane<'a> {
    /// Bytes, row by row.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Width, in samples.
    pub width: usize,
    /// Height, in samples.
    pub height: usize,
}

/// Memory for frames, returned when the last user is done.
#[derive(Default)]
pub struct FramePool {
    free: Mutex<Vec<Vec<u8>>>,
}

/// Most frames whose memory is kept for later.
const MAX_POOLED_FRAMES: usize = 12;

impl FramePool {
    /// Returns a frame to fill, of even size.
    pub fn get(self: &Arc<Self>, width: usize, height: usize) -> Frame {
        let size = width * height + 2 * (width / 2) * (height / 2);
        let mut data = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        data.resize(size, 0);
        Frame { data, width, height, pool: self.clone() }
    }
}

/// An I420 frame of even size, with tight planes that follow one another.
pub struct Frame {
    data: Vec<u8>,
    width: usize,
    height: usize,
    pool: Arc<FramePool>,
}

impl Drop for Frame {
    fn drop(&mut self) {
        let mut free = self.pool.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < MAX_POOLED_FRAMES {
            free.push(std::mem::take(&mut self.data));
        }
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Frame {
    /// Returns width and height, in pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Returns the planes.
    pub fn planes(&self) -> [Plane<'_>; 3] {
        let luma = self.width * self.height;
        let (width, height) = (self.width / 2, self.height / 2);
        let chroma = width * height;
        let plane = |from: usize, width, height| Plane {
            data: &self.data[from..from + width * height],
            stride: width,
            width,
            height,
        };
        [plane(0, self.width, self.height), plane(luma, width, height), plane(luma + chroma, width, height)]
    }

    /// Returns the planes with their widths and heights, for writing.
    pub fn planes_mut(&mut self) -> [(&mut [u8], usize, usize); 3] {
        let (width, height) = (self.width, self.height);
        let (luma, chroma) = self.data.split_at_mut(width * height);
        let (u, v) = chroma.split_at_mut((width / 2) * (height / 2));
        [(luma, width, height), (u, width / 2, height / 2), (v, width / 2, height / 2)]
    }
}

/// Scales frames to one size.
pub struct Scaler {
    width: usize,
    height: usize,
    resizer: Resizer,
    /// Intermediate results of one plane.
    buffers: ScalingBuffers,
    pool: Arc<FramePool>,
}

/// A plane at its new height and old width, then transposed, then at its new width.
#[derive(Default)]
struct ScalingBuffers {
    lowered: Vec<u8>,
    transposed: Vec<u8>,
    narrowed: Vec<u8>,
}

impl Scaler {
    /// Scales to `width` × `height`, both even.
    pub fn new(width: u32, height: u32) -> Self {
        let (width, height) = (width as usize, height as usize);
        Self {
            width,
            height,
            resizer: Resizer::new(),
            buffers: ScalingBuffers::default(),
            pool: Arc::default(),
        }
    }

    /// Returns the width and height that it scales to.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Returns a scaled copy. Catmull-Rom over the full footprint: sharp, and without aliasing when
    /// shrinking.
    pub fn scale(&mut self, planes: &[Plane<'_>; 3]) -> Result<Frame> {
        let mut made = self.pool.get(self.width, self.height);
        for (plane, (out, width, height)) in planes.iter().zip(made.planes_mut()) {
            // The last row of a plane may be shorter than its stride.
            let rows = plane.height.min(plane.data.len() / plane.stride.max(1));
            if rows == 0 {
                return Err(Error::internal("a frame could not be scaled").with_source("a plane is empty"));
            }
            if (plane.width, rows) == (width, height) {
                for (from, to) in plane.data.chunks(plane.stride).zip(out.chunks_exact_mut(width)) {
                    to.copy_from_slice(&from[..width]);
                }
                continue;
            }
            let ScalingBuffers { lowered, transposed, narrowed } = &mut self.buffers;
            // Summing samples of a column is vectorised, summing those of a row is not. So both
            // passes go down columns, with the plane transposed between them.
            if plane.width == width {
                scale_columns(&mut self.resizer, *plane, rows, out, height)?;
                continue;
            }
            lowered.resize(plane.width * height, 0);
            transposed.resize(plane.width * height, 0);
            narrowed.resize(width * height, 0);
            scale_columns(&mut self.resizer, *plane, rows, lowered, height)?;
            transpose(lowered, plane.width, transposed);
            let across = Plane { data: transposed, stride: height, width: height, height: plane.width };
            scale_columns(&mut self.resizer, across, plane.width, narrowed, width)?;
            transpose(narrowed, height, out);
        }
        Ok(made)
    }
}

/// Scales the columns of a plane's first `rows` rows to `height` samples.
fn scale_columns(
    resizer: &mut Resizer,
    plane: Plane<'_>,
    rows: usize,
    out: &mut [u8],
    height: usize,
) -> Result<()> {
    let fault =
        |e: &dyn std::fmt::Display| Error::internal("a frame could not be scaled").with_source(e.to_string());
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    let (stride, width) = (plane.stride as u32, plane.width as u32);
    let image = TypedImageRef::<U8>::from_buffer(stride, rows as u32, &plane.data[..plane.stride * rows])
        .map_err(|e| fault(&e))?;
    let from = TypedCroppedImage::new(image, 0, 0, width, rows as u32).map_err(|e| fault(&e))?;
    let mut to = TypedImage::<U8>::from_buffer(width, height as u32, out).map_err(|e| fault(&e))?;
    resizer.resize_typed(&from, &mut to, &options).map_err(|e| fault(&e))
}

/// Rotates and mirrors frames.
#[derive(Default)]
pub struct Rotator {
    pool: Arc<FramePool>,
}

impl Rotator {
    /// Returns a rotated copy.
    pub fn rotate(&self, frame: &Frame, orientation: Orientation) -> Frame {
        let (width, height) = frame.size();
        let (to_width, to_height) = if orientation.is_sideways() { (height, width) } else { (width, height) };
        let mut made = self.pool.get(to_width, to_height);
        for (plane, (out, ..)) in frame.planes().iter().zip(made.planes_mut()) {
            rotate_plane(plane, out, orientation);
        }
        made
    }
}

/// Rotates a tight plane. A quarter turn transposes it first; then rows are reversed, or their
/// order is.
fn rotate_plane(plane: &Plane<'_>, out: &mut [u8], orientation: Orientation) {
    let (across, down, row) = if orientation.is_sideways() {
        transpose(plane.data, plane.width, out);
        (orientation.degrees == 90, (orientation.degrees == 270) != orientation.mirrored, plane.height)
    } else {
        out.copy_from_slice(plane.data);
        ((orientation.degrees == 180) != orientation.mirrored, orientation.degrees == 180, plane.width)
    };
    match (across, down) {
        (true, true) => out.reverse(),
        (true, false) => out.chunks_exact_mut(row).for_each(<[u8]>::reverse),
        (false, true) => {
            let (mut above, mut below) = (0, out.len());
            while above + row < below {
                below -= row;
                let (upper, lowered) = out.split_at_mut(below);
                upper[above..above + row].swap_with_slice(&mut lowered[..row]);
                above += row;
            }
        }
        (false, false) => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn transposed(orientation: Orientation) -> Vec<u8> {
        // 1 2 3
        // 4 5 6
        let plane = Plane { data: &[1, 2, 3, 4, 5, 6], stride: 3, width: 3, height: 2 };
        let mut out = vec![0; 6];
        rotate_plane(&plane, &mut out, orientation);
        out
    }

    #[test]
    fn turns_are_clockwise_and_after_the_mirror() {
        let turn = |degrees, mirrored| transposed(Orientation { degrees, mirrored });
        assert_eq!(turn(0, false), [1, 2, 3, 4, 5, 6]);
        assert_eq!(turn(90, false), [4, 1, 5, 2, 6, 3]);
        assert_eq!(turn(180, false), [6, 5, 4, 3, 2, 1]);
        assert_eq!(turn(270, false), [3, 6, 2, 5, 1, 4]);
        assert_eq!(turn(0, true), [3, 2, 1, 6, 5, 4]);
        assert_eq!(turn(90, true), [6, 3, 5, 2, 4, 1]);
    }

    #[test]
    fn a_flat_frame_stays_flat_and_memory_is_used_again() {
        let data = vec![77; 101 * 64];
        let chroma = vec![130; 51 * 32];
        let planes = [
            Plane { data: &data, stride: 101, width: 100, height: 64 },
            Plane { data: &chroma, stride: 51, width: 50, height: 32 },
            Plane { data: &chroma, stride: 51, width: 50, height: 32 },
        ];
        let mut scaler = Scaler::new(30, 20);
        let made = scaler.scale(&planes).unwrap();
        assert!(made.planes()[0].data.iter().all(|&s| s == 77));
        assert!(made.planes()[2].data.iter().all(|&s| s == 130));
        let at = made.as_ref().as_ptr();
        drop(made);
        assert_eq!(scaler.scale(&planes).unwrap().as_ref().as_ptr(), at);
    }
}
