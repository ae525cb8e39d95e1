//! Row padding of raw video in containers. GStreamer assumes rows padded to four bytes, which few
//! writers do.

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;

/// Alignments to which writers pad the rows of a plane, in bytes.
const ALIGNMENTS: [usize; 5] = [1, 2, 8, 16, 32];

/// Derives from the size of each frame how its rows are padded, and describes that to the elements
/// behind `pad`. Drops frames that are too small, and calls `dropped` for each.
pub fn describe_rows(pad: &gst::Pad, caps: &gst::Caps, dropped: impl Fn() + Send + Sync + 'static) {
    let Ok(info) = gst_video::VideoInfo::from_caps(caps) else { return };
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info_of_pad| {
        let Some(gst::PadProbeData::Buffer(buffer)) = &mut info_of_pad.data else {
            return gst::PadProbeReturn::Ok;
        };
        // The demuxer's description of the rows is right.
        if buffer.size() == info.size() || buffer.meta::<gst_video::VideoMeta>().is_some() {
            return gst::PadProbeReturn::Ok;
        }
        let Some((offsets, strides)) = layout(&info, buffer.size()) else {
            if buffer.size() > info.size() {
                return gst::PadProbeReturn::Ok;
            }
            // A part of a frame, or no raw video at all. Not `Drop`: GStreamer 1.22 then complains
            // that the binding has taken the buffer already.
            dropped();
            return gst::PadProbeReturn::Handled;
        };
        let flags = gst_video::VideoFrameFlags::empty();
        let (format, width, height) = (info.format(), info.width(), info.height());
        let frame = buffer.make_mut();
        match gst_video::VideoMeta::add_full(frame, flags, format, width, height, &offsets, &strides) {
            Ok(_) => gst::PadProbeReturn::Ok,
            Err(_) => gst::PadProbeReturn::Handled,
        }
    });
}

/// Offsets and strides of the planes of a frame of `size_bytes`; `None` if no padding fits.
fn layout(info: &gst_video::VideoInfo, size_bytes: usize) -> Option<(Vec<usize>, Vec<i32>)> {
    let format = info.format_info();
    let planes = info.n_planes() as usize;
    ALIGNMENTS.iter().find_map(|alignment| {
        let (mut offsets, mut strides, mut end) = (Vec::new(), Vec::new(), 0);
        for plane in 0..planes {
            let component = format.plane().iter().position(|&of| of as usize == plane)?;
            let scaled = |length: u32, shift: u32| (length as usize).div_ceil(1 << shift);
            let width = scaled(info.width(), format.w_sub()[component]);
            let height = scaled(info.height(), format.h_sub()[component]);
            let pixel = usize::try_from(format.pixel_stride()[component]).ok().filter(|&n| n > 0)?;
            let stride = (width * pixel).next_multiple_of(*alignment);
            offsets.push(end);
            strides.push(i32::try_from(stride).ok()?);
            end += stride * height;
        }
        (end == size_bytes).then_some((offsets, strides))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_size_of_a_frame_tells_how_its_rows_are_padded() {
        gst::init().unwrap();
        let layout_of =
            |format, bytes| layout(&gst_video::VideoInfo::builder(format, 322, 182).build().unwrap(), bytes);
        let planar = layout_of(gst_video::VideoFormat::I420, 322 * 182 + 2 * 161 * 91);
        assert_eq!(planar, Some((vec![0, 58_604, 73_255], vec![322, 161, 161])));
        let interleaved = layout_of(gst_video::VideoFormat::Nv12, 322 * 182 + 322 * 91);
        assert_eq!(interleaved, Some((vec![0, 58_604], vec![322, 322])));
        let packed = layout_of(gst_video::VideoFormat::Rgb, 966 * 182);
        assert_eq!(packed, Some((vec![0], vec![966])));
        assert_eq!(layout_of(gst_video::VideoFormat::Rgb, 1000), None, "a part of a frame");
    }
}
