//! What an H.265 picture's configuration says (ISO/IEC 14496-15, 8.3.3.1), and what its units are.

use crate::declined::{DeclineReason, declined};

/// Bytes of an `HEVCDecoderConfigurationRecord` before its parameter sets.
const HEAD: usize = 23;
/// Highest level taken: 5.2, 4K at 60 frames a second.
const HIGHEST_LEVEL: u8 = 156;
const SEQUENCE: u8 = 33;

/// What a unit in a sample is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitKind {
    /// A part of a picture that decoding can start at. Whether pictures after it are shown before it, the times tell.
    Key,
    /// A parameter set. Those of H.265 are in the configuration and nowhere else.
    Parameters,
    /// Nothing to look at: a part of another picture, a delimiter, or what the server writes over.
    Plain,
}

impl UnitKind {
    /// The kind of a unit, by its first byte (ITU-T H.265, table 7-1).
    pub fn from_first_byte(first: u8) -> Self {
        match first >> 1 & 0x3f {
            16..=21 => Self::Key,
            32..=34 => Self::Parameters,
            _ => Self::Plain,
        }
    }
}

/// Checks that browsers which play H.265 at all play this; answers how many bytes tell a unit's length.
pub fn check_config(config: &[u8]) -> Result<usize, DeclineReason> {
    let unreadable = || declined("damaged_index", "The recording's index is damaged.");
    let [1, profile, ..] = *config else { return Err(unreadable()) };
    let head = config.get(..HEAD).ok_or_else(unreadable)?;
    let length_bytes = usize::from(head[21] & 3) + 1;
    if length_bytes == 3 {
        return Err(unreadable());
    }
    if !matches!(profile & 0x1f, 1 | 2) {
        return Err(declined("profile", "The picture uses a form of H.265 that browsers do not play."));
    }
    let depth = (head[17] & 7).max(head[18] & 7);
    if head[16] & 3 != 1 || depth > 2 {
        return Err(declined("colour_depth", "The picture has finer colours than browsers play."));
    }
    if head[12] > HIGHEST_LEVEL {
        return Err(declined(
            "level",
            "The picture is larger or faster than browsers can be relied on to play.",
        ));
    }
    let units = parameter_sets(config).ok_or_else(unreadable)?;
    let mut sequences = units.iter().filter(|unit| unit[0] >> 1 & 0x3f == SEQUENCE);
    let (Some(_), None) = (sequences.next(), sequences.next()) else {
        return Err(declined("several_descriptions", "The recording changes its format on the way."));
    };
    Ok(length_bytes)
}

/// The units of a configuration, none of them empty.
pub fn parameter_sets(config: &[u8]) -> Option<Vec<&[u8]>> {
    let mut units = Vec::new();
    let mut rest = config.get(HEAD..)?;
    for _ in 0..config[HEAD - 1] {
        let (&[_, high, low], after) = rest.split_first_chunk::<3>()?;
        rest = after;
        for _ in 0..u16::from_be_bytes([high, low]) {
            let (length, after) = rest.split_first_chunk::<2>()?;
            let length = usize::from(u16::from_be_bytes(*length));
            units.push(after.get(..length).filter(|unit| unit.len() >= 2)?);
            rest = after.get(length..)?;
        }
    }
    // What follows could be anything.
    rest.is_empty().then_some(units)
}

/// A configuration of parameter sets alone, which says of them that there are no others, as `hvc1` has it.
pub fn hvc1_config(config: &[u8]) -> Vec<u8> {
    let (mut made, mut arrays, mut at) = (config[..HEAD].to_vec(), 0, HEAD);
    for _ in 0..config[HEAD - 1] {
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
    made[HEAD - 1] = arrays;
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
        let mut told = made.clone();
        told[HEAD - 1] = 4;
        told.extend(b"\x27\0\x01\0\x09\x4e\x01\x05\x04here\x80");
        assert_eq!(
            (check_config(&told).unwrap(), hvc1_config(&told)),
            (4, hvc1_config(&made)),
            "what an encoder says of itself"
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
    fn units_are_told_apart() {
        assert_eq!(UnitKind::from_first_byte(0x26), UnitKind::Key, "IDR");
        assert_eq!(UnitKind::from_first_byte(0x2a), UnitKind::Key, "CRA");
        assert_eq!(UnitKind::from_first_byte(0x02), UnitKind::Plain);
        assert_eq!(UnitKind::from_first_byte(0x46), UnitKind::Plain, "a delimiter");
        assert_eq!(UnitKind::from_first_byte(0x42), UnitKind::Parameters);
        assert_eq!(UnitKind::from_first_byte(0x4e), UnitKind::Plain, "additional information");
    }
}
