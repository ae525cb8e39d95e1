//! Sequence and picture parameter sets of H.264 (ITU-T H.264, 7.3.2), as far as a player needs
//! them.

use super::bits::Bits;
use crate::fmp4::Colour;

/// A sequence parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceParameterSet {
    /// `profile_idc`.
    pub profile: u8,
    /// `level_idc`: ten times the level.
    pub level: u8,
    /// 1 for 4:2:0.
    pub chroma_format: u32,
    /// Bits of luma and chroma samples.
    pub bit_depths: (u32, u32),
    /// Maximum number of frames that a decoder keeps for reference.
    pub max_reference_frames: u32,
    /// Whether every coded picture is a complete frame, none a field (`frame_mbs_only_flag`).
    pub frames_only: bool,
    /// Width after cropping, in pixels.
    pub width: u32,
    /// Height after cropping, in pixels.
    pub height: u32,
    /// Pixel aspect ratio, if declared.
    pub pixel_shape: Option<(u32, u32)>,
    /// Colour, if declared.
    pub colour: Option<Colour>,
}

/// Reads a sequence parameter set, with its header byte.
pub fn parse_sps(nal: &[u8]) -> Option<SequenceParameterSet> {
    let (first, payload) = nal.split_first()?;
    if first & 0x1f != 7 {
        return None;
    }
    let bits = &mut Bits::new(payload);
    let profile = bits.bits(8)? as u8;
    bits.bits(8)?;
    let level = bits.bits(8)? as u8;
    bits.ue()?;
    let (mut chroma_format, mut bit_depths, mut separate) = (1, (8, 8), false);
    if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
        chroma_format = bits.ue()?;
        separate = chroma_format == 3 && bits.bit()? == 1;
        bit_depths = (8_u32.checked_add(bits.ue()?)?, 8_u32.checked_add(bits.ue()?)?);
        bits.bit()?;
        if bits.bit()? == 1 {
            for list in 0..if chroma_format == 3 { 12 } else { 8 } {
                if bits.bit()? == 1 {
                    scaling_list(bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.ue()?;
    match bits.ue()? {
        0 => {
            bits.ue()?;
        }
        1 => {
            bits.bit()?;
            bits.se()?;
            bits.se()?;
            for _ in 0..bits.ue()?.min(256) {
                bits.se()?;
            }
        }
        _ => {}
    }
    let max_reference_frames = bits.ue()?;
    bits.bit()?;
    let (columns, rows) = (bits.ue()?.checked_add(1)?, bits.ue()?.checked_add(1)?);
    let frames_only = bits.bit()? == 1;
    if !frames_only {
        bits.bit()?;
    }
    bits.bit()?;
    let fields = if frames_only { 1 } else { 2 };
    let mut size = (columns.checked_mul(16)?, rows.checked_mul(16 * fields)?);
    if bits.bit()? == 1 {
        let unit = match (separate, chroma_format) {
            (false, 1) => (2, 2),
            (false, 2) => (2, 1),
            _ => (1, 1),
        };
        let (left, right, top, bottom) = (bits.ue()?, bits.ue()?, bits.ue()?, bits.ue()?);
        size.0 = size.0.checked_sub(left.checked_add(right)?.checked_mul(unit.0)?)?;
        size.1 = size.1.checked_sub(top.checked_add(bottom)?.checked_mul(unit.1 * fields)?)?;
    }
    let (pixel_shape, colour) = if bits.bit()? == 1 { usability(bits)? } else { (None, None) };
    let (width, height) = size;
    Some(SequenceParameterSet {
        profile,
        level,
        chroma_format,
        bit_depths,
        max_reference_frames,
        frames_only,
        width,
        height,
        pixel_shape,
        colour,
    })
}

fn scaling_list(bits: &mut Bits<'_>, length: u32) -> Option<()> {
    let mut next = 8_i64;
    for _ in 0..length {
        if next != 0 {
            next = (next + bits.se()?) & 0xff;
        }
    }
    Some(())
}

/// Pixel aspect ratio and colour, if declared.
type Usability = (Option<(u32, u32)>, Option<Colour>);

/// Reads the beginning of the video usability information (E.1.1).
fn usability(bits: &mut Bits<'_>) -> Option<Usability> {
    // Table E-1.
    const SHAPES: [(u32, u32); 17] = [
        (0, 0),
        (1, 1),
        (12, 11),
        (10, 11),
        (16, 11),
        (40, 33),
        (24, 11),
        (20, 11),
        (32, 11),
        (80, 33),
        (18, 11),
        (15, 11),
        (64, 33),
        (160, 99),
        (4, 3),
        (3, 2),
        (2, 1),
    ];
    let mut shape = None;
    if bits.bit()? == 1 {
        let declared = match bits.bits(8)? {
            255 => (bits.bits(16)?, bits.bits(16)?),
            number => SHAPES.get(number as usize).copied().unwrap_or((0, 0)),
        };
        // A zero means that the ratio is not specified.
        shape = (declared.0 > 0 && declared.1 > 0).then_some(declared);
    }
    if bits.bit()? == 1 {
        bits.bit()?;
    }
    let mut colour = None;
    if bits.bit()? == 1 {
        bits.bits(3)?;
        let full_range = bits.bit()? == 1;
        let mut declared = Colour { primaries: 2, transfer: 2, matrix: 2, full_range };
        if bits.bit()? == 1 {
            declared.primaries = bits.bits(8)? as u16;
            declared.transfer = bits.bits(8)? as u16;
            declared.matrix = bits.bits(8)? as u16;
        }
        colour = Some(declared);
    }
    Some((shape, colour))
}

/// Whether a picture parameter set, with its header byte, allows slices in any order of
/// macroblocks, which browsers cannot decode. `None` if it cannot be read.
pub fn has_slice_groups(nal: &[u8]) -> Option<bool> {
    let bits = &mut Bits::new(nal.get(1..)?);
    bits.ue()?;
    bits.ue()?;
    bits.bits(2)?;
    Some(bits.ue()? > 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    /// x264: 1920x1080, High, square pixels, BT.709.
    const SPS: &str = "67640028acd940780227e5c05a808080a0000003002000000781e30632c0";

    #[test]
    fn a_sequence_says_size_shape_and_colour() {
        let made = parse_sps(&hex(SPS)).unwrap();
        assert_eq!((made.profile, made.level, made.max_reference_frames), (100, 40, 4));
        assert_eq!((made.width, made.height), (1920, 1080), "cropped from 1088");
        assert_eq!((made.chroma_format, made.bit_depths, made.frames_only), (1, (8, 8), true));
        assert_eq!(made.pixel_shape, Some((1, 1)));
        assert_eq!(made.colour, Some(Colour { primaries: 1, transfer: 1, matrix: 1, full_range: false }));
        // x264: 640x480 of 4:2:2 with ten bits, in fields.
        let odd = parse_sps(&hex("677a001eb6cd940a07b60220000003002000000643e28532c0")).unwrap();
        assert_eq!((odd.profile, odd.width, odd.height, odd.frames_only), (122, 640, 480, false));
        assert_eq!((odd.chroma_format, odd.bit_depths, odd.pixel_shape), (2, (10, 10), Some((1, 1))));
    }

    #[test]
    fn what_is_cut_off_or_something_else_is_not_read() {
        assert_eq!(parse_sps(&hex(SPS)[..6]), None);
        assert_eq!(parse_sps(&hex("68ebe3cb22c0")), None);
        assert_eq!(parse_sps(&[]), None);
        assert_eq!(has_slice_groups(&hex("68ebe3cb22c0")), Some(false));
        // Two slice groups: 1, 1, two bits, then 010.
        assert_eq!(has_slice_groups(&[0x68, 0b1100_0100]), Some(true));
        assert_eq!(has_slice_groups(&[0x68]), None);
    }
}
