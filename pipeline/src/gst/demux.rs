//! The demuxer of each container: pinned by name, so that nothing is type-found and no playlist is followed.

use gstreamer as gst;
use gstreamer::prelude::*;

use super::chalksrc::ChalkSrc;
use super::{element, element_with, transport};
use crate::error::{Error, ErrorKind, Result};
use crate::source::{self, ReadAt, Source, Within};

/// The element that takes a container (or a bare stream) apart.
pub fn demuxer_name(container: &str) -> Option<&'static str> {
    Some(match container {
        "mp4" => "qtdemux",
        "matroska" => "matroskademux",
        "mpegts" => "tsdemux",
        "mpegps" => "mpegpsdemux",
        "avi" => "avidemux",
        "ogg" => "oggdemux",
        "flv" => "flvdemux",
        "asf" => "asfdemux",
        "wav" => "wavparse",
        "aiff" => "aiffparse",
        "mp3" => "mpegaudioparse",
        "aac" => "aacparse",
        "ac3" => "ac3parse",
        "flac" => "flacparse",
        "amr" => "amrparse",
        "mpegvideo" => "mpegvideoparse",
        _ => return None,
    })
}

/// Length of an ID3v2 tag in front of a bare sound stream: cover pictures in it look like sync words to a parser.
fn id3_length(source: &dyn ReadAt) -> u64 {
    let mut head = [0; 10];
    match source::read_full(source, 0, &mut head) {
        Ok(10) if &head[..3] == b"ID3" => {
            let size = head[6..10].iter().fold(0, |size, byte| size << 7 | u64::from(byte & 0x7f));
            10 + size + if head[5] & 0x10 != 0 { 10 } else { 0 }
        }
        _ => 0,
    }
}

/// A pipeline of our source and the container's demuxer, linked, not started.
pub fn open_demuxer(source: Source, container: &str) -> Result<(gst::Pipeline, gst::Element)> {
    super::init()?;
    if container == "gif" {
        let pipeline = gst::Pipeline::new();
        let pictures = super::gif::gif_source(source)?;
        pipeline.add(&pictures).map_err(|e| Error::internal("the demuxer could not be linked").because(e))?;
        return Ok((pipeline, pictures));
    }
    let name = demuxer_name(container).ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "not_media", "This kind of file can't be played.")
    })?;
    let skip = id3_length(source.as_ref());
    let source = if skip > 0 {
        Within { begins_at: skip, size_bytes: source.size_bytes().saturating_sub(skip) }.of(source)
    } else {
        source
    };
    let source = if container == "mpegts" { transport::clocked(source) } else { source };
    let pipeline = gst::Pipeline::new();
    let src = ChalkSrc::new(source).upcast::<gst::Element>();
    let demux = match name {
        "wavparse" => element_with(name, &[("ignore-length", "false")])?,
        _ => element(name)?,
    };
    let fault = |e: gst::glib::BoolError| Error::internal("the demuxer could not be linked").because(e);
    pipeline.add_many([&src, &demux]).map_err(fault)?;
    src.link(&demux).map_err(fault)?;
    Ok((pipeline, demux))
}
