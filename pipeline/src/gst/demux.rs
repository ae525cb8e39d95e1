//! The demuxer of each container, chosen by name: GStreamer never guesses a type or follows a
//! playlist.

use gstreamer as gst;
use gstreamer::prelude::*;

use super::source_element::ChalkSrc;
use super::{caf, element, element_with, mpegts_pcr, mpegts_times, prores, wav};
use crate::error::{Error, ErrorKind, Result};
use crate::source::{self, ByteRange, ReadAt, Source};

/// Name of the element that demuxes a container or parses a bare stream.
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

/// Whether frames of video have a constant rate that their packets do not state.
///
/// This includes MXF: it has an index of the frames' order, which writers leave out or get wrong
/// (SMPTE ST 377-1, 11.2).
pub fn has_regular_frames(container: &str) -> bool {
    is_bare_video(container) || container == "mxf"
}

/// Size of an ID3v2 tag in front of a bare audio stream, in bytes; 0 if there is none. To a parser,
/// cover images in it look like sync words.
fn id3_size_bytes(source: &dyn ReadAt) -> u64 {
    let mut head = [0; 10];
    match source::read_full(source, 0, &mut head) {
        Ok(10) if &head[..3] == b"ID3" => {
            let size = head[6..10].iter().fold(0, |size, byte| size << 7 | u64::from(byte & 0x7f));
            10 + size + if head[5] & 0x10 != 0 { 10 } else { 0 }
        }
        _ => 0,
    }
}

/// Makes a pipeline of the source element and the container's demuxer, linked but not started.
pub fn open_demuxer(source: Source, container: &str) -> Result<(gst::Pipeline, gst::Element)> {
    super::init()?;
    let pipeline = gst::Pipeline::new();
    let failed = |e: gst::glib::BoolError| Error::internal("the demuxer could not be linked").with_source(e);
    let without_demuxer = |packets: gst::Element| {
        pipeline.add(&packets).map_err(failed)?;
        Ok((pipeline.clone(), packets))
    };
    let (source, demux) = match container {
        "gif" => return without_demuxer(super::gif::frame_source(source)?),
        "caf" => match caf::open(source)? {
            caf::CafStream::Samples(samples, parser) => (samples, parser),
            caf::CafStream::Packets(packets) => return without_demuxer(packets),
        },
        _ => {
            if container == "wav"
                && let Some(packets) = wav::adpcm_packets(&source)?
            {
                return without_demuxer(packets.into_element()?);
            }
            (adapted(source, container)?, demuxer(container)?)
        }
    };
    let src = ChalkSrc::new(source.clone()).upcast::<gst::Element>();
    pipeline.add_many([&src, &demux]).map_err(failed)?;
    src.link(&demux).map_err(failed)?;
    if container == "mpegts" {
        mpegts_times::restamp(&pipeline, &demux, source);
    }
    Ok((pipeline, demux))
}

/// Makes the container's demuxer.
fn demuxer(container: &str) -> Result<gst::Element> {
    let name = demuxer_name(container).ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "not_media", "This kind of file can't be played.")
    })?;
    match name {
        "wavparse" => element_with(name, &[("ignore-length", "false")]),
        _ => element(name),
    }
}

/// Changes the source into a form that the demuxer can read.
fn adapted(source: Source, container: &str) -> Result<Source> {
    let skip = id3_size_bytes(source.as_ref());
    let source = if skip > 0 {
        ByteRange { begins_at: skip, size_bytes: source.size_bytes().saturating_sub(skip) }.view(source)
    } else {
        source
    };
    match container {
        "mpegts" => Ok(mpegts_pcr::with_leading_pcr(source)),
        "matroska" => Ok(prores::hide_codec(source)?),
        "w64" => wav::w64_as_wav(source),
        "wav" => wav::bw64_as_rf64(source),
        _ => Ok(source),
    }
}
