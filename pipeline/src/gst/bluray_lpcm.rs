//! Blu-ray's LPCM of 20 and 24 bits. GStreamer's decoder takes it for that of DVDs, which group the
//! bytes of four samples: first their upper two, then their last.

use gstreamer as gst;
use gstreamer::prelude::*;

/// Bytes of a packet's header.
const HEADER_BYTES: usize = 4;
/// Bytes of four samples.
const GROUP_BYTES: usize = 12;
/// Bits of the header's last byte that state the depth, and their value for 24 bits.
const DEPTH_MASK: u8 = 0xc0;
const DEPTH_24: u8 = 0xc0;
/// Their value for 20 bits, which take three bytes too.
const DEPTH_20: u8 = 0x80;

/// Whether these are the caps of Blu-ray's LPCM.
pub fn is_bluray_lpcm(caps: &gst::CapsRef) -> bool {
    caps.structure(0).is_some_and(|s| s.name() == "audio/x-private-ts-lpcm")
}

/// Brings packets into the order that the decoder reads.
pub fn regroup_samples(decoder: &gst::Element) {
    let Some(sink) = decoder.static_pad("sink") else { return };
    sink.add_probe(gst::PadProbeType::BUFFER, |_, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data
            && let Ok(mut packet) = buffer.make_mut().map_writable()
        {
            regroup(&mut packet);
        }
        gst::PadProbeReturn::Ok
    });
}

fn regroup(packet: &mut [u8]) {
    let Some((header, samples)) = packet.split_at_mut_checked(HEADER_BYTES) else { return };
    let depth = &mut header[HEADER_BYTES - 1];
    if !matches!(*depth & DEPTH_MASK, DEPTH_20 | DEPTH_24) {
        return;
    }
    *depth |= DEPTH_24;
    for group in samples.chunks_exact_mut(GROUP_BYTES) {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *group else { continue };
        group.copy_from_slice(&[a, b, d, e, g, h, j, k, c, f, i, l]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_three_bytes_are_grouped() {
        let packet = |depth: u8| [&[5, 160, 0x31, depth][..], &(0..26).collect::<Vec<u8>>()].concat();
        for depth in [0x80, 0xc0] {
            let mut grouped = packet(depth);
            regroup(&mut grouped);
            assert_eq!(grouped[..16], [5, 160, 0x31, 0xc0, 0, 1, 3, 4, 6, 7, 9, 10, 2, 5, 8, 11]);
            assert_eq!(grouped[16..18], [12, 13]);
            assert_eq!(grouped[28..], [24, 25]);
        }
        let mut shallow = packet(0x40);
        regroup(&mut shallow);
        assert_eq!(shallow, packet(0x40));
        regroup(&mut []);
    }
}
