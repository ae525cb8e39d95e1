//! The pipeline of one x264 encoder: frames in through an `appsrc`, H.264 out of an `appsink`.

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

use super::{RunningPipeline, capsfilter, element_with};
use crate::error::{Error, Result};
use crate::media::Rational;

/// An encoder that is linked and not started.
pub struct X264Pipeline {
    /// Takes the frames.
    pub source: gst_app::AppSrc,
    /// The encoder itself.
    pub encoder: gst::Element,
    /// Gives the encoded frames.
    pub sink: gst_app::AppSink,
    /// The pipeline of the three.
    pub pipeline: RunningPipeline,
}

impl X264Pipeline {
    /// An encoder of progressive I420 frames in BT.709 of limited range. `properties` are those of
    /// `x264enc`; parameter sets are in the caps, and samples have lengths (`avc`).
    pub fn new(
        (width, height): (u32, u32),
        frame_rate: Rational,
        profile: &str,
        properties: &[(&str, &str)],
    ) -> Result<Self> {
        let rate = gst::Fraction::new(frame_rate.num as i32, frame_rate.den as i32);
        let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, width, height)
            .fps(rate)
            .par(gst::Fraction::new(1, 1))
            .colorimetry(&"bt709".parse().map_err(|_| Error::internal("BT.709 is not known"))?)
            .build()
            .map_err(|e| Error::internal("a rendition's size is not possible").with_source(e))?;
        let caps = info.to_caps().map_err(|e| Error::internal("a rendition has no caps").with_source(e))?;
        let source = gst_app::AppSrc::builder().caps(&caps).format(gst::Format::Time).build();
        let encoder = element_with("x264enc", properties)?;
        let filter = capsfilter(
            &gst::Caps::builder("video/x-h264")
                .field("stream-format", "avc")
                .field("alignment", "au")
                .field("profile", profile)
                .build(),
        )?;
        let sink = gst_app::AppSink::builder().sync(false).build();
        let pipeline = gst::Pipeline::new();
        let all = [source.clone().upcast(), encoder.clone(), filter, sink.clone().upcast()];
        let fault =
            |e: gst::glib::BoolError| Error::internal("the encoder could not be linked").with_source(e);
        pipeline.add_many(&all).map_err(fault)?;
        gst::Element::link_many(&all).map_err(fault)?;
        Ok(Self { source, encoder, sink, pipeline: RunningPipeline::new(pipeline) })
    }
}

/// Returns a buffer of an I420 frame of even size, whose planes are tight and follow one another.
pub fn i420_buffer(
    planes: impl AsRef<[u8]> + Send + 'static,
    (width, height): (usize, usize),
) -> Result<gst::Buffer> {
    let mut buffer = gst::Buffer::from_slice(planes);
    let (luma, chroma) = (width * height, (width / 2) * (height / 2));
    let half = (width / 2) as i32;
    // Without this, rows are taken to be padded to multiples of four bytes.
    gst_video::VideoMeta::add_full(
        buffer.make_mut(),
        gst_video::VideoFrameFlags::empty(),
        gst_video::VideoFormat::I420,
        width as u32,
        height as u32,
        &[0, luma, luma + chroma],
        &[width as i32, half, half],
    )
    .map_err(|e| Error::internal("a frame could not be handed on").with_source(e))?;
    Ok(buffer)
}
