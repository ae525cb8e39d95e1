//! A look into samples themselves: is a keyframe one that decoding can start at, and does the camera write more than
//! pictures. Not every sample is read: a look costs a read, and in object storage a read of blocks.

use std::io;
use std::time::{Duration, Instant};

use super::entry::Coding;
use super::hevc::{self, Unit};
use super::plan::Key;
use super::{Declined, Stop, declined};
use crate::source::{ReadAt, read_full};

/// Keyframes looked at however slow the source is; the sample after each is looked at too.
const LEAST: usize = 12;
/// For how long more of them are looked at: a local file's are all read in this time, up to an hour and more.
const PATIENCE: Duration = Duration::from_millis(250);
/// Bytes read at a time.
const WINDOW: usize = 2048;
/// Units looked at in one sample.
const MOST_UNITS: usize = 64;
/// Largest unit of additional information that is read; an encoder's settings take less than one thousand.
const LARGEST_SEI: usize = 16 << 10;

/// Encoders known to put nothing but their own name and settings into user data.
const KNOWN_ENCODERS: [[u8; 16]; 3] = [
    // x264.
    *b"\xdc\x45\xe9\xbd\xe6\xd9\x48\xb7\x96\x2c\xd8\x20\xd9\x23\xee\xef",
    // x265.
    *b"\x2c\xa2\xde\x09\xb5\x17\x47\xdb\xbb\x55\xa4\xfe\x7f\xc2\xfc\x4e",
    // Apple's: ten bytes that change with rate control.
    *b"\x47\x56\x4a\xdc\x5c\x4c\x43\x3f\x94\xef\xc5\x11\x3c\xd1\x43\xa8",
];

/// What one sample is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    /// Decoding can start at its picture.
    key: bool,
    /// It carries what is no picture, and may be a camera's own data.
    camera_data: bool,
    /// It changes the sequence's parameters.
    other_sequence: bool,
    /// It has parameters where there may be none.
    parameters: bool,
    /// It lies beyond the end of the file.
    cut_off: bool,
    /// Its lengths do not fit.
    damaged: bool,
}

/// How samples are to be read.
pub struct Reading<'a> {
    /// The file.
    pub source: &'a dyn ReadAt,
    /// How pictures are coded.
    pub coding: Coding,
    /// Bytes that tell a unit's length.
    pub length_bytes: usize,
    /// The decoder's configuration record.
    pub config: &'a [u8],
}

impl Reading<'_> {
    /// Looks at keyframes spread over the recording, and at the sample after each.
    pub fn check(&self, keys: &[Key]) -> Result<(), Stop> {
        let begun = Instant::now();
        if self.coding == Coding::Hevc {
            // An encoder may say of itself there what others say in the first picture.
            let (_, units) = hevc::config(self.config)?;
            let camera_data = units.into_iter().any(|unit| match hevc::unit(unit[0]) {
                Unit::Information => !known_information(&unit[1..]),
                Unit::Parameters => false,
                _ => true,
            });
            fit(Seen { camera_data, ..Seen::default() }, false)?;
        }
        for (looked, place) in spread(keys.len()).enumerate() {
            if looked >= LEAST && begun.elapsed() > PATIENCE {
                break;
            }
            let key = &keys[place];
            fit(self.sample(key.offset, key.size)?, true)?;
            if let Some((offset, size)) = key.next {
                fit(self.sample(offset, size)?, false)?;
            }
        }
        Ok(())
    }

    fn sample(&self, offset: u64, size: u32) -> io::Result<Seen> {
        let mut seen = Seen::default();
        if offset.saturating_add(u64::from(size)) > self.source.size_bytes() {
            return Ok(Seen { cut_off: true, ..seen });
        }
        let size = size as usize;
        let mut window = Window { source: self.source, offset, size, from: 0, bytes: Vec::new() };
        let mut at = 0;
        for _ in 0..MOST_UNITS {
            if at == size {
                return Ok(seen);
            }
            let head = window.get(at, self.length_bytes + 1)?;
            let Some((kind, length)) = head.split_last() else {
                return Ok(Seen { damaged: true, ..seen });
            };
            let (kind, length) =
                (self.unit(*kind), length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)));
            at += self.length_bytes;
            if length == 0 || length > size - at {
                return Ok(Seen { damaged: true, ..seen });
            }
            match kind {
                Unit::Key => seen.key = true,
                Unit::Information if length > LARGEST_SEI => seen.camera_data = true,
                Unit::Information => {
                    let unit = window.get(at, length)?;
                    // H.265's units have one more byte in front.
                    let head = usize::from(self.coding == Coding::Hevc);
                    seen.camera_data |= !known_information(unit.get(head..).unwrap_or_default());
                }
                Unit::Parameters if self.coding == Coding::Hevc => seen.parameters = true,
                Unit::Parameters => {
                    let set = window.get(at, length.min(WINDOW))?;
                    seen.other_sequence |= !self.config.windows(set.len()).any(|part| part == set);
                }
                Unit::Plain => {}
                Unit::Other => seen.camera_data = true,
            }
            at += length;
        }
        Ok(seen)
    }

    fn unit(&self, first: u8) -> Unit {
        match (self.coding, first & 0x1f) {
            (Coding::Hevc, _) => hevc::unit(first),
            (Coding::Avc, 5) => Unit::Key,
            (Coding::Avc, 6) => Unit::Information,
            (Coding::Avc, 7) => Unit::Parameters,
            (Coding::Avc, 1 | 8..=15 | 19) => Unit::Plain,
            // Partitions of slices, and what the standard leaves to others.
            (Coding::Avc, _) => Unit::Other,
        }
    }
}

fn fit(seen: Seen, key: bool) -> Result<(), Declined> {
    if seen.cut_off {
        return Err(super::cut_off());
    }
    if seen.damaged {
        return Err(declined("damaged", "The recording is damaged."));
    }
    if seen.camera_data {
        return Err(declined(
            "camera_data",
            "The camera has written data of its own between the pictures, which we do not pass on.",
        ));
    }
    if seen.parameters {
        return Err(declined(
            "codec",
            "The picture is stored in a way that browsers do not play: its parameters are among the pictures.",
        ));
    }
    if seen.other_sequence {
        return Err(declined("several_descriptions", "The recording changes its format on the way."));
    }
    if key && !seen.key {
        return Err(super::open_gop());
    }
    Ok(())
}

/// Whether additional information (7.3.2.3.1), with the unit's header byte, is only what a decoder needs or an encoder
/// says of itself.
fn known_information(unit: &[u8]) -> bool {
    let bytes = unescaped(unit.get(1..).unwrap_or_default());
    let mut rest = &bytes[..];
    // The unit ends with a set bit and clear ones.
    while rest.len() > 1 {
        let Some((kind, after)) = number(rest) else { return false };
        let Some((length, after)) = number(after) else { return false };
        let Some((payload, after)) = after.split_at_checked(length) else { return false };
        let known = match kind {
            4 => known_registered(payload),
            5 => payload.get(..16).is_some_and(|id| KNOWN_ENCODERS.iter().any(|known| known == id)),
            0..=205 => true,
            _ => false,
        };
        if !known {
            return false;
        }
        rest = after;
    }
    true
}

/// Captions and picture shape as broadcasters write them, and how bright the scene is: nothing of the place or device.
fn known_registered(payload: &[u8]) -> bool {
    let known: [&[u8]; 3] = [b"\xb5\x00\x31GA94", b"\xb5\x00\x31DTG1", b"\xb5\x00\x3c\x00\x01"];
    known.iter().any(|start| payload.starts_with(start))
}

/// A number in bytes of which all but the last are 255.
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let full = bytes.iter().take_while(|&&byte| byte == 255).count();
    Some((full * 255 + usize::from(*bytes.get(full)?), &bytes[full + 1..]))
}

/// Without the bytes that keep start codes out.
fn unescaped(bytes: &[u8]) -> Vec<u8> {
    let mut made = Vec::with_capacity(bytes.len());
    let mut zeros = 0;
    for &byte in bytes {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        made.push(byte);
    }
    made
}

/// A sample's bytes, read a little at a time.
struct Window<'a> {
    source: &'a dyn ReadAt,
    offset: u64,
    size: usize,
    from: usize,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// `count` bytes at a place in the sample; nothing where it or the file has fewer.
    fn get(&mut self, at: usize, count: usize) -> io::Result<&[u8]> {
        let there = |window: &Self| at >= window.from && at + count <= window.from + window.bytes.len();
        if !there(self) {
            let wanted = count.max(WINDOW).min(self.size.saturating_sub(at));
            self.bytes.resize(wanted, 0);
            let read = read_full(self.source, self.offset + at as u64, &mut self.bytes)?;
            self.bytes.truncate(read);
            self.from = at;
        }
        Ok(if there(self) { &self.bytes[at - self.from..][..count] } else { &[] })
    }
}

/// The numbers below `count`, each once: first and last, then always as far as can be from those before.
fn spread(count: usize) -> impl Iterator<Item = usize> {
    let ends = (count > 0).then_some(0).into_iter().chain((count > 1).then(|| count - 1));
    let bits = usize::BITS - count.leading_zeros();
    let inner = (1..1_usize << bits).map(move |place| place.reverse_bits() >> (usize::BITS - bits));
    ends.chain(inner.filter(move |&place| place > 0 && place + 1 < count))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::source::Bytes;

    /// A sample of units with lengths of four bytes.
    fn sample(units: &[&[u8]]) -> Vec<u8> {
        units.iter().flat_map(|unit| [&(unit.len() as u32).to_be_bytes()[..], unit].concat()).collect()
    }

    fn seen(bytes: Vec<u8>) -> Seen {
        let size = bytes.len() as u32;
        let source = Bytes(bytes);
        let (coding, config) = (Coding::Avc, &b"--\x67sequence--"[..]);
        Reading { source: &source, coding, length_bytes: 4, config }.sample(0, size).unwrap()
    }

    fn user_data(id: &[u8; 16], more: usize) -> Vec<u8> {
        let size = 16 + more;
        let mut made = vec![6, 5];
        made.extend(std::iter::repeat_n(255, size / 255));
        made.push((size % 255) as u8);
        made.extend(id);
        made.extend(std::iter::repeat_n(b'x', more));
        made.push(0x80);
        made
    }

    #[test]
    fn a_keyframe_is_told_from_another_picture() {
        let slice = |kind: u8| [vec![kind], vec![7; 5000]].concat();
        let known = user_data(&KNOWN_ENCODERS[0], 700);
        let whole = Seen { key: true, ..Seen::default() };
        assert_eq!(
            seen(sample(&[b"\x09\xf0", b"\x67sequence", b"\x68p", &known, &slice(0x65), &slice(0x65)])),
            whole
        );
        assert_eq!(seen(sample(&[&slice(0x41)])), Seen::default());
        assert_eq!(fit(Seen::default(), true).unwrap_err().code, "open_gop");
        assert!(fit(Seen::default(), false).is_ok());
        assert!(seen(sample(&[b"\x67another", &slice(0x65)])).other_sequence);
        let mut cut = sample(&[&slice(0x65)]);
        cut.truncate(200);
        assert!(seen(cut).damaged);
        let source = Bytes(vec![0; 100]);
        let reading = Reading { source: &source, coding: Coding::Avc, length_bytes: 4, config: b"" };
        assert!(reading.sample(50, 51).unwrap().cut_off);
    }

    #[test]
    fn h265_is_looked_at_alike() {
        let seen = |units: &[&[u8]]| {
            let bytes = sample(units);
            let (size, source) = (bytes.len() as u32, Bytes(bytes));
            let (coding, config) = (Coding::Hevc, &b"--"[..]);
            Reading { source: &source, coding, length_bytes: 4, config }.sample(0, size).unwrap()
        };
        let information = |id: &[u8; 16]| [&b"\x4e\x01\x05\x10"[..], id, b"\x80"].concat();
        let whole = Seen { key: true, ..Seen::default() };
        assert_eq!(seen(&[b"\x46\x01\x50", &information(&KNOWN_ENCODERS[1]), b"\x28\x01picture"]), whole);
        assert!(!seen(&[b"\x02\x01picture"]).key);
        assert!(seen(&[&information(b"where I have bee"), b"\x28\x01picture"]).camera_data);
        assert!(seen(&[b"\x42\x01sequence", b"\x28\x01picture"]).parameters);
        assert!(!seen(&[b"\x28\x01picture", b"\x7c\x01how bright"]).camera_data);
        assert!(seen(&[b"\x28\x01picture", b"\x7e\x01anything"]).camera_data);
    }

    #[test]
    fn data_of_the_camera_is_seen() {
        let carries = |unit: &[u8]| seen(sample(&[unit, b"\x65picture"])).camera_data;
        assert!(!carries(&user_data(&KNOWN_ENCODERS[1], 10)));
        assert!(carries(&user_data(b"where I have bee", 100)[..]));
        assert!(carries(&[0x7f, 1, 2, 3]), "units the standard leaves to others");
        assert!(!carries(b"\x06\x01\x02ab\x06\x01c\x80"), "when to show, and where to recover");
        assert!(!carries(b"\x06\x04\x08\xb5\x00\x31GA94c\x80"));
        assert!(carries(b"\x06\x04\x08\xb5\x12\x34place\x80"));
        assert!(carries(b"\x06\x05\xff\x80"), "longer than it is");
    }

    #[test]
    fn places_are_spread_and_each_comes_once() {
        for count in [0, 1, 2, 3, 7, 8, 100] {
            let mut places: Vec<usize> = spread(count).collect();
            places.sort_unstable();
            assert_eq!(places, (0..count).collect::<Vec<_>>());
        }
        assert_eq!(spread(100).take(5).collect::<Vec<_>>(), [0, 99, 64, 32, 96]);
    }
}
