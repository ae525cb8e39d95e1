//! Which parser and decoder a stream gets, by its caps.

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;

use super::limited_range::FullToLimited;
use super::pipeline::unsupported;
use super::{element, element_with};
use crate::error::Result;

/// Whether a demuxer's pad carries a picture.
pub fn is_video(caps: &gst::CapsRef) -> bool {
    // Any still image format may also be the coding of video.
    caps.structure(0).is_some_and(|s| s.name().starts_with("video/") || s.name().starts_with("image/"))
}

/// Whether a demuxer's pad carries sound.
pub fn is_audio(caps: &gst::CapsRef) -> bool {
    caps.structure(0).is_some_and(|s| s.name().starts_with("audio/"))
}

/// The parser that cuts a stream into whole frames and reads its headers.
fn parser_name(caps: &gst::CapsRef) -> Option<&'static str> {
    let s = caps.structure(0)?;
    let version = s.get::<i32>("mpegversion").unwrap_or(0);
    Some(match (s.name().as_str(), version) {
        ("video/x-h264", _) => "h264parse",
        ("video/x-h265", _) => "h265parse",
        ("video/mpeg", 1 | 2) => "mpegvideoparse",
        ("video/mpeg", 4) => "mpeg4videoparse",
        ("video/x-av1", _) => "av1parse",
        ("audio/mpeg", 1) => "mpegaudioparse",
        ("audio/mpeg", 2 | 4) => "aacparse",
        ("audio/x-ac3" | "audio/x-eac3" | "audio/ac3", _) => "ac3parse",
        ("audio/x-flac", _) => "flacparse",
        _ => return None,
    })
}

/// Whether sound is xHE-AAC (object type 42 in its AudioSpecificConfig, ISO/IEC 14496-3), which no decoder here reads:
/// the parser would call it damaged.
pub fn is_extended_aac(caps: &gst::CapsRef) -> bool {
    let Some(s) = caps.structure(0).filter(|s| s.name() == "audio/mpeg") else { return false };
    let Ok(config) = s.get::<gst::Buffer>("codec_data") else { return false };
    let Ok(map) = config.map_readable() else { return false };
    matches!(map.as_slice(), [first, second, ..] if first >> 3 == 31 && 32 + ((first & 7) << 3 | second >> 5) == 42)
}

/// Whether caps are already decoded samples.
fn is_raw(caps: &gst::CapsRef) -> bool {
    caps.structure(0).is_some_and(|s| matches!(s.name().as_str(), "video/x-raw" | "audio/x-raw"))
}

/// The elements from a demuxer's pad to raw samples, in order, the decoder with so many threads; none for samples that
/// are raw already.
pub fn decoder_for(
    caps: &gst::CapsRef,
    parsed: bool,
    full_range: Option<bool>,
    threads: usize,
) -> Result<Vec<gst::Element>> {
    if is_raw(caps) {
        return Ok(Vec::new());
    }
    let mut chain = Vec::new();
    if let Some(name) = parser_name(caps).filter(|_| !parsed) {
        chain.push(element(name)?);
    }
    let factory = best_decoder(caps).ok_or_else(unsupported)?;
    // Damaged frames are passed on as well as they can be shown, never an error until nothing at all decodes.
    let decoder = element_with(
        &factory,
        &[("max-threads", &threads.to_string()), ("max-errors", "-1"), ("qos", "false")],
    )?;
    if is_mpeg_1(caps) {
        hide_shape(&decoder);
    }
    if caps.structure(0).is_some_and(|s| s.name() == "image/jpeg") {
        mark_parsed(&decoder);
    }
    if is_video(caps) {
        tell_colours(&decoder, full_range);
    }
    chain.push(decoder);
    Ok(chain)
}

fn is_mpeg_1(caps: &gst::CapsRef) -> bool {
    caps.structure(0).is_some_and(|s| s.name() == "video/mpeg" && s.get("mpegversion") == Ok(1i32))
}

/// Corrects what a decoder says of its pictures' colours: their range where the file says it, and which way they were made
/// of red, green and blue where nothing does. A converter that is not told takes them for something else.
fn tell_colours(decoder: &gst::Element, full_range: Option<bool>) {
    let Some(src) = decoder.static_pad("src") else { return };
    let narrowing = FullToLimited::install(&src);
    on_caps(&src, move |caps| {
        narrowing.set_input(None);
        let Ok(info) = gst_video::VideoInfo::from_caps(caps) else { return };
        if !info.is_yuv() {
            return;
        }
        // Where no matrix is said, the range that is said is lost in reading the caps as a whole.
        let text = caps.structure(0).and_then(|s| s.get::<String>("colorimetry").ok());
        let said = text.and_then(|text| text.parse().ok()).unwrap_or(info.colorimetry());
        let range = match full_range {
            Some(true) => gst_video::VideoColorRange::Range0_255,
            // A converter that knows no range takes the full one, which video has only where something says so.
            _ if said.range() == gst_video::VideoColorRange::Unknown => {
                gst_video::VideoColorRange::Range16_235
            }
            _ => said.range(),
        };
        let matrix = match said.matrix() {
            gst_video::VideoColorMatrix::Unknown if info.width().min(info.height()) > 576 => {
                gst_video::VideoColorMatrix::Bt709
            }
            gst_video::VideoColorMatrix::Unknown => gst_video::VideoColorMatrix::Bt601,
            matrix => matrix,
        };
        let alone =
            (range, matrix) == (gst_video::VideoColorRange::Range0_255, gst_video::VideoColorMatrix::Bt709);
        let range = if alone && narrowing.set_input(Some(&info)) {
            gst_video::VideoColorRange::Range16_235
        } else {
            range
        };
        if (range, matrix) != (said.range(), said.matrix()) {
            let right = gst_video::VideoColorimetry::new(range, matrix, said.transfer(), said.primaries());
            caps.make_mut().set("colorimetry", right.to_string());
        }
    });
}

/// Keeps from a decoder of MPEG-1 what the parser says of its pixels' shape: it knows the table of MPEG-2 only, the decoder
/// has the right one.
fn hide_shape(decoder: &gst::Element) {
    let Some(sink) = decoder.static_pad("sink") else { return };
    on_caps(&sink, |caps| {
        if let Some(structure) = caps.make_mut().structure_mut(0) {
            structure.remove_field("pixel-aspect-ratio");
        }
    });
}

/// Says to a decoder of JPEG that each packet is one frame, as it is in every container: not every demuxer does, and
/// libav's decoder takes nothing else.
fn mark_parsed(decoder: &gst::Element) {
    let Some(sink) = decoder.static_pad("sink") else { return };
    on_caps(&sink, |caps| caps.make_mut().set("parsed", true));
}

/// Changes the caps that pass a pad.
pub fn on_caps(pad: &gst::Pad, change: impl Fn(&mut gst::Caps) + Send + Sync + 'static) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &info.data
            && let gst::EventView::Caps(told) = event.view()
        {
            let mut caps = told.caps_owned();
            change(&mut caps);
            let changed = gst::event::Caps::builder(&caps).seqnum(event.seqnum()).build();
            info.data = Some(gst::PadProbeData::Event(changed));
        }
        gst::PadProbeReturn::Ok
    });
}

/// The best software decoder that takes `caps`.
fn best_decoder(caps: &gst::CapsRef) -> Option<String> {
    let caps = caps.to_owned();
    // The parser refines caps that a demuxer leaves open, so a decoder that takes some of them will do.
    let mut candidates: Vec<_> =
        gst::ElementFactory::factories_with_type(gst::ElementFactoryType::DECODER, gst::Rank::MARGINAL)
            .into_iter()
            .filter(|f| f.can_sink_any_caps(&caps))
            .filter(|f| !f.metadata("klass").is_some_and(|k| k.contains("Hardware")))
            .collect();
    // Only the parser will know which of three layers MPEG-1 audio is; this decoder takes them all. Of FLAC in Matroska
    // libav's gives the first packet twice, and its decoder of IMA's ADPCM refuses what GStreamer hands it.
    // Phones put several frames of AMR into a packet: libav's decoders decode the first one of each.
    // libav's decoder of PNG adds each frame to the one before unless its packet is marked as a keyframe, which
    // GStreamer never does.
    let mpeg_1 =
        caps.structure(0).is_some_and(|s| s.name() == "audio/mpeg" && s.get("mpegversion") == Ok(1i32));
    let preferred = |f: &gst::ElementFactory| {
        (mpeg_1 && f.name() == "mpg123audiodec")
            || ["flacdec", "adpcmdec", "pngdec", "amrnbdec", "amrwbdec"].contains(&f.name().as_str())
    };
    candidates.sort_by(|a, b| {
        preferred(b)
            .cmp(&preferred(a))
            .then(libav_first(b).cmp(&libav_first(a)))
            .then(b.can_sink_all_caps(&caps).cmp(&a.can_sink_all_caps(&caps)))
            .then(b.rank().cmp(&a.rank()))
            .then(a.name().cmp(&b.name()))
    });
    candidates.first().map(|f| f.name().to_string())
}

/// libav's decoders are the most used on damaged and unusual files, and use all cores.
fn libav_first(factory: &gst::ElementFactory) -> bool {
    factory.name().starts_with("avdec_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use gstreamer_app::{AppSink, AppSrc};

    #[test]
    fn all_frames_of_an_amr_packet_are_decoded() {
        assert!(crate::gst::init().is_ok());
        // Frames without data: silence (3GPP TS 26.101, table 1a).
        for (name, rate_hz, frame_bytes) in [("audio/AMR", 8000, 320), ("audio/AMR-WB", 16_000, 640)] {
            let caps = gst::Caps::builder(name).field("rate", rate_hz).field("channels", 1).build();
            let packets = AppSrc::builder().caps(&caps).format(gst::Format::Time).build();
            let samples = AppSink::builder().sync(false).build();
            let pipeline = gst::Pipeline::new();
            let decoder = decoder_for(&caps, false, None, 1).expect("a decoder").remove(0);
            let all = [packets.upcast_ref(), &decoder, samples.upcast_ref::<gst::Element>()];
            pipeline.add_many(all).expect("added");
            gst::Element::link_many(all).expect("linked");
            pipeline.set_state(gst::State::Playing).expect("started");
            let mut packet = gst::Buffer::from_slice([0x7c; 5]);
            packet.make_mut().set_pts(gst::ClockTime::ZERO);
            packets.push_buffer(packet).expect("pushed");
            packets.end_of_stream().expect("ended");
            let decoded = std::iter::from_fn(|| samples.pull_sample().ok());
            let bytes: usize = decoded.filter_map(|sample| sample.buffer().map(gst::BufferRef::size)).sum();
            assert_eq!(bytes, 5 * frame_bytes, "{name}");
            pipeline.set_state(gst::State::Null).expect("stopped");
        }
    }
}
