//! MPEG-4 video in AVI, unpacked: encoders put two frames into one packet ("packed bitstream") and
//! an empty frame into a later one, so that old players need no reordering.

use gstreamer as gst;

use crate::container::avi_delay::FRAME_START;

/// Maximum size of a placeholder: a frame that only stands in for one that was packed earlier.
const MAX_PLACEHOLDER_BYTES: usize = 19;
/// First two bits of the byte behind a B-frame's start code.
const B_FRAME: u8 = 0b10;

/// Rearranges packets so that each has one frame.
#[derive(Default)]
pub(super) struct Unpacker {
    /// A frame that belongs to a later packet.
    held: Option<gst::Buffer>,
}

impl Unpacker {
    /// Replaces a packet with the frame that belongs there.
    pub(super) fn unpack(&mut self, packet: &mut gst::Buffer) {
        let Ok(map) = packet.map_readable() else { return };
        let starts: Vec<usize> =
            map.windows(4).enumerate().filter(|(_, bytes)| *bytes == FRAME_START).map(|(at, _)| at).collect();
        let is_b = |start: usize| map.get(start + 4).is_some_and(|byte| byte >> 6 == B_FRAME);
        let is_placeholder =
            map.len() <= MAX_PLACEHOLDER_BYTES && starts.first().is_some_and(|&at| !is_b(at));
        let size = map.len();
        drop(map);
        let (frame, held) = match (starts[..].get(1), self.held.take()) {
            (Some(&second), _) => (part(packet, 0, second), part(packet, second, size)),
            (None, Some(held)) if starts.len() == 1 => {
                (Some(held), (!is_placeholder).then(|| packet.clone()))
            }
            (None, held) => {
                self.held = held;
                return;
            }
        };
        self.held = held;
        if let Some(mut frame) = frame {
            let (pts, dts, duration) = (packet.pts(), packet.dts(), packet.duration());
            let stamped = frame.make_mut();
            stamped.set_pts(pts);
            stamped.set_dts(dts);
            stamped.set_duration(duration);
            *packet = frame;
        }
    }

    /// Discards the held frame, before decoding continues elsewhere.
    pub(super) fn clear(&mut self) {
        self.held = None;
    }
}

/// The bytes of a packet from one offset to another.
fn part(packet: &gst::BufferRef, from: usize, to: usize) -> Option<gst::Buffer> {
    packet.copy_region(gst::BufferCopyFlags::MEMORY | gst::BufferCopyFlags::FLAGS, from..to).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn each_packet_gets_one_frame_in_the_order_of_decoding() {
        gst::init().unwrap();
        let frame = |kind: u8, length: usize| [&FRAME_START[..], &vec![kind << 6; length]].concat();
        let (i, p, b, c) = (frame(0, 40), frame(1, 30), frame(2, 10), frame(2, 25));
        let (large, placeholder) = (frame(1, 35), frame(1, 3));
        for (packets, frames) in [
            // One B-frame, two, and a tiny one, which is no placeholder.
            (vec![i.clone(), [&p[..], &b].concat(), placeholder.clone()], vec![&i, &p, &b]),
            (vec![[&p[..], &c].concat(), b.clone(), placeholder.clone(), i.clone()], vec![&p, &c, &b, &i]),
            // Not packed.
            (vec![i.clone(), p.clone(), b.clone(), placeholder.clone()], vec![&i, &p, &b, &placeholder]),
            // Without the placeholder.
            (vec![[&p[..], &b].concat(), large.clone(), i.clone()], vec![&p, &b, &large]),
        ] {
            let mut unpacker = Unpacker::default();
            let unpacked: Vec<Vec<u8>> = packets
                .into_iter()
                .enumerate()
                .map(|(number, bytes)| {
                    let time = gst::ClockTime::from_seconds(number as u64);
                    let mut packet = gst::Buffer::from_slice(bytes);
                    packet.make_mut().set_pts(time);
                    unpacker.unpack(&mut packet);
                    assert_eq!(packet.pts(), Some(time));
                    packet.map_readable().unwrap().to_vec()
                })
                .collect();
            assert_eq!(unpacked.iter().collect::<Vec<_>>(), frames);
        }
    }
}
