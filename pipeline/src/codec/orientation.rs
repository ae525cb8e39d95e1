//! Orientation in coded frames: display orientation messages in H.264 and H.265, EXIF in JPEG.

use gstreamer as gst;

use super::bits::Bits;
use crate::media::Orientation;

/// Bytes of a message unit that are read.
const MAX_MESSAGE_BYTES: usize = 4096;
/// Payload type of a display orientation message, in H.264 and in H.265.
const DISPLAY_ORIENTATION: u32 = 47;

/// Orientation that one coded frame declares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameOrientation {
    /// Orientation from this frame on; `None` if the frame declares none.
    pub turn: Option<Orientation>,
    /// Whether decoding can start at it.
    pub is_start: bool,
}

/// Reads the orientation of frames of one coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrientationReader {
    /// H.264, with start codes (`None`) or with unit lengths of this many bytes.
    H264(Option<usize>),
    /// H.265, likewise.
    H265(Option<usize>),
    /// JPEG.
    Jpeg,
}

impl OrientationReader {
    /// Creates a reader for a stream; `None` if frames of its coding carry no orientation.
    pub fn new(caps: &gst::CapsRef) -> Option<Self> {
        let s = caps.structure(0)?;
        // ISO/IEC 14496-15: `lengthSizeMinusOne` of both configuration records.
        let length_bytes = |at: usize| {
            let config = s.get::<gst::Buffer>("codec_data").ok()?;
            let config = config.map_readable().ok()?;
            (config.first() == Some(&1)).then(|| config.get(at).map(|byte| usize::from(byte & 3) + 1))?
        };
        let in_lengths = s.get::<&str>("stream-format").is_ok_and(|format| format != "byte-stream");
        let length_bytes = |at| if in_lengths { length_bytes(at) } else { None };
        match s.name().as_str() {
            "video/x-h264" => Some(Self::H264(length_bytes(4))),
            "video/x-h265" => Some(Self::H265(length_bytes(21))),
            "image/jpeg" => Some(Self::Jpeg),
            _ => None,
        }
    }

    /// Reads the orientation of a frame, of which `data` is all.
    pub fn read(self, data: &[u8]) -> FrameOrientation {
        match self {
            Self::Jpeg => FrameOrientation { turn: Some(exif(data).unwrap_or_default()), is_start: true },
            Self::H264(length_bytes) => declared(data, length_bytes, avc_unit),
            Self::H265(length_bytes) => declared(data, length_bytes, hevc_unit),
        }
    }
}

/// Content of a NAL unit of a coded frame, by its first bytes.
enum UnitContent {
    /// Messages, after a header of this many bytes.
    Messages(usize),
    /// Coded samples, which come after messages; `true` if decoding can start here.
    Samples(bool),
    Other,
}

fn avc_unit(unit: &[u8]) -> UnitContent {
    match unit.first().map(|head| head & 0x1f) {
        Some(6) => UnitContent::Messages(1),
        Some(kind @ 1..=5) => UnitContent::Samples(kind == 5),
        _ => UnitContent::Other,
    }
}

fn hevc_unit(unit: &[u8]) -> UnitContent {
    match unit.first().map(|head| head >> 1 & 0x3f) {
        Some(39) => UnitContent::Messages(2),
        Some(kind @ 0..=31) => UnitContent::Samples((16..=21).contains(&kind)),
        _ => UnitContent::Other,
    }
}

/// Reads the units before a frame's first samples.
fn declared(
    data: &[u8],
    length_bytes: Option<usize>,
    kind: impl Fn(&[u8]) -> UnitContent,
) -> FrameOrientation {
    let mut declared = FrameOrientation::default();
    let mut rest = data;
    while let Some(unit) = split_unit(rest, length_bytes) {
        match kind(unit) {
            UnitContent::Samples(is_start) => return FrameOrientation { is_start, ..declared },
            UnitContent::Messages(head) => {
                let messages = &unit[..unit.len().min(MAX_MESSAGE_BYTES)];
                declared.turn = messages.get(head..).and_then(display_orientation).or(declared.turn);
            }
            UnitContent::Other => {}
        }
        rest = match length_bytes {
            // With start codes, a unit ends where the next start code begins.
            None => unit,
            Some(bytes) => match rest.get(bytes + number_of(&rest[..bytes])..) {
                Some(after) => after,
                None => break,
            },
        };
    }
    declared
}

/// Returns the first unit of `data`. With start codes, it includes all bytes that follow.
fn split_unit(data: &[u8], length_bytes: Option<usize>) -> Option<&[u8]> {
    let Some(bytes) = length_bytes else {
        let start = data.windows(3).position(|bytes| bytes == [0, 0, 1])?;
        return data.get(start + 3..).filter(|unit| !unit.is_empty());
    };
    let (head, rest) = data.split_at_checked(bytes)?;
    Some(&rest[..number_of(head).min(rest.len())])
}

fn number_of(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

/// Reads the orientation from a unit of messages (ITU-T H.264 and H.265, D.2). A cancelled one is
/// upright. The persistence is not read: see [`crate::gst::orientation`].
fn display_orientation(messages: &[u8]) -> Option<Orientation> {
    let bits = &mut Bits::new(messages);
    loop {
        let (kind, size) = (type_or_size(bits)?, type_or_size(bits)?);
        if kind != DISPLAY_ORIENTATION {
            (0..size).try_for_each(|_| bits.bits(8).map(|_| ()))?;
            continue;
        }
        if bits.bit()? == 1 {
            return Some(Orientation::default());
        }
        let flips = (bits.bit()? == 1, bits.bit()? == 1);
        let anticlockwise = f64::from(bits.bits(16)?) * 360.0 / 65_536.0;
        return Some(Orientation::nearest(flips, -anticlockwise));
    }
}

/// Reads a payload's type or size (7.3.2.3.1): the sum of bytes of 255 and a last one below that.
fn type_or_size(bits: &mut Bits<'_>) -> Option<u32> {
    let mut sum = 0_u32;
    loop {
        let byte = bits.bits(8)?;
        sum = sum.checked_add(byte)?;
        if byte < 255 {
            return Some(sum);
        }
    }
}

/// Reads the orientation from a JPEG's EXIF segment.
fn exif(data: &[u8]) -> Option<Orientation> {
    let mut rest = data.strip_prefix(&[0xff, 0xd8])?;
    loop {
        let (&[0xff, marker, high, low], _) = rest.split_first_chunk::<4>()? else { return None };
        let segment = rest.get(4..2 + usize::from(u16::from_be_bytes([high, low])))?;
        match marker {
            0xe1 if segment.starts_with(b"Exif\0\0") => return tiff_orientation(&segment[6..]),
            // Samples follow.
            0xda => return None,
            _ => rest = &rest[4 + segment.len()..],
        }
    }
}

/// Reads the orientation from the first directory of a TIFF (tag 0x112).
fn tiff_orientation(tiff: &[u8]) -> Option<Orientation> {
    let is_little_endian = match tiff.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let number = |at: usize, bytes: usize| {
        let mut found = tiff.get(at..at.checked_add(bytes)?)?.to_vec();
        if is_little_endian {
            found.reverse();
        }
        Some(number_of(&found))
    };
    let first = number(4, 4)?;
    for entry in 0..number(first, 2)? {
        let at = first + 2 + entry * 12;
        if number(at, 2)? == 0x112 {
            let (flips, degrees) = match number(at + 8, 2)? {
                2 => ((true, false), 0.0),
                3 => ((false, false), 180.0),
                4 => ((false, true), 0.0),
                5 => ((true, false), 270.0),
                6 => ((false, false), 90.0),
                7 => ((true, false), 90.0),
                8 => ((false, false), 270.0),
                _ => return None,
            };
            return Some(Orientation::nearest(flips, degrees));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn turn(degrees: u16, mirrored: bool) -> Option<Orientation> {
        Some(Orientation { degrees, mirrored })
    }

    /// A display orientation message, with its unit's header, as the standards lay it out.
    fn message(head: &[u8], cancel: bool, flips: (bool, bool), anticlockwise: u16) -> Vec<u8> {
        let mut bits = vec![cancel];
        if !cancel {
            bits.extend([flips.0, flips.1]);
            bits.extend((0..16).rev().map(|bit| anticlockwise >> bit & 1 == 1));
            // The repetition period (1) and the extension flag, or the persistence flag.
            bits.extend([false, true, false, false]);
        }
        bits.resize(bits.len().next_multiple_of(8), false);
        let payload: Vec<u8> =
            bits.chunks(8).map(|byte| byte.iter().fold(0, |sum, &bit| sum << 1 | u8::from(bit))).collect();
        let mut unit = [head, &[5, 2, 7, 7], &[47, payload.len() as u8]].concat();
        // Emulation prevention bytes.
        for byte in payload.into_iter().chain([0x80]) {
            if unit.ends_with(&[0, 0]) && byte <= 3 {
                unit.push(3);
            }
            unit.push(byte);
        }
        unit
    }

    fn after_start_codes(units: &[&[u8]]) -> Vec<u8> {
        units.iter().flat_map(|unit| [&[0, 0, 0, 1], *unit].concat()).collect()
    }

    fn after_lengths(units: &[&[u8]]) -> Vec<u8> {
        units.iter().flat_map(|unit| [&(unit.len() as u16).to_be_bytes()[..], unit].concat()).collect()
    }

    #[test]
    fn messages_of_h264_and_h265_turn_frames() {
        let quarter = 0x4000;
        for (cancel, flips, anticlockwise, expected) in [
            (false, (false, false), quarter, turn(270, false)),
            (false, (false, false), 3 * quarter, turn(90, false)),
            (false, (true, false), quarter, turn(270, true)),
            (false, (false, true), 0, turn(180, true)),
            (false, (true, true), 0, turn(180, false)),
            (true, (false, false), 0, turn(0, false)),
        ] {
            for bytes in [None, Some(2)] {
                let read = |reader: OrientationReader, units: &[&[u8]]| {
                    reader.read(&if bytes.is_none() {
                        after_start_codes(units)
                    } else {
                        after_lengths(units)
                    })
                };
                let avc = message(&[0x06], cancel, flips, anticlockwise);
                let first = read(
                    OrientationReader::H264(bytes),
                    &[b"\x09\xf0", b"\x67s", b"\x68p", &avc, b"\x65\0\0"],
                );
                assert_eq!(first, FrameOrientation { turn: expected, is_start: true });
                assert!(!read(OrientationReader::H264(bytes), &[&avc, b"\x41\x9a"]).is_start);
                let hevc = message(&[0x4e, 1], cancel, flips, anticlockwise);
                let first = read(OrientationReader::H265(bytes), &[b"\x46\x01\x50", &hevc, b"\x26\x01\xaf"]);
                assert_eq!(first, FrameOrientation { turn: expected, is_start: true });
            }
        }
    }

    #[test]
    fn frames_without_a_message_or_truncated_declare_nothing() {
        let plain = after_start_codes(&[b"\x06\x05\x02\x07\x07\x80", b"\x41\x9a"]);
        assert_eq!(OrientationReader::H264(None).read(&plain), FrameOrientation::default());
        for bytes in [None, Some(4)] {
            for cut in [&[][..], &[0], &[0, 0, 1], &[0, 0, 0, 9, 6, 47]] {
                assert_eq!(OrientationReader::H264(bytes).read(cut).turn, None);
                assert_eq!(OrientationReader::H265(bytes).read(cut).turn, None);
            }
        }
    }

    #[test]
    fn exif_turns_a_jpeg_and_its_absence_does_not() {
        let jpeg = |orientation: u16, little: bool| {
            let short = |n: u16| if little { n.to_le_bytes() } else { n.to_be_bytes() };
            let long = |n: u32| if little { n.to_le_bytes() } else { n.to_be_bytes() };
            let mut tiff = if little { b"II*\0".to_vec() } else { b"MM\0*".to_vec() };
            tiff.extend([&long(8)[..], &short(1), &short(0x112), &short(3), &long(1)].concat());
            tiff.extend([short(orientation), [0, 0]].concat());
            let exif = [b"Exif\0\0", &tiff[..]].concat();
            let length = (exif.len() as u16 + 2).to_be_bytes();
            [b"\xff\xd8\xff\xe0\0\x04AB\xff\xe1", &length[..], &exif, b"\xff\xda\0\x02"].concat()
        };
        for (orientation, expected) in [
            (1, turn(0, false)),
            (2, turn(0, true)),
            (3, turn(180, false)),
            (4, turn(180, true)),
            (5, turn(270, true)),
            (6, turn(90, false)),
            (7, turn(90, true)),
            (8, turn(270, false)),
        ] {
            for little in [true, false] {
                assert_eq!(OrientationReader::Jpeg.read(&jpeg(orientation, little)).turn, expected);
            }
        }
        assert_eq!(OrientationReader::Jpeg.read(b"\xff\xd8\xff\xda\0\x02").turn, turn(0, false));
        let complete = jpeg(6, true);
        (0..complete.len()).for_each(|end| _ = OrientationReader::Jpeg.read(&complete[..end]));
    }
}
