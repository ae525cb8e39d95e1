//! Pictures of full range made those of video range. The converter behind the decoder overlooks a difference of range alone:
//! where size and matrix are the same it copies.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;
use gstreamer_video::VideoFrameExt;

/// The pictures that a pad passes, where they are to be narrowed.
#[derive(Clone, Default)]
pub struct FullToLimited(Arc<Mutex<Option<gst_video::VideoInfo>>>);

impl FullToLimited {
    /// Narrows what a pad passes from now on, as far as it is told to.
    pub fn install(pad: &gst::Pad) -> Self {
        let told = Self::default();
        let own = told.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let video = own.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let (Some(video), Some(gst::PadProbeData::Buffer(buffer))) = (video, &mut info.data)
                && let Some(narrow) = narrowed(buffer, &video)
            {
                *buffer = narrow;
            }
            gst::PadProbeReturn::Ok
        });
        told
    }

    /// Says of the pictures that follow whether they are to be narrowed; false where these cannot be.
    pub fn set_input(&self, video: Option<&gst_video::VideoInfo>) -> bool {
        use gst_video::VideoFormat::{Gray8, I420, Y42b, Y444};
        let able = video.filter(|video| matches!(video.format(), Gray8 | I420 | Y42b | Y444));
        let mut own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *own = able.cloned();
        own.is_some()
    }
}

/// For luma, and for chroma.
static TABLES: LazyLock<[[u8; 256]; 2]> = LazyLock::new(|| [table(219, 0, 16), table(224, 128, 128)]);

/// What a sample of 0 to 255 is in video range: luma 16 to 235, chroma 16 to 240.
fn table(levels: i32, middle: i32, least: i32) -> [u8; 256] {
    std::array::from_fn(|sample| {
        ((2 * (sample as i32 - middle) * levels + 255).div_euclid(510) + least) as u8
    })
}

fn narrowed(buffer: &gst::BufferRef, video: &gst_video::VideoInfo) -> Option<gst::Buffer> {
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, video).ok()?;
    let mut bytes = vec![0; video.size()];
    for plane in 0..video.n_planes() {
        let place = plane as usize;
        let table = &TABLES[place.min(1)];
        let width = frame.comp_width(plane) as usize;
        let from = frame.plane_data(plane).ok()?.chunks(frame.plane_stride()[place] as usize);
        let to = bytes[video.offset()[place]..].chunks_mut(video.stride()[place] as usize);
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
