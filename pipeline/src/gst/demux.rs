//! The demuxer of each container: pinned by name, so that nothing is type-found and no playlist is followed.

use gstreamer as gst;
use gstreamer::prelude::*;

use super::source_element::ChalkSrc;
use super::{caf, element, element_with, mpegts_pcr, mpegts_times, prores, wav};
use crate::error::{Error, ErrorKind, Result};
use crate::source::{self, ByteRange, ReadAt, Source};

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
        "h264" => "h264parse",
        "h265" => "h265parse",
        "mxf" => "mxfdemux",
        "w64" => "wavparse",
        "dv" => "dvdemux",
        "au" => "auparse",
        "ivf" => "ivfparse",
        "y4m" => "y4mdec",
        "wavpack" => "wavpackparse",
        "dts" => "dcaparse",
        _ => return None,
    })
}

/// Whether a container is a bare stream of video frames, whose packets have no presentation times.
pub fn is_bare_video(container: &str) -> bool {
    matches!(container, "h264" | "h265" | "mpegvideo")
}

/// Whether frames of video are presented one after the other at one rate, and packets do not say so: MXF has an index of
/// their order, which writers leave out or get wrong (SMPTE ST 377-1, 11.2).
pub fn has_regular_frames(container: &str) -> bool {
    is_bare_video(container) || container == "mxf"
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
        pipeline
            .add(&pictures)
            .map_err(|e| Error::internal("the demuxer could not be linked").with_source(e))?;
        return Ok((pipeline, pictures));
    }
    let pipeline = gst::Pipeline::new();
    let fault = |e: gst::glib::BoolError| Error::internal("the demuxer could not be linked").with_source(e);
    let alone = |packets: gst::Element| {
        pipeline.add(&packets).map_err(fault)?;
        Ok((pipeline.clone(), packets))
    };
    let (source, demux) = match container {
        "caf" => match caf::open(source)? {
            caf::Opened::Samples(samples, parser) => (samples, parser),
            caf::Opened::Packets(packets) => return alone(packets),
        },
        _ => {
            if container == "wav"
                && let Some(packets) = wav::adpcm(&source)?
            {
                return alone(packets.element()?);
            }
            (readable(source, container)?, pinned(container)?)
        }
    };
    let src = ChalkSrc::new(source.clone()).upcast::<gst::Element>();
    pipeline.add_many([&src, &demux]).map_err(fault)?;
    src.link(&demux).map_err(fault)?;
    if container == "mpegts" {
        mpegts_times::restamp(&pipeline, &demux, source);
    }
    Ok((pipeline, demux))
}

/// The demuxer itself.
fn pinned(container: &str) -> Result<gst::Element> {
    let name = demuxer_name(container).ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "not_media", "This kind of file can't be played.")
    })?;
    match name {
        "wavparse" => element_with(name, &[("ignore-length", "false")]),
        _ => element(name),
    }
}

/// The source as the demuxer can read it.
fn readable(source: Source, container: &str) -> Result<Source> {
    let skip = id3_length(source.as_ref());
    let source = if skip > 0 {
        ByteRange { begins_at: skip, size_bytes: source.size_bytes().saturating_sub(skip) }.view(source)
    } else {
        source
    };
    match container {
        "mpegts" => Ok(mpegts_pcr::clocked(source)),
        "matroska" => Ok(prores::hidden(source)?),
        "w64" => wav::w64(source),
        "wav" => wav::rf64(source),
        _ => Ok(source),
    }
}
