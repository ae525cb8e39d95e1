//! Chooses the parser and the decoder of a stream by its caps.

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;

use super::caps::{is_video, on_caps};
use super::errors::unsupported;
use super::limited_range::FullToLimited;
use super::{element, element_with};
use crate::error::Result;

/// Lines, or columns of upright video, up to which colours that nothing declares are those of
/// BT.601.
const MAX_BT601_LINES: u32 = 576;

/// The parser that cuts a stream into complete frames and reads their headers.
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

/// Whether audio is xHE-AAC: object type 42 in its AudioSpecificConfig (ISO/IEC 14496-3). No
/// decoder here reads it, and the parser would call it damaged.
pub fn is_extended_aac(caps: &gst::CapsRef) -> bool {
    let Some(s) = caps.structure(0).filter(|s| s.name() == "audio/mpeg") else { return false };
    let Ok(config) = s.get::<gst::Buffer>("codec_data") else { return false };
    let Ok(map) = config.map_readable() else { return false };
    matches!(map.as_slice(), [first, second, ..] if first >> 3 == 31 && 32 + ((first & 7) << 3 | second >> 5) == 42)
}

/// Whether caps describe raw samples, which need no decoder.
fn is_raw(caps: &gst::CapsRef) -> bool {
    caps.structure(0).is_some_and(|s| matches!(s.name().as_str(), "video/x-raw" | "audio/x-raw"))
}

/// Makes the elements from a demuxer's pad to raw samples, in order; none if samples are raw
/// already.
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
    // Damaged frames are passed on as far as they decode. Errors never end the stream.
    let decoder = element_with(
        &factory,
        &[("max-threads", &threads.to_string()), ("max-errors", "-1"), ("qos", "false")],
    )?;
    if is_mpeg_1(caps) {
        hide_pixel_aspect_ratio(&decoder);
    }
    if caps.structure(0).is_some_and(|s| s.name() == "image/jpeg") {
        mark_parsed(&decoder);
    }
    if is_video(caps) {
        correct_colorimetry(&decoder, full_range);
    }
    chain.push(decoder);
    Ok(chain)
}

fn is_mpeg_1(caps: &gst::CapsRef) -> bool {
    caps.structure(0).is_some_and(|s| s.name() == "video/mpeg" && s.get("mpegversion") == Ok(1i32))
}

/// Completes a decoder's colorimetry: the range if the file declares it, and a matrix if nothing
/// does. Otherwise a converter assumes the wrong ones.
fn correct_colorimetry(decoder: &gst::Element, full_range: Option<bool>) {
    let (Some(sink), Some(src)) = (decoder.static_pad("sink"), decoder.static_pad("src")) else { return };
    let full_to_limited = FullToLimited::install(&src);
    let sink = sink.downgrade();
    on_caps(&src, move |caps| {
        full_to_limited.set_input(None);
        let Ok(info) = gst_video::VideoInfo::from_caps(caps) else { return };
        if !info.is_yuv() {
            return;
        }
        // `VideoInfo` loses the range if the caps have no matrix.
        let text = caps.structure(0).and_then(|s| s.get::<String>("colorimetry").ok());
        let declared = text.and_then(|text| text.parse().ok()).unwrap_or(info.colorimetry());
        let range = match full_range {
            Some(true) => gst_video::VideoColorRange::Range0_255,
            // Without a range, a converter assumes the full one, which video has only if it is
            // declared.
            _ if declared.range() == gst_video::VideoColorRange::Unknown => {
                gst_video::VideoColorRange::Range16_235
            }
            _ => declared.range(),
        };
        let is_small = info.width().min(info.height()) <= MAX_BT601_LINES;
        let is_upright = is_small && info.height() > MAX_BT601_LINES;
        let matrix = match declared.matrix() {
            gst_video::VideoColorMatrix::Unknown if is_small => gst_video::VideoColorMatrix::Bt601,
            gst_video::VideoColorMatrix::Unknown => gst_video::VideoColorMatrix::Bt709,
            // If nothing declares it, decoders guess by the height: wrong for upright video.
            gst_video::VideoColorMatrix::Bt709 if is_upright && !declares_colorimetry(&sink) => {
                gst_video::VideoColorMatrix::Bt601
            }
            matrix => matrix,
        };
        // With this pair the converter would see no difference but the range, and ignore it.
        let differs_in_range_only =
            (range, matrix) == (gst_video::VideoColorRange::Range0_255, gst_video::VideoColorMatrix::Bt709);
        let range = if differs_in_range_only && full_to_limited.set_input(Some(&info)) {
            gst_video::VideoColorRange::Range16_235
        } else {
            range
        };
        if (range, matrix) != (declared.range(), declared.matrix()) {
            let completed =
                gst_video::VideoColorimetry::new(range, matrix, declared.transfer(), declared.primaries());
            caps.make_mut().set("colorimetry", completed.to_string());
        }
    });
}

/// True if the parser or container before a decoder declares colours.
fn declares_colorimetry(sink: &gst::glib::WeakRef<gst::Pad>) -> bool {
    let caps = sink.upgrade().and_then(|sink| sink.current_caps());
    caps.and_then(|caps| caps.structure(0).map(|one| one.has_field("colorimetry"))).unwrap_or_default()
}

/// Hides the parser's pixel aspect ratio from a decoder of MPEG-1. The parser only knows the table
/// of MPEG-2; the decoder has the right one.
fn hide_pixel_aspect_ratio(decoder: &gst::Element) {
    let Some(sink) = decoder.static_pad("sink") else { return };
    on_caps(&sink, |caps| {
        if let Some(structure) = caps.make_mut().structure_mut(0) {
            structure.remove_field("pixel-aspect-ratio");
        }
    });
}

/// Marks packets for a decoder of JPEG as one frame each, as they are in every container. Not every
/// demuxer does that, and libav's decoder accepts nothing else.
fn mark_parsed(decoder: &gst::Element) {
    let Some(sink) = decoder.static_pad("sink") else { return };
    on_caps(&sink, |caps| caps.make_mut().set("parsed", true));
}

/// Name of the best software decoder that accepts `caps`.
fn best_decoder(caps: &gst::CapsRef) -> Option<String> {
    let caps = caps.to_owned();
    // The parser refines caps that a demuxer leaves open, so a decoder need only accept some of
    // them.
    let mut candidates: Vec<_> =
        gst::ElementFactory::factories_with_type(gst::ElementFactoryType::DECODER, gst::Rank::MARGINAL)
            .into_iter()
            .filter(|f| f.can_sink_any_caps(&caps))
            .filter(|f| !f.metadata("klass").is_some_and(|k| k.contains("Hardware")))
            .collect();
    // Decoders preferred to libav's:
    // - mpg123audiodec decodes all three layers of MPEG-1 audio; only the parser knows which it is.
    // - libav decodes the first packet of FLAC in Matroska twice.
    // - libav refuses IMA ADPCM as GStreamer passes it on.
    // - libav decodes only the first of several AMR frames in a packet, as phones write them.
    // - libav adds each PNG frame to the one before, unless its packet is marked as a keyframe.
    //   GStreamer never marks it.
    let mpeg_1 =
        caps.structure(0).is_some_and(|s| s.name() == "audio/mpeg" && s.get("mpegversion") == Ok(1i32));
    let preferred = |f: &gst::ElementFactory| {
        (mpeg_1 && f.name() == "mpg123audiodec")
            || ["flacdec", "adpcmdec", "pngdec", "amrnbdec", "amrwbdec"].contains(&f.name().as_str())
    };
    candidates.sort_by(|a, b| {
        preferred(b)
            .cmp(&preferred(a))
            .then(is_libav(b).cmp(&is_libav(a)))
            .then(b.can_sink_all_caps(&caps).cmp(&a.can_sink_all_caps(&caps)))
            .then(b.rank().cmp(&a.rank()))
            .then(a.name().cmp(&b.name()))
    });
    candidates.first().map(|f| f.name().to_string())
}

/// Whether a decoder is libav's. Those are best tested on damaged and unusual files, and use all
/// cores.
fn is_libav(factory: &gst::ElementFactory) -> bool {
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
