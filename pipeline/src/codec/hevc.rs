//! H.265: decoder configurations (ISO/IEC 14496-15, 8.3.3.1) and kinds of NAL units.

use crate::declined::{DeclineReason, declined};

/// Size of an `HEVCDecoderConfigurationRecord` before its parameter sets.
const HEADER_BYTES: usize = 23;
/// Maximum level: 5.2, which is 4K at 60 frames a second.
const MAX_LEVEL: u8 = 156;
/// Type of a sequence parameter set.
const SPS_TYPE: u8 = 33;

/// Kind of a NAL unit in a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitKind {
    /// A part of a frame at which decoding can start. Later frames may be presented before it.
    Key,
    /// A parameter set. With `hvc1`, these are in the configuration and nowhere else.
    Parameters,
    /// Any other: a part of another frame, a delimiter, or a unit that the server overwrites.
    Plain,
}

impl UnitKind {
    /// Returns the kind of a unit by its first byte (ITU-T H.265, table 7-1).
    pub fn from_first_byte(first: u8) -> Self {
        match first >> 1 & 0x3f {
            16..=21 => Self::Key,
            32..=34 => Self::Parameters,
            _ => Self::Plain,
        }
    }
}

/// Checks that browsers with H.265 support play this configuration. Returns the number of bytes of
/// a unit's length.
pub fn check_config(config: &[u8]) -> Result<usize, DeclineReason> {
    let unreadable = || declined("damaged_index", "The recording's index is damaged.");
    let [1, profile, ..] = *config else { return Err(unreadable()) };
    let header = config.get(..HEADER_BYTES).ok_or_else(unreadable)?;
    let length_bytes = usize::from(header[21] & 3) + 1;
    if length_bytes == 3 {
        return Err(unreadable());
    }
    if !matches!(profile & 0x1f, 1 | 2) {
        return Err(declined("profile", "The picture uses a form of H.265 that browsers do not play."));
    }
    let depth = (header[17] & 7).max(header[18] & 7);
    if header[16] & 3 != 1 || depth > 2 {
        return Err(declined("colour_depth", "The picture has finer colours than browsers play."));
    }
    if header[12] > MAX_LEVEL {
        return Err(declined(
            "level",
            "The picture is larger or faster than browsers can be relied on to play.",
        ));
    }
    let sets = parameter_sets(config).ok_or_else(unreadable)?;
    let mut sequence_sets = sets.iter().filter(|set| set[0] >> 1 & 0x3f == SPS_TYPE);
    let (Some(_), None) = (sequence_sets.next(), sequence_sets.next()) else {
        return Err(declined("several_descriptions", "The recording changes its format on the way."));
    };
    Ok(length_bytes)
}

/// Returns the parameter sets of a configuration; `None` if it is damaged. None of the sets is
/// empty.
pub fn parameter_sets(config: &[u8]) -> Option<Vec<&[u8]>> {
    let mut units = Vec::new();
    let mut rest = config.get(HEADER_BYTES..)?;
    for _ in 0..config[HEADER_BYTES - 1] {
        let (&[_, high, low], after) = rest.split_first_chunk::<3>()?;
        rest = after;
        for _ in 0..u16::from_be_bytes([high, low]) {
            let (length, after) = rest.split_first_chunk::<2>()?;
            let length = usize::from(u16::from_be_bytes(*length));
            units.push(after.get(..length).filter(|unit| unit.len() >= 2)?);
            rest = after.get(length..)?;
        }
    }
    // Other bytes at the end could be anything.
    rest.is_empty().then_some(units)
}

/// Converts a configuration for `hvc1`: keeps parameter sets alone, and declares that there are no
/// others.
pub fn hvc1_config(config: &[u8]) -> Vec<u8> {
    let (mut made, mut arrays, mut at) = (config[..HEADER_BYTES].to_vec(), 0, HEADER_BYTES);
    for _ in 0..config[HEADER_BYTES - 1] {
        let (start, count) = (at, u16::from_be_bytes([config[at + 1], config[at + 2]]));
        at += 3;
        for _ in 0..count {
            at += 2 + usize::from(u16::from_be_bytes([config[at], config[at + 1]]));
        }
        let kind = config[start] & 0x3f;
        if matches!(kind, 32..=34) {
            made.push(0x80 | kind);
            made.extend(&config[start + 1..at]);
            arrays += 1;
        }
    }
    made[HEADER_BYTES - 1] = arrays;
    made
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fmp4::hevc_codec;

    /// A record of Main 10 at level 4, with one of each parameter set.
    pub fn record() -> Vec<u8> {
        let mut made = vec![1, 2, 0x20, 0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 120];
        made.extend([0xf0, 0, 0xfc, 0xfd, 0xfa, 0xfa, 0, 0, 0x0f, 3]);
        for (kind, unit) in [(32_u8, b"\x40\x01v"), (33, b"\x42\x01s"), (34, b"\x44\x01p")] {
            made.extend([kind, 0, 1, 0, unit.len() as u8]);
            made.extend(unit);
        }
        made
    }

    #[test]
    fn a_configuration_is_read() {
        let made = record();
        assert_eq!(check_config(&made).unwrap(), 4);
        assert_eq!(hevc_codec(&made), "hvc1.2.4.L120.B0");
        let sets = |config: &[u8]| [23, 31, 39].map(|at| config[at]);
        assert_eq!((sets(&made), sets(&hvc1_config(&made))), ([32, 33, 34], [0xa0, 0xa1, 0xa2]));
        let mut with_sei = made.clone();
        with_sei[HEADER_BYTES - 1] = 4;
        with_sei.extend(b"\x27\0\x01\0\x09\x4e\x01\x05\x04here\x80");
        assert_eq!(
            (check_config(&with_sei).unwrap(), hvc1_config(&with_sei)),
            (4, hvc1_config(&made)),
            "an encoder's description of itself is left out"
        );
        assert!(check_config(&[made, vec![0]].concat()).is_err(), "something after the sets");
    }

    #[test]
    fn what_browsers_do_not_play_is_declined() {
        let with = |at: usize, byte: u8| {
            let mut made = record();
            made[at] = byte;
            check_config(&made).err().map(|declined| declined.code)
        };
        assert_eq!(with(1, 4).as_deref(), Some("profile"));
        assert_eq!(with(16, 0xfe).as_deref(), Some("colour_depth"), "4:2:2");
        assert_eq!(with(17, 0xfc).as_deref(), Some("colour_depth"), "12 bit");
        assert_eq!(with(12, 180).as_deref(), Some("level"));
        assert_eq!(with(0, 2).as_deref(), Some("damaged_index"));
        assert_eq!(with(22, 4).as_deref(), Some("damaged_index"), "a set that is not there");
        assert_eq!(with(22, 2).as_deref(), Some("damaged_index"), "a set too many");
        assert_eq!(with(36, 0x40).as_deref(), Some("several_descriptions"), "no sequence");
        assert!(check_config(&record()[..20]).is_err());
        assert_eq!(with(22, 3), None);
    }

    #[test]
    fn kinds_of_units_are_distinguished() {
        assert_eq!(UnitKind::from_first_byte(0x26), UnitKind::Key, "IDR");
        assert_eq!(UnitKind::from_first_byte(0x2a), UnitKind::Key, "CRA");
        assert_eq!(UnitKind::from_first_byte(0x02), UnitKind::Plain);
        assert_eq!(UnitKind::from_first_byte(0x46), UnitKind::Plain, "a delimiter");
        assert_eq!(UnitKind::from_first_byte(0x42), UnitKind::Parameters);
        assert_eq!(UnitKind::from_first_byte(0x4e), UnitKind::Plain, "additional information");
    }
}
