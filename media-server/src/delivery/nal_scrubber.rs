//! Samples of the picture on their way to a viewer. What lies between the pictures is written over: a camera may have said
//! there where it was, and whose it is. Lengths stay as they are, so the recording's own index still fits.

use bytes::{Bytes, BytesMut};

/// How the picture's samples are made of units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    /// How it is coded.
    pub coding: Coding,
    /// Bytes in front of each unit that tell its length.
    pub length_bytes: u32,
}

/// How a picture is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// H.264.
    Avc,
    /// H.265.
    Hevc,
}

/// What becomes of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// A picture, or what one needs to be decoded.
    Keep,
    /// Additional information: its messages become empty ones, for it may come where nothing else may.
    BlankSei,
    /// All else: decoders pass over it.
    Filler,
}

impl Coding {
    fn action(self, head: u8) -> Action {
        match (self, head & 0x1f, head >> 1 & 0x3f) {
            (Self::Avc, 1 | 5 | 7..=11 | 19, _) => Action::Keep,
            (Self::Avc, 6, _) => Action::BlankSei,
            (Self::Avc, ..) => Action::Filler,
            (Self::Hevc, _, 0..=9 | 16..=21 | 32..=37) => Action::Keep,
            (Self::Hevc, _, 39 | 40) => Action::BlankSei,
            (Self::Hevc, ..) => Action::Filler,
        }
    }

    /// Bytes of a unit's head.
    fn head_bytes(self) -> u32 {
        match self {
            Self::Avc => 1,
            Self::Hevc => 2,
        }
    }

    /// The first byte of a unit that becomes filler.
    fn filler(self, head: u8) -> u8 {
        match self {
            // What the standard leaves to others stays what it is: filler may not come everywhere.
            Self::Avc => head,
            Self::Hevc => 38 << 1 | head & 0x81,
        }
    }
}

/// The byte at `place` of what follows the head of a unit with `length` such bytes, none of it left.
fn blank(action: Action, place: u32, length: u32) -> u8 {
    match action {
        _ if place + 1 == length => 0x80,
        // Messages of filler (type 3): one of a byte where that makes their lengths even, then empty ones.
        Action::BlankSei => match (length % 2, place) {
            (0, 0) => 3,
            (0, 1) => 1,
            (0, 2) => 0xff,
            (odd, place) => [3, 0][((place + 1 + odd) % 2) as usize],
        },
        _ => 0xff,
    }
}

/// Where in a sample the next byte lies.
#[derive(Clone, Copy, Debug)]
enum At {
    /// Among the bytes that tell a unit's length.
    Length { got: u32, told: u32 },
    /// In a unit: its action, and how far.
    Unit { action: Action, place: u32, length: u32 },
}

const FIRST: At = At::Length { got: 0, told: 0 };

/// Goes over samples that come in chunks of any size.
pub struct NalScrubber {
    framing: Framing,
    sizes: std::vec::IntoIter<u32>,
    /// Bytes of the sample that have not come.
    left: u32,
    at: At,
}

impl NalScrubber {
    /// For samples of these sizes, from the first byte of the first on.
    pub fn new(framing: Framing, sizes: Vec<u32>) -> Self {
        Self { framing, sizes: sizes.into_iter(), left: 0, at: FIRST }
    }

    /// A chunk as it may be seen: itself, or a copy where something in it is not for others.
    pub fn scrub(&mut self, chunk: Bytes) -> Bytes {
        let mut made: Option<BytesMut> = None;
        let mut from = 0;
        while from < chunk.len() {
            if self.left == 0 {
                self.at = FIRST;
                // What belongs to no sample is not given out.
                self.left = self.sizes.next().unwrap_or_else(|| {
                    self.at = At::Unit { action: Action::Filler, place: u32::MAX / 2, length: u32::MAX };
                    u32::MAX
                });
                continue;
            }
            let there = u32::try_from(chunk.len() - from).unwrap_or(u32::MAX).min(self.left);
            let passed = self.step(&chunk[from..from + there as usize], |place, byte| {
                let made = made.get_or_insert_with(|| BytesMut::from(&chunk[..]));
                made[from + place] = byte;
            });
            self.left -= passed;
            from += passed as usize;
        }
        made.map_or(chunk, BytesMut::freeze)
    }

    /// Goes over bytes of one sample, some at least; answers how many. `put` changes one of them.
    fn step(&mut self, bytes: &[u8], mut put: impl FnMut(usize, u8)) -> u32 {
        let there = bytes.len() as u32;
        match self.at {
            At::Length { got, told } if got < self.framing.length_bytes => {
                self.at = At::Length { got: got + 1, told: told << 8 | u32::from(bytes[0]) };
                1
            }
            At::Length { told: 0, .. } => {
                self.at = FIRST;
                0
            }
            At::Length { told, .. } => {
                let (coding, head) = (self.framing.coding, bytes[0]);
                let action = coding.action(head);
                if action == Action::Filler {
                    put(0, coding.filler(head));
                }
                // A unit that is longer than its sample ends with it.
                self.at = At::Unit { action, place: 1, length: told.min(self.left) };
                1
            }
            At::Unit { place, length, .. } if place >= length => {
                self.at = FIRST;
                0
            }
            At::Unit { action, place, length } => {
                let passed = (length - place).min(there);
                if action != Action::Keep {
                    let head = self.framing.coding.head_bytes();
                    for (at, nth) in (place..place + passed).enumerate().filter(|&(_, nth)| nth >= head) {
                        put(at, blank(action, nth - head, length - head));
                    }
                }
                self.at = At::Unit { action, place: place + passed, length };
                passed
            }
        }
    }
}

/// The sizes of a fragment's samples, by its `moof`; none where it does not tell each of them.
pub fn sample_sizes(moof: &[u8]) -> Option<Vec<u32>> {
    let run = child(child(child(moof, b"moof")?, b"traf")?, b"trun")?;
    let word = |at: usize| Some(u32::from_be_bytes(run.get(at..at + 4)?.try_into().ok()?));
    let (flags, count) = (word(0)? & 0x00ff_ffff, word(4)? as usize);
    let bits = |mask: u32| (flags & mask).count_ones() as usize;
    // After the count one word for each of the first bits; then for each sample, in this order, one for each of the others.
    let (first, each, before) = (8 + 4 * bits(0x5), 4 * bits(0xf00), 4 * bits(0x100));
    let samples = run.get(first..)?;
    if flags & 0x200 == 0 || samples.len() / each < count {
        return None;
    }
    samples
        .chunks_exact(each)
        .take(count)
        .map(|sample| Some(u32::from_be_bytes(sample.get(before..before + 4)?.try_into().ok()?)))
        .collect()
}

/// The content of the first box of a kind.
fn child<'a>(mut boxes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    loop {
        let size = u32::from_be_bytes(boxes.get(..4)?.try_into().ok()?) as usize;
        let (content, rest) = (boxes.get(8..size)?, &boxes[size..]);
        if boxes.get(4..8)? == kind {
            return Some(content);
        }
        boxes = rest;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sample(units: &[&[u8]]) -> Vec<u8> {
        units.iter().flat_map(|unit| [&(unit.len() as u32).to_be_bytes()[..], unit].concat()).collect()
    }

    fn cleaned(coding: Coding, samples: &[Vec<u8>], chunk: usize) -> Vec<u8> {
        let sizes = samples.iter().map(|sample| sample.len() as u32).collect();
        let mut scrubber = NalScrubber::new(Framing { coding, length_bytes: 4 }, sizes);
        samples.concat().chunks(chunk).flat_map(|part| scrubber.scrub(Bytes::copy_from_slice(part))).collect()
    }

    #[test]
    fn pictures_stay_and_what_a_camera_says_goes_however_the_bytes_come() {
        let place = b"\x06\x05\x14+48.8584+002.2945/ GPS\x80";
        let other = b"\x1f+48.8584+002.2945";
        let samples = [
            sample(&[b"\x09\xf0", place, b"\x65 a picture", other]),
            sample(&[b"\x41 another", &place[..22], b"\x0c+48.8584", b"\x06x"]),
            sample(&[]),
            sample(&[b"\x41 the last"]),
        ];
        let blank = |kind: u8, length: usize| [vec![kind], vec![0xff; length - 2], vec![0x80]].concat();
        for chunk in [1, 3, 16, 1000] {
            let made = cleaned(Coding::Avc, &samples, chunk);
            assert_eq!(made.len(), samples.concat().len());
            let told = made.windows(4).any(|part| [&b"48.8"[..], b"GPS\x80", b"here"].contains(&part));
            assert!(!told, "chunks of {chunk}");
            let expected = [
                sample(&[b"\x09\xf0", &emptied(place.len()), b"\x65 a picture", &blank(0x1f, other.len())]),
                sample(&[b"\x41 another", &emptied(22), &blank(12, 9), b"\x06\x80"]),
                sample(&[b"\x41 the last"]),
            ];
            assert_eq!(made, expected.concat(), "chunks of {chunk}");
        }
    }

    /// Additional information of which nothing is left.
    fn emptied(length: usize) -> Vec<u8> {
        let body = length as u32 - 1;
        [6].into_iter().chain((0..body).map(|place| blank(Action::BlankSei, place, body))).collect()
    }

    #[test]
    fn emptied_information_is_made_of_whole_messages() {
        for length in 4..600_u32 {
            let made: Vec<u8> = (0..length).map(|place| blank(Action::BlankSei, place, length)).collect();
            let mut rest = &made[..];
            while rest.len() > 1 {
                let (kind, size) = (rest[0], usize::from(rest[1]));
                assert_eq!(kind, 3, "{length}: {made:x?}");
                rest = &rest[2 + size..];
            }
            assert_eq!(rest, [0x80], "{length}: {made:x?}");
            assert!(!made.windows(3).any(|part| part[..2] == [0, 0] && part[2] < 4), "no start code");
        }
    }

    #[test]
    fn h265_is_cleaned_alike() {
        let samples = [sample(&[b"\x4e\x01\x05\x05place\x80", b"\x28\x01 a picture", b"\x7c\x01 where"])];
        let made = cleaned(Coding::Hevc, &samples, 5);
        let units: [&[u8]; 3] = [
            b"\x4e\x01\x03\x01\xff\x03\x00\x03\x00\x80",
            b"\x28\x01 a picture",
            b"\x4c\x01\xff\xff\xff\xff\xff\x80",
        ];
        assert_eq!(made, sample(&units));
    }

    #[test]
    fn lengths_that_lie_end_with_their_sample() {
        let mut long = sample(&[b"\x06 where"]);
        long[2] = 0xff;
        let made = cleaned(Coding::Avc, &[long, sample(&[b"\x65 a picture"])], 7);
        assert!(made.ends_with(b"\x65 a picture") && !made.windows(5).any(|part| part == b"where"));
        let mut scrubber = NalScrubber::new(Framing { coding: Coding::Avc, length_bytes: 4 }, vec![5]);
        let made = scrubber.scrub(Bytes::from_static(b"\0\0\0\x01\x65of no sample"));
        assert_eq!(made, [&b"\0\0\0\x01\x65"[..], &[0xff; 12]].concat());
    }

    #[test]
    fn sizes_are_read_from_a_fragment() {
        let boxed = |kind: &[u8; 4], content: &[u8]| {
            [&(content.len() as u32 + 8).to_be_bytes()[..], kind, content].concat()
        };
        let run = |flags: u32, words: &[u32]| {
            let words: Vec<u8> =
                [&[flags], words].concat().iter().flat_map(|word| word.to_be_bytes()).collect();
            let traf = [boxed(b"tfhd", b"some"), boxed(b"trun", &words)].concat();
            let moof = [boxed(b"mfhd", b""), boxed(b"traf", &traf)].concat();
            sample_sizes(&[boxed(b"moof", &moof), vec![0, 0, 0, 9], b"mdat".to_vec()].concat())
        };
        assert_eq!(run(0x201, &[2, 99, 10, 20]), Some(vec![10, 20]));
        assert_eq!(run(0xb05, &[2, 99, 7, 1, 10, 5, 1, 20, 5]), Some(vec![10, 20]));
        assert_eq!(run(0x101, &[1, 99, 10]), None, "no sizes");
        assert_eq!(run(0x201, &[3, 99, 10, 20]), None, "more samples than sizes");
        assert_eq!(sample_sizes(b"moof"), None);
    }
}
