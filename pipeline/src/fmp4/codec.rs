//! RFC 6381 codec strings, from the decoder's configuration.

/// Returns `avc1.PPCCLL` for an `AVCDecoderConfigurationRecord`.
pub fn avc_codec(config: &[u8]) -> String {
    match config {
        [_, profile, constraints, level, ..] => format!("avc1.{profile:02x}{constraints:02x}{level:02x}"),
        _ => "avc1".to_owned(),
    }
}

/// Returns `hvc1.P.C.TL.B…` for an `HEVCDecoderConfigurationRecord` (ISO/IEC 14496-15, annex E).
pub fn hevc_codec(config: &[u8]) -> String {
    let [_, profile, c0, c1, c2, c3, constraints @ .., _] = config.get(..14).unwrap_or_default() else {
        return "hvc1".to_owned();
    };
    let (constraints, level) = constraints.split_at(6);
    let space = ["", "A", "B", "C"][usize::from(profile >> 6)];
    let compatible = u32::from_be_bytes([*c0, *c1, *c2, *c3]).reverse_bits();
    let tier = if profile & 0x20 == 0 { 'L' } else { 'H' };
    let mut text =
        format!("hvc1.{space}{}.{compatible:X}.{tier}{}", profile & 0x1f, level.first().unwrap_or(&0));
    let declared_bytes = constraints.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    for byte in &constraints[..declared_bytes] {
        text.push_str(&format!(".{byte:X}"));
    }
    text
}

/// Returns the codec string of one of our own H.264 init segments.
pub fn codec_of_init(init: &[u8]) -> Option<String> {
    let at = init.windows(4).position(|kind| kind == b"avcC")?;
    init.get(at + 4..at + 8).map(avc_codec)
}

/// Returns `mp4a.40.N` for an `AudioSpecificConfig`, N being its object type (2: AAC-LC).
pub fn aac_codec(config: &[u8]) -> String {
    let object_type = match config {
        [first, second, ..] if first >> 3 == 31 => 32 + ((first & 7) << 3 | second >> 5),
        [first, ..] => first >> 3,
        [] => 2,
    };
    format!("mp4a.40.{object_type}")
}
