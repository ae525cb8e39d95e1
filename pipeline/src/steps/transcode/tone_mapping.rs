//! Maps high dynamic range to BT.709: scales 10-bit HLG and PQ frames by planes, then looks them up
//! in a table.
//!
//! Signals become linear light (ITU-R BT.2100) and get the primaries of BT.709. Light above a knee
//! is compressed, and the result encoded for the display that BT.1886 describes. White is 100
//! cd/m², so that white as phones record it comes out just below. The brightest light is 1000
//! cd/m². It is the computation of ffmpeg's `zscale` and `tonemap=mobius:desat=2:peak=10`, with
//! which the tests compare it.
//!
//! A pixel costs four table reads: luma for each of its 1024 values, chroma on a coarse grid with
//! linear interpolation. The exact computation has eight powers a pixel.

use std::sync::Arc;

use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::U16;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;

use super::frame::{Frame, FramePool};
use crate::error::{Error, Result};
use crate::media::Hdr;

/// Values of a 10-bit sample.
const LEVELS: usize = 1024;
/// Grid lines of a chroma axis.
const NODES: usize = 33;
/// Values from one grid line to the next.
const SPACING: usize = LEVELS / (NODES - 1);
/// Luma of a chroma sample is looked up in steps of four.
const COARSE: usize = LEVELS / 4;

/// White of the output, in cd/m².
const WHITE_NITS: f32 = 100.0;
/// Brightest light that is distinguished from brighter light, in units of white.
const PEAK: f32 = 10.0;
/// Light above which the curve is no longer linear, in units of white.
const KNEE: f32 = 0.3;
/// Light above which colours fade, in units of white.
const FADE_START: f32 = 2.0;

/// Colour properties that a tone mapping depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HdrColour {
    /// Transfer function.
    hdr: Hdr,
    /// Whether samples use all values, not only 64 to 940 (960 for chroma).
    full_range: bool,
    /// Whether the primaries are BT.2020's, not BT.709's.
    wide: bool,
    /// Whether the matrix is BT.2020's, not BT.709's.
    wide_matrix: bool,
}

impl HdrColour {
    /// Reads them from the caps of a decoder.
    fn from_info(info: &gst_video::VideoInfo) -> Self {
        let colorimetry = info.colorimetry();
        let pq = colorimetry.transfer() == gst_video::VideoTransferFunction::Smpte2084;
        Self {
            hdr: if pq { Hdr::Pq } else { Hdr::Hlg },
            full_range: colorimetry.range() == gst_video::VideoColorRange::Range0_255,
            wide: colorimetry.primaries() != gst_video::VideoColorPrimaries::Bt709,
            wide_matrix: !matches!(
                colorimetry.matrix(),
                gst_video::VideoColorMatrix::Bt709 | gst_video::VideoColorMatrix::Bt601
            ),
        }
    }

    /// Computes one 10-bit pixel exactly: luma and chroma of 8 bits, not rounded.
    fn exact(self, luma: f32, chroma: [f32; 2]) -> [f32; 3] {
        let (luma, chroma) = if self.full_range {
            (luma / 1023.0, chroma.map(|c| (c - 512.0) / 1023.0))
        } else {
            ((luma - 64.0) / 876.0, chroma.map(|c| (c - 512.0) / 896.0))
        };
        let (red, blue) = if self.wide_matrix { (0.2627, 0.0593) } else { (0.2126, 0.0722) };
        let r = luma + 2.0 * (1.0 - red) * chroma[1];
        let b = luma + 2.0 * (1.0 - blue) * chroma[0];
        let g = (luma - red * r - blue * b) / (1.0 - red - blue);
        let mut light = [r, g, b].map(|signal| match self.hdr {
            Hdr::Pq => pq_light(signal),
            _ => hlg_light(signal),
        });
        if self.wide {
            // BT.2087: from BT.2020's primaries to BT.709's; colours outside of those are clipped
            // below.
            let [r, g, b] = light;
            light = [
                1.6605 * r - 0.5876 * g - 0.0728 * b,
                -0.1246 * r + 1.1329 * g - 0.0083 * b,
                -0.0182 * r - 0.1006 * g + 1.1187 * b,
            ];
        }
        let [r, g, b] = compressed(light).map(|light| light.clamp(0.0, 1.0).powf(1.0 / 2.4));
        let luma = 0.2126 * r + 0.7152 * g + 0.0722 * b;
        [16.0 + 219.0 * luma, 128.0 + 224.0 * (b - luma) / 1.8556, 128.0 + 224.0 * (r - luma) / 1.5748]
    }
}

/// SMPTE ST 2084: signal to light, in units of white.
fn pq_light(signal: f32) -> f32 {
    let root = signal.clamp(0.0, 1.0).powf(1.0 / 78.843_75);
    let light = ((root - 0.835_937_5).max(0.0) / (18.851_563 - 18.6875 * root)).powf(1.0 / 0.159_301_76);
    light * 10_000.0 / WHITE_NITS
}

/// ARIB STD-B67, with a display gamma of 1.2 on each component and a display of 1000 cd/m²; in
/// units of white.
fn hlg_light(signal: f32) -> f32 {
    let signal = signal.max(0.0);
    let scene = if signal <= 0.5 {
        signal * signal / 3.0
    } else {
        (((signal - 0.559_910_7) / 0.178_832_77).exp() + 0.284_668_92) / 12.0
    };
    scene.powf(1.2) * 1000.0 / WHITE_NITS
}

/// Fades bright light towards grey, then brings it below white: linear up to the knee, and from
/// there a hyperbola that reaches white at the peak (Möbius).
fn compressed(light: [f32; 3]) -> [f32; 3] {
    let luma = 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2];
    let over = (luma - FADE_START).max(1e-6) / luma.max(1e-6);
    let faded = light.map(|part| part + (luma - part) * over.min(1.0));
    let brightest = faded.iter().fold(1e-6_f32, |max, &part| max.max(part));
    let kept = if brightest <= KNEE {
        brightest
    } else {
        let a = -KNEE * KNEE * (PEAK - 1.0) / (KNEE * KNEE - 2.0 * KNEE + PEAK);
        let b = (KNEE * KNEE - 2.0 * KNEE * PEAK + PEAK) / (PEAK - 1.0);
        (b * b + 2.0 * b * KNEE + KNEE * KNEE) / (b - a) * (brightest + a) / (brightest + b)
    };
    faded.map(|part| part * kept / brightest)
}

/// Maps 10-bit frames to 8 bits in BT.709. It makes the tables for the first frame, and again only
/// if a damaged file changes its colours.
#[derive(Default)]
pub struct ToneMapper {
    lut: Option<ToneLut>,
    resizer: Resizer,
    scaled: [Vec<U16>; 3],
    pool: Arc<FramePool>,
}

impl ToneMapper {
    /// Whether frames have high dynamic range: all others have 8 bits by now.
    pub fn is_needed_for(info: &gst_video::VideoInfo) -> bool {
        info.format() == gst_video::VideoFormat::I42010le
    }

    /// Scales a decoded frame to a size, both sides even, and maps it.
    pub fn map(
        &mut self,
        buffer: &gstreamer::BufferRef,
        info: &gst_video::VideoInfo,
        (width, height): (usize, usize),
    ) -> Result<Frame> {
        let unreadable = || Error::internal("a decoded frame could not be read");
        if !Self::is_needed_for(info) {
            return Err(unreadable());
        }
        let frame =
            gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info).map_err(|_| unreadable())?;
        let own = (frame.width() as usize, frame.height() as usize);
        for index in 0..3_usize {
            let half = |length: usize| if index == 0 { length } else { length.div_ceil(2) };
            let stride = usize::try_from(frame.plane_stride()[index]).map_err(|_| unreadable())?;
            let plane = HighBitDepthPlane {
                data: frame.plane_data(index as u32).map_err(|_| unreadable())?,
                stride,
                width: half(own.0),
                height: half(own.1),
            };
            plane.scale(half(width), half(height), &mut self.resizer, &mut self.scaled[index])?;
        }
        let colour = HdrColour::from_info(info);
        let lut = match self.lut.take() {
            Some(lut) if lut.colour == colour => lut,
            _ => ToneLut::new(colour),
        };
        let mut made = self.pool.get(width, height);
        lut.map(&self.scaled, &mut made);
        self.lut = Some(lut);
        Ok(made)
    }
}

/// The lookup table for one set of colour properties.
struct ToneLut {
    colour: HdrColour,
    /// Luma times 256, by the grid lines of both chromas, then by luma.
    luma: Vec<u16>,
    /// Both chromas times 256, by the grid lines of both chromas, then by luma in steps of four.
    chroma: Vec<[u16; 2]>,
}

impl ToneLut {
    fn new(colour: HdrColour) -> Self {
        let (mut luma, mut chroma) =
            (Vec::with_capacity(NODES * NODES * LEVELS), Vec::with_capacity(NODES * NODES * COARSE));
        let fixed = |value: f32| (value.clamp(0.0, 255.0) * 256.0).round() as u16;
        for cb in 0..NODES {
            for cr in 0..NODES {
                let at = [cb, cr].map(|node| (node * SPACING) as f32);
                for level in 0..LEVELS {
                    luma.push(fixed(colour.exact(level as f32, at)[0]));
                }
                for level in 0..COARSE {
                    let [_, u, v] = colour.exact(level as f32 * 4.0 + 1.5, at);
                    chroma.push([fixed(u), fixed(v)]);
                }
            }
        }
        Self { colour, luma, chroma }
    }

    /// Maps planes of the size of `made`.
    fn map(&self, [luma, u, v]: &[Vec<U16>; 3], made: &mut Frame) {
        let [(out, width, _), (out_u, half, _), (out_v, ..)] = made.planes_mut();
        let rows = luma.chunks_exact(width * 2).zip(out.chunks_exact_mut(width * 2));
        let chromas = u.chunks_exact(half).zip(v.chunks_exact(half));
        let out_chromas = out_u.chunks_exact_mut(half).zip(out_v.chunks_exact_mut(half));
        for (((rows, out), (u, v)), (out_u, out_v)) in rows.zip(chromas).zip(out_chromas) {
            let (upper, lower) = rows.split_at(width);
            let (out_upper, out_lower) = out.split_at_mut(width);
            for x in 0..half {
                let cell = GridCell::new(u[x].0, v[x].0);
                let left = x * 2;
                let levels = [upper[left], upper[left + 1], lower[left], lower[left + 1]]
                    .map(|sample| usize::from(sample.0).min(LEVELS - 1));
                let mapped = cell.luma(&self.luma, levels);
                out_upper[left..left + 2].copy_from_slice(&mapped[..2]);
                out_lower[left..left + 2].copy_from_slice(&mapped[2..]);
                let mean = levels.iter().sum::<usize>() / (4 * (LEVELS / COARSE));
                [out_u[x], out_v[x]] = cell.chroma(&self.chroma, mean);
            }
        }
    }
}

/// The cell of the grid that a chroma falls into, and the weight of each of its corners.
struct GridCell {
    corners: [usize; 4],
    weights: [u32; 4],
}

/// Sum of the weights of a cell's corners.
const WEIGHT_SUM: u32 = (SPACING * SPACING) as u32;

impl GridCell {
    fn new(cb: u16, cr: u16) -> Self {
        let (cb, cr) = (usize::from(cb).min(LEVELS - 1), usize::from(cr).min(LEVELS - 1));
        let cell = cb / SPACING * NODES + cr / SPACING;
        let (x, y) = ((cb % SPACING) as u32, (cr % SPACING) as u32);
        let (left, up) = (SPACING as u32 - x, SPACING as u32 - y);
        Self {
            corners: [cell, cell + 1, cell + NODES, cell + NODES + 1],
            weights: [left * up, left * y, x * up, x * y],
        }
    }

    fn luma(&self, table: &[u16], levels: [usize; 4]) -> [u8; 4] {
        let curves = self.corners.map(|cell| &table[cell * LEVELS..][..LEVELS]);
        levels.map(|level| {
            let sum = (0..4).map(|k| self.weights[k] * u32::from(curves[k][level])).sum();
            rounded(sum)
        })
    }

    fn chroma(&self, table: &[[u16; 2]], level: usize) -> [u8; 2] {
        let corners = self.corners.map(|cell| table[cell * COARSE + level]);
        [0, 1].map(|part| rounded((0..4).map(|k| self.weights[k] * u32::from(corners[k][part])).sum()))
    }
}

fn rounded(sum: u32) -> u8 {
    ((sum + WEIGHT_SUM * 128) / (WEIGHT_SUM * 256)).min(255) as u8
}

/// A plane of 16-bit samples in memory.
struct HighBitDepthPlane<'a> {
    data: &'a [u8],
    stride: usize,
    width: usize,
    height: usize,
}

impl HighBitDepthPlane<'_> {
    /// Scales into `out`, with the same kernel as 8-bit frames.
    fn scale(&self, width: usize, height: usize, resizer: &mut Resizer, out: &mut Vec<U16>) -> Result<()> {
        let fault = |e: &dyn std::fmt::Display| {
            Error::internal("a frame could not be scaled").with_source(e.to_string())
        };
        // The last row of a plane may be shorter than its stride.
        let rows = self.height.min((self.data.len() + self.stride - self.width * 2) / self.stride.max(1));
        if rows == 0 || self.stride < self.width * 2 {
            return Err(fault(&"a plane is empty"));
        }
        out.resize(width * height, U16::new(0));
        if (self.width, rows) == (width, height) {
            for (from, to) in self.data.chunks(self.stride).zip(out.chunks_exact_mut(width)) {
                for (sample, to) in from.chunks_exact(2).zip(to) {
                    *to = U16::new(u16::from_le_bytes([sample[0], sample[1]]));
                }
            }
            return Ok(());
        }
        let rows = rows.min(self.data.len() / self.stride);
        let image = TypedImageRef::<U16>::from_buffer(
            (self.stride / 2) as u32,
            rows as u32,
            &self.data[..self.stride * rows],
        )
        .map_err(|e| fault(&e))?;
        let from =
            TypedCroppedImage::new(image, 0, 0, self.width as u32, rows as u32).map_err(|e| fault(&e))?;
        let mut to =
            TypedImage::<U16>::from_pixels_slice(width as u32, height as u32, out).map_err(|e| fault(&e))?;
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
        resizer.resize_typed(&from, &mut to, &options).map_err(|e| fault(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HLG: HdrColour = HdrColour { hdr: Hdr::Hlg, full_range: false, wide: true, wide_matrix: true };
    const PQ: HdrColour = HdrColour { hdr: Hdr::Pq, ..HLG };

    /// Looks up one colour.
    fn mapped(lut: &ToneLut, luma: usize, cb: u16, cr: u16) -> [u8; 3] {
        let cell = GridCell::new(cb, cr);
        let [u, v] = cell.chroma(&lut.chroma, luma / 4);
        [cell.luma(&lut.luma, [luma; 4])[0], u, v]
    }

    #[test]
    fn greys_stay_grey_and_rise_from_black_to_white() {
        for colour in [HLG, PQ] {
            let lut = ToneLut::new(colour);
            assert_eq!(mapped(&lut, 64, 512, 512), [16, 128, 128]);
            let mut before = 0;
            for luma in 64..=940 {
                let [y, u, v] = mapped(&lut, luma, 512, 512);
                assert!(y >= before && u.abs_diff(128) <= 1 && v.abs_diff(128) <= 1, "{luma}: {y} {u} {v}");
                before = y;
            }
            assert_eq!(before, 235);
        }
    }

    #[test]
    fn the_table_stays_near_the_computation_for_what_cameras_record() {
        for colour in [HLG, PQ] {
            let lut = ToneLut::new(colour);
            let (mut sum, mut count) = (0.0_f32, 0.0_f32);
            for luma in (100..800).step_by(7) {
                for cb in (440..584).step_by(5) {
                    for cr in (440..584).step_by(5) {
                        let exact = colour.exact(luma as f32, [cb, cr].map(f32::from));
                        for (made, exact) in mapped(&lut, luma, cb, cr).iter().zip(exact) {
                            sum += (f32::from(*made) - exact).abs();
                            count += 1.0;
                        }
                    }
                }
            }
            // Measured: 0.9 and 1.2, rounding included. Single colours at the edge of BT.709, where
            // light is clipped inside a cell of the grid, are up to 36 off.
            assert!(sum / count < 1.4, "mean {}", sum / count);
        }
    }

    #[test]
    fn white_as_phones_record_it_stays_nearly_white() {
        // BT.2408: 203 cd/m² is at 75% in HLG and 58% in PQ.
        for (colour, signal) in [(HLG, 0.75_f32), (PQ, 0.58)] {
            let [luma, ..] = colour.exact(64.0 + 876.0 * signal, [512.0, 512.0]);
            assert!((200.0..230.0).contains(&luma), "{luma}");
        }
    }
}
