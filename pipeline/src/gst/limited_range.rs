//! Converts frames from full to limited range. The converter behind the decoder does not: it copies
//! frames that differ from its output in range alone.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;
use gstreamer_video::VideoFrameExt;

/// Converter of the frames that pass a pad. Holds their format while they are to be converted.
#[derive(Clone, Default)]
pub struct FullToLimited(Arc<Mutex<Option<gst_video::VideoInfo>>>);

impl FullToLimited {
    /// Installs a converter on a pad; it is inactive until [`Self::set_input`].
    pub fn install(pad: &gst::Pad) -> Self {
        let converter = Self::default();
        let own = converter.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let video = own.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let (Some(video), Some(gst::PadProbeData::Buffer(buffer))) = (video, &mut info.data)
                && let Some(limited) = to_limited(buffer, &video)
            {
                *buffer = limited;
            }
            gst::PadProbeReturn::Ok
        });
        converter
    }

    /// Converts the following frames if `video` is their format. Returns `false` if that format
    /// cannot be converted.
    pub fn set_input(&self, video: Option<&gst_video::VideoInfo>) -> bool {
        use gst_video::VideoFormat::{Gray8, I420, Y42b, Y444};
        let supported = video.filter(|video| matches!(video.format(), Gray8 | I420 | Y42b | Y444));
        let mut own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *own = supported.cloned();
        own.is_some()
    }
}

/// Tables for luma and for chroma.
static TABLES: LazyLock<[[u8; 256]; 2]> = LazyLock::new(|| [table(219, 0, 16), table(224, 128, 128)]);

/// Values of full-range samples in limited range: luma is 16 to 235, chroma 16 to 240.
fn table(levels: i32, middle: i32, offset: i32) -> [u8; 256] {
    std::array::from_fn(|sample| {
        ((2 * (sample as i32 - middle) * levels + 255).div_euclid(510) + offset) as u8
    })
}

fn to_limited(buffer: &gst::BufferRef, video: &gst_video::VideoInfo) -> Option<gst::Buffer> {
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, video).ok()?;
    let mut bytes = vec![0; video.size()];
    for plane in 0..video.n_planes() {
        let index = plane as usize;
        let table = &TABLES[index.min(1)];
        let width = frame.comp_width(plane) as usize;
        let from = frame.plane_data(plane).ok()?.chunks(frame.plane_stride()[index] as usize);
        let to = bytes[video.offset()[index]..].chunks_mut(video.stride()[index] as usize);
        for (to, from) in to.zip(from).take(frame.comp_height(plane) as usize) {
            for (to, from) in to.iter_mut().zip(from).take(width) {
                *to = table[usize::from(*from)];
            }
        }
    }
    let mut made = gst::Buffer::from_mut_slice(bytes);
    buffer
        .copy_into(made.get_mut()?, gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS, ..)
        .ok()?;
    Some(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_and_middles_are_where_they_belong() {
        let [luma, chroma] = *TABLES;
        assert_eq!([luma[0], luma[128], luma[255]], [16, 126, 235]);
        assert_eq!([chroma[0], chroma[128], chroma[255]], [16, 128, 240]);
    }
}
