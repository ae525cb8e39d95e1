//! The memory that a stream's decoder needs for reference frames, by its sequence parameter sets.

use chalkstream_formats::Coding;
use gstreamer as gst;
use gstreamer::prelude::*;

use super::caps::pixels;
use super::memory;
use crate::codec::Bits;
use crate::codec::hevc;
use crate::codec::sps::parse_sps;

/// Bytes at a keyframe's start that are searched for parameter sets.
const MAX_HEAD_BYTES: usize = 4096;

/// Calls `refuse` instead of passing large frames on to a decoder, if the stream's parameter sets
/// declare more reference frames than there is memory for. They are in caps or in keyframes.
pub fn watch(decoder: &gst::Element, refuse: impl Fn() + Send + Sync + 'static) {
    let Some(pad) = decoder.static_pad("sink") else { return };
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    pad.add_probe(kinds, move |pad, info| {
        let bytes = match &info.data {
            Some(gst::PadProbeData::Event(event)) => match event.view() {
                gst::EventView::Caps(caps) => bytes_by_caps(caps.caps()),
                _ => None,
            },
            Some(gst::PadProbeData::Buffer(packet)) => {
                pad.current_caps().and_then(|caps| bytes_by_packet(&caps, packet))
            }
            _ => None,
        };
        if bytes.is_none_or(|bytes| bytes <= memory::MAX_DECODER_BYTES) {
            return gst::PadProbeReturn::Ok;
        }
        refuse();
        // Not `Drop` of a buffer: GStreamer 1.22 complains that the binding has taken it already.
        match info.data {
            Some(gst::PadProbeData::Buffer(_)) => gst::PadProbeReturn::Handled,
            _ => gst::PadProbeReturn::Drop,
        }
    });
}

/// Memory that a decoder of large frames needs, in bytes, by the parameter sets in its caps.
fn bytes_by_caps(caps: &gst::CapsRef) -> Option<u64> {
    let coding = coding(caps).filter(|_| memory::is_large(pixels(caps)))?;
    let config = caps.structure(0)?.get::<gst::Buffer>("codec_data").ok()?;
    bytes_by_config(coding, &config.map_readable().ok()?)
}

/// Like [`bytes_by_caps`], by the parameter sets in a keyframe with start codes.
fn bytes_by_packet(caps: &gst::CapsRef, packet: &gst::BufferRef) -> Option<u64> {
    let coding = coding(caps).filter(|_| memory::is_large(pixels(caps)))?;
    let has_start_codes = caps.structure(0)?.get::<&str>("stream-format") == Ok("byte-stream");
    if !has_start_codes || packet.flags().contains(gst::BufferFlags::DELTA_UNIT) {
        return None;
    }
    bytes_by_start_codes(coding, &packet.map_readable().ok()?)
}

/// The coding of a stream; `None` for one without parameter sets.
fn coding(caps: &gst::CapsRef) -> Option<Coding> {
    match caps.structure(0)?.name().as_str() {
        "video/x-h264" => Some(Coding::Avc),
        "video/x-h265" => Some(Coding::Hevc),
        _ => None,
    }
}

/// Memory that a decoder needs, in bytes, by a configuration record (ISO/IEC 14496-15, 5.3.3.1 and
/// 8.3.3.1).
fn bytes_by_config(coding: Coding, config: &[u8]) -> Option<u64> {
    let units = match coding {
        Coding::Avc => avc_parameter_sets(config),
        Coding::Hevc => hevc::parameter_sets(config),
    };
    units?.into_iter().filter_map(|unit| bytes_by_unit(coding, unit)).max()
}

/// Like [`bytes_by_config`], by the NAL units with start codes at the beginning of a packet.
fn bytes_by_start_codes(coding: Coding, packet: &[u8]) -> Option<u64> {
    let head = &packet[..packet.len().min(MAX_HEAD_BYTES)];
    let starts = head.windows(3).enumerate().filter(|(_, bytes)| *bytes == [0, 0, 1]);
    starts.filter_map(|(at, _)| bytes_by_unit(coding, &head[at + 3..])).max()
}

/// Like [`bytes_by_config`], by one NAL unit; `None` if it is not a sequence parameter set.
fn bytes_by_unit(coding: Coding, unit: &[u8]) -> Option<u64> {
    match coding {
        Coding::Avc => {
            let sps = parse_sps(unit)?;
            let pixels = u64::from(sps.width) * u64::from(sps.height);
            Some(decoder_bytes(sps.max_reference_frames, pixels, sps.chroma_format, sps.bit_depths.0))
        }
        Coding::Hevc => hevc_bytes(unit),
    }
}

/// The sequence parameter sets of an H.264 configuration record.
fn avc_parameter_sets(config: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut units, mut rest) = (Vec::new(), config.get(6..)?);
    for _ in 0..config[5] & 31 {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (unit, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        units.push(unit);
        rest = after;
    }
    Some(units)
}

/// Memory that a decoder needs, in bytes, by a sequence parameter set of H.265 (ITU-T H.265,
/// 7.3.2.2).
fn hevc_bytes(unit: &[u8]) -> Option<u64> {
    if unit.first()? >> 1 & 0x3f != 33 {
        return None;
    }
    let bits = &mut Bits::new(unit.get(2..)?);
    bits.bits(4)?;
    let layers = bits.bits(3)?;
    bits.bit()?;
    let skip_bits = |bits: &mut Bits<'_>, count: u32| (0..count).try_for_each(|_| bits.bit().map(|_| ()));
    // Profile, tier and level: 88 bits and 8.
    skip_bits(bits, 96)?;
    let mut present = Vec::new();
    for _ in 0..layers {
        present.push((bits.bit()? == 1, bits.bit()? == 1));
    }
    if layers > 0 {
        skip_bits(bits, 2 * (8 - layers))?;
    }
    for (profile, level) in present {
        skip_bits(bits, if profile { 88 } else { 0 } + if level { 8 } else { 0 })?;
    }
    bits.ue()?;
    let chroma_format = bits.ue()?;
    if chroma_format == 3 {
        bits.bit()?;
    }
    let pixels = u64::from(bits.ue()?) * u64::from(bits.ue()?);
    if bits.bit()? == 1 {
        for _ in 0..4 {
            bits.ue()?;
        }
    }
    let depth = bits.ue()?.saturating_add(8);
    bits.ue()?;
    bits.ue()?;
    let described_layers = if bits.bit()? == 1 { layers + 1 } else { 1 };
    let mut frames = 0;
    for _ in 0..described_layers {
        frames = frames.max(bits.ue()?.saturating_add(1));
        bits.ue()?;
        bits.ue()?;
    }
    Some(decoder_bytes(frames, pixels, chroma_format, depth))
}

/// Memory of the frames that a decoder keeps, one more that it writes, and their motion vectors.
///
/// Motion vectors take 12 bytes for 4×4 pixels in libav's decoder of H.265, somewhat less in that
/// of H.264.
fn decoder_bytes(frames: u32, pixels: u64, chroma_format: u32, depth: u32) -> u64 {
    let quarters = match chroma_format {
        0 => 4,
        1 => 6,
        2 => 8,
        _ => 12,
    };
    let sample_bytes = if depth > 8 { 2 } else { 1 };
    let bytes = (pixels / 4).saturating_mul(quarters * sample_bytes + 3);
    bytes.saturating_mul(u64::from(frames.min(memory::MAX_REFERENCE_FRAMES)) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_follows_references_size_and_samples() {
        let (pixels, frame) = (7680 * 4320, 7680 * 4320 / 4);
        assert_eq!(decoder_bytes(5, pixels, 1, 8), 6 * 9 * frame);
        assert_eq!(decoder_bytes(6, pixels, 1, 10), 7 * 15 * frame);
        assert_eq!(decoder_bytes(4, pixels, 2, 10), 5 * 19 * frame);
        assert_eq!(decoder_bytes(u32::MAX, pixels, 1, 8), 17 * 9 * frame);
    }

    #[test]
    fn references_of_the_levels_at_8k_fit_and_more_do_not() {
        let pixels = 7680 * 4320;
        // Level 6: five frames of H.264, six of H.265 with the one being decoded.
        for (frames, chroma_format, depth) in [(5, 1, 8), (6, 1, 8), (6, 1, 10), (5, 2, 10)] {
            assert!(decoder_bytes(frames, pixels, chroma_format, depth) <= memory::MAX_DECODER_BYTES);
        }
        for (frames, chroma_format, depth) in [(16, 1, 8), (16, 1, 10), (8, 1, 10), (8, 2, 10)] {
            assert!(decoder_bytes(frames, pixels, chroma_format, depth) > memory::MAX_DECODER_BYTES);
        }
    }
}
