//! Brings decoded frames to one size and shape: 8 bits in BT.709, scaled and upright. A frame of
//! another shape than the recording's gets bars.

use std::sync::Arc;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;
use gstreamer_video::VideoFrameExt;

use super::frame::{Frame, FramePool, Plane, Rotator, Scaler};
use super::tone_mapping::ToneMapper;
use crate::error::{Error, Result};
use crate::gst::{DecodedBuffer, capsfilter, displayed_frame, element, element_with, on_caps};
use crate::media::{Orientation, VideoTrack};

/// Greatest ratio, less 1, of two shapes that count as equal: sizes come in macroblocks, and pixel
/// shapes are rounded.
const SAME_SHAPE: f64 = 0.02;

/// Makes the elements between a decoder and [`FrameNormalizer`]: progressive I420 in BT.709. High
/// dynamic range stays in 10 bits.
///
/// The elements follow each change of the decoder's caps. Progressive frames pass the deinterlacer
/// untouched.
pub fn frame_tail() -> Result<Vec<gst::Element>> {
    let mut tail =
        vec![element("videoconvert")?, element_with("deinterlace", &[("mode", "auto"), ("fields", "top")])?];
    tail.extend(convert_tail()?);
    if let Some(pad) = tail[1].static_pad("sink") {
        end_history(&pad);
    }
    Ok(tail)
}

/// As [`frame_tail`], for single frames: interlaced ones keep both fields.
pub fn convert_tail() -> Result<Vec<gst::Element>> {
    let standard =
        gst::Caps::builder("video/x-raw").field("format", "I420").field("colorimetry", "bt709").build();
    let high = gst::Caps::builder("video/x-raw").field("format", "I420_10LE").build();
    let (convert, filter) = (element("videoconvert")?, capsfilter(&standard)?);
    if let Some(pad) = convert.static_pad("sink") {
        let filter = filter.downgrade();
        on_caps(&pad, move |caps| {
            if let Some(filter) = filter.upgrade() {
                filter.set_property("caps", if is_high_range(caps) { &high } else { &standard });
            }
        });
    }
    Ok(vec![convert, filter])
}

fn is_high_range(caps: &gst::CapsRef) -> bool {
    gst_video::VideoInfo::from_caps(caps).is_ok_and(|info| {
        use gst_video::VideoTransferFunction::{AribStdB67, Smpte2084};
        matches!(info.colorimetry().transfer(), AribStdB67 | Smpte2084)
    })
}

/// Makes a deinterlacer output its history before the caps change, because it would read old frames
/// at the new size. A segment event does that.
fn end_history(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |pad, info| {
        if let Some(gst::PadProbeData::Event(event)) = &info.data
            && matches!(event.view(), gst::EventView::Caps(_))
            && pad.current_caps().is_some()
            && let Some(segment) = pad.sticky_event::<gst::event::Segment>(0)
        {
            pad.send_event(segment);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Brings the frames of one recording to one size.
pub struct FrameNormalizer {
    /// The recording's size, upright and with square pixels.
    shape: (u32, u32),
    size: (usize, usize),
    scaler: Scaler,
    tone_mapper: ToneMapper,
    rotator: Rotator,
    bar_pool: Arc<FramePool>,
    current: Option<FrameFormat>,
}

/// The format of frames that are alike.
struct FrameFormat {
    caps: gst::Caps,
    info: gst_video::VideoInfo,
    turn: Orientation,
    /// Upright size without bars.
    filled: (usize, usize),
}

impl FrameNormalizer {
    /// Brings frames to `width` × `height` upright, both even, in the shape of `video`.
    pub fn new(video: &VideoTrack, (width, height): (u32, u32)) -> Self {
        Self {
            shape: (video.width, video.height),
            size: (width as usize, height as usize),
            scaler: Scaler::new(width, height),
            tone_mapper: ToneMapper::default(),
            rotator: Rotator::default(),
            bar_pool: Arc::default(),
            current: None,
        }
    }

    /// Normalizes a frame that came through one of the tails above.
    pub fn frame(&mut self, decoded: &DecodedBuffer) -> Result<Frame> {
        let unreadable = || Error::internal("a decoded frame could not be read");
        let is_current = |format: &FrameFormat| format.turn == decoded.turn && format.caps == decoded.caps;
        if !self.current.as_ref().is_some_and(is_current) {
            self.change_format(decoded)?;
        }
        let current = self.current.as_ref().ok_or_else(unreadable)?;
        let (info, turn, filled) = (&current.info, current.turn, current.filled);
        let scaled = if ToneMapper::is_needed_for(info) {
            self.tone_mapper.map(&decoded.buffer, info, self.scaler.size())?
        } else {
            let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(&decoded.buffer, info)
                .map_err(|_| unreadable())?;
            self.scaler.scale(&planes(&frame).ok_or_else(unreadable)?)?
        };
        let upright = if turn.is_none() { scaled } else { self.rotator.rotate(&scaled, turn) };
        Ok(if filled == self.size { upright } else { self.with_bars(&upright) })
    }

    fn change_format(&mut self, decoded: &DecodedBuffer) -> Result<()> {
        let info = gst_video::VideoInfo::from_caps(&decoded.caps)
            .map_err(|e| Error::internal("the decoder gave something odd").with_source(e))?;
        let filled = fitted(displayed_frame(&info, decoded.turn), self.shape, self.size);
        // Rotation follows scaling, so that it moves as few samples as possible.
        let (width, height) = if decoded.turn.is_sideways() { (filled.1, filled.0) } else { filled };
        if self.scaler.size() != (width, height) {
            self.scaler = Scaler::new(width as u32, height as u32);
        }
        self.current = Some(FrameFormat { caps: decoded.caps.clone(), info, turn: decoded.turn, filled });
        Ok(())
    }

    /// Centres the frame in a black one.
    fn with_bars(&self, frame: &Frame) -> Frame {
        let mut made = self.bar_pool.get(self.size.0, self.size.1);
        for (index, (from, (out, width, height))) in frame.planes().iter().zip(made.planes_mut()).enumerate()
        {
            // Black in limited range.
            out.fill(if index == 0 { 16 } else { 128 });
            let (left, top) = ((width - from.width) / 2, (height - from.height) / 2);
            let rows = out.chunks_exact_mut(width).skip(top);
            for (row, line) in rows.zip(from.data.chunks_exact(from.width)) {
                row[left..left + from.width].copy_from_slice(line);
            }
        }
        made
    }
}

/// Returns the planes of an I420 frame.
fn planes<'a>(frame: &'a gst_video::VideoFrameRef<&gst::BufferRef>) -> Option<[Plane<'a>; 3]> {
    let plane = |index: usize| {
        let half = |length: u32| if index == 0 { length } else { length.div_ceil(2) } as usize;
        let plane = Plane {
            data: frame.plane_data(index as u32).ok()?,
            stride: usize::try_from(*frame.plane_stride().get(index)?).ok()?,
            width: half(frame.width()),
            height: half(frame.height()),
        };
        (plane.stride >= plane.width).then_some(plane)
    };
    Some([plane(0)?, plane(1)?, plane(2)?])
}

/// Returns the part of `size` that a frame displayed at `frame` fills: all of it if the shapes
/// agree. `size` has the shape of `shape`. Bars take a multiple of four, so that both are equally
/// wide and even.
fn fitted(frame: (f64, f64), shape: (u32, u32), size: (usize, usize)) -> (usize, usize) {
    let (wide, high) = (f64::from(shape.0.max(1)), f64::from(shape.1.max(1)));
    let ratio = (frame.0 * high) / (frame.1 * wide);
    // The recording's own size was rounded down to even lengths.
    let slack = SAME_SHAPE + 2.0 / wide.min(high);
    if (1.0 / (1.0 + slack)..=1.0 + slack).contains(&ratio) || !ratio.is_finite() || ratio <= 0.0 {
        return size;
    }
    let part = |all: usize, share: f64| {
        let bars = ((all as f64 * (1.0 - share)) / 4.0).round() as usize * 4;
        all.saturating_sub(bars).max(2)
    };
    if ratio > 1.0 { (size.0, part(size.1, 1.0 / ratio)) } else { (part(size.0, ratio), size.1) }
}

#[cfg(test)]
#[path = "upright_tests.rs"]
mod recordings;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_shape_fills_all_and_another_leaves_bars() {
        let fit = |frame, shape| fitted(frame, shape, (640, 360));
        for (width, height) in [(640.0, 360.0), (160.0, 90.0), (1920.0, 1088.0), (1280.0, 721.0)] {
            assert_eq!(fit((width, height), (1280, 720)), (640, 360));
        }
        assert_eq!(fit((360.0, 640.0), (1280, 720)), (204, 360), "upright");
        assert_eq!(fit((640.0, 480.0), (1280, 720)), (480, 360), "4:3");
        assert_eq!(fit((2.39, 1.0), (1280, 720)), (640, 268), "a film");
        assert_eq!(fitted((1024.0, 576.0), (768, 576), (480, 360)), (480, 268), "16:9 in 4:3");
        // A recording of 17×33 is planned at 16×32.
        assert_eq!(fitted((17.0, 33.0), (16, 32), (16, 32)), (16, 32));
        assert_eq!(fitted((1.0, 5000.0), (640, 360), (640, 360)), (2, 360));
    }
}
