//! Overwrites the NAL units that are not video (SEI, filler) in the samples of a source, on their
//! way to a viewer.
//!
//! Cameras store position and owner there. Lengths do not change, so the recording's index stays
//! valid.

use bytes::{Bytes, BytesMut};
use chalkstream_formats::boxes::{find_path, u32_at};
use chalkstream_formats::{Coding, NalFraming};

/// What happens to a NAL unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// Video, or parameters that its decoder needs.
    Keep,
    /// SEI: replaced by empty messages, because it may be allowed where nothing else is.
    BlankSei,
    /// Everything else: replaced by filler, which decoders skip.
    Filler,
}

fn action(coding: Coding, head: u8) -> Action {
    match (coding, head & 0x1f, head >> 1 & 0x3f) {
        (Coding::Avc, 1 | 5 | 7..=11 | 19, _) => Action::Keep,
        (Coding::Avc, 6, _) => Action::BlankSei,
        (Coding::Avc, ..) => Action::Filler,
        (Coding::Hevc, _, 0..=9 | 16..=21 | 32..=37) => Action::Keep,
        (Coding::Hevc, _, 39 | 40) => Action::BlankSei,
        (Coding::Hevc, ..) => Action::Filler,
    }
}

/// Bytes of a unit's header.
fn header_bytes(coding: Coding) -> u32 {
    match coding {
        Coding::Avc => 1,
        Coding::Hevc => 2,
    }
}

/// The first header byte of a unit that becomes filler.
fn filler(coding: Coding, head: u8) -> u8 {
    match coding {
        // The type stays: filler is not allowed everywhere, and units of unspecified types are
        // skipped anyway.
        Coding::Avc => head,
        Coding::Hevc => 38 << 1 | head & 0x81,
    }
}

/// The byte at `offset` of a unit's payload, of which `length` bytes are overwritten.
fn blank(action: Action, offset: u32, length: u32) -> u8 {
    match action {
        _ if offset + 1 == length => 0x80,
        // Filler messages (type 3): one of a single byte if the length is odd, then empty ones.
        Action::BlankSei => match (length % 2, offset) {
            (0, 0) => 3,
            (0, 1) => 1,
            (0, 2) => 0xff,
            (odd, offset) => [3, 0][((offset + 1 + odd) % 2) as usize],
        },
        _ => 0xff,
    }
}

/// Where the next byte of a sample lies.
#[derive(Clone, Copy, Debug)]
enum UnitPosition {
    /// In the length field of a unit.
    Length { read: u32, length: u32 },
    /// In a unit: its action, and how far.
    Unit { action: Action, offset: u32, length: u32 },
}

const FIRST: UnitPosition = UnitPosition::Length { read: 0, length: 0 };

/// Scrubs samples that arrive in chunks of any size.
pub struct NalScrubber {
    framing: NalFraming,
    sizes: std::vec::IntoIter<u32>,
    /// Bytes of the current sample that have not arrived.
    left: u32,
    at: UnitPosition,
}

impl NalScrubber {
    /// For samples of these sizes, from the first byte of the first on.
    pub fn new(framing: NalFraming, sizes: Vec<u32>) -> Self {
        Self { framing, sizes: sizes.into_iter(), left: 0, at: FIRST }
    }

    /// Scrubs a chunk: returns it as it is, or a copy if something in it must not be seen.
    pub fn scrub(&mut self, chunk: Bytes) -> Bytes {
        let mut made: Option<BytesMut> = None;
        let mut from = 0;
        while from < chunk.len() {
            if self.left == 0 {
                self.at = FIRST;
                // Bytes outside of any sample are overwritten.
                self.left = self.sizes.next().unwrap_or_else(|| {
                    self.at =
                        UnitPosition::Unit { action: Action::Filler, offset: u32::MAX / 2, length: u32::MAX };
                    u32::MAX
                });
                continue;
            }
            let there = u32::try_from(chunk.len() - from).unwrap_or(u32::MAX).min(self.left);
            let passed = self.step(&chunk[from..from + there as usize], |offset, byte| {
                let made = made.get_or_insert_with(|| BytesMut::from(&chunk[..]));
                made[from + offset] = byte;
            });
            self.left -= passed;
            from += passed as usize;
        }
        made.map_or(chunk, BytesMut::freeze)
    }

    /// Processes some bytes of one sample and returns how many. `put` changes one of them.
    fn step(&mut self, bytes: &[u8], mut put: impl FnMut(usize, u8)) -> u32 {
        let there = bytes.len() as u32;
        match self.at {
            UnitPosition::Length { read, length } if read < self.framing.length_bytes => {
                self.at = UnitPosition::Length { read: read + 1, length: length << 8 | u32::from(bytes[0]) };
                1
            }
            UnitPosition::Length { length: 0, .. } => {
                self.at = FIRST;
                0
            }
            UnitPosition::Length { length, .. } => {
                let (coding, head) = (self.framing.coding, bytes[0]);
                let action = action(coding, head);
                if action == Action::Filler {
                    put(0, filler(coding, head));
                }
                // A unit that claims to be longer than its sample ends with it.
                self.at = UnitPosition::Unit { action, offset: 1, length: length.min(self.left) };
                1
            }
            UnitPosition::Unit { offset, length, .. } if offset >= length => {
                self.at = FIRST;
                0
            }
            UnitPosition::Unit { action, offset, length } => {
                let passed = (length - offset).min(there);
                if action != Action::Keep {
                    let head = header_bytes(self.framing.coding);
                    for (at, nth) in (offset..offset + passed).enumerate().filter(|&(_, nth)| nth >= head) {
                        put(at, blank(action, nth - head, length - head));
                    }
                }
                self.at = UnitPosition::Unit { action, offset: offset + passed, length };
                passed
            }
        }
    }
}

/// The sizes of a fragment's samples from its `moof`; `None` if it does not state each of them.
pub fn sample_sizes(moof: &[u8]) -> Option<Vec<u32>> {
    let run = find_path(moof, &[b"moof", b"traf", b"trun"])?;
    let (flags, count) = (u32_at(run, 0)? & 0x00ff_ffff, u32_at(run, 4)? as usize);
    let bits = |mask: u32| (flags & mask).count_ones() as usize;
    // After the count follows one word for each of the first bits. Then each sample has one word
    // for each of the others, in this order.
    let (first, each, before) = (8 + 4 * bits(0x5), 4 * bits(0xf00), 4 * bits(0x100));
    let samples = run.get(first..)?;
    if flags & 0x200 == 0 || samples.len() / each < count {
        return None;
    }
    samples.chunks_exact(each).take(count).map(|sample| u32_at(sample, before)).collect()
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
        let mut scrubber = NalScrubber::new(NalFraming { coding, length_bytes: 4 }, sizes);
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
            let leaked = made.windows(4).any(|part| [&b"48.8"[..], b"GPS\x80", b"here"].contains(&part));
            assert!(!leaked, "chunks of {chunk}");
            let expected = [
                sample(&[b"\x09\xf0", &emptied(place.len()), b"\x65 a picture", &blank(0x1f, other.len())]),
                sample(&[b"\x41 another", &emptied(22), &blank(12, 9), b"\x06\x80"]),
                sample(&[b"\x41 the last"]),
            ];
            assert_eq!(made, expected.concat(), "chunks of {chunk}");
        }
    }

    /// SEI of which nothing is left.
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
        let mut scrubber = NalScrubber::new(NalFraming { coding: Coding::Avc, length_bytes: 4 }, vec![5]);
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
