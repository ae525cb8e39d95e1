//! RFC 6381 codec strings, out of the decoder's configuration.

/// `avc1.PPCCLL` of an `AVCDecoderConfigurationRecord`.
pub fn avc_codec(config: &[u8]) -> String {
    match config {
        [_, profile, constraints, level, ..] => format!("avc1.{profile:02x}{constraints:02x}{level:02x}"),
        _ => "avc1".to_owned(),
    }
}

/// The codec string of an H.264 init segment of ours.
pub fn codecs_of_init(init: &[u8]) -> Option<String> {
    let at = init.windows(4).position(|kind| kind == b"avcC")?;
    init.get(at + 4..at + 8).map(avc_codec)
}

/// `mp4a.40.N` of an `AudioSpecificConfig`, N being its object type (2: AAC-LC).
pub fn aac_codec(config: &[u8]) -> String {
    let object_type = match config {
        [first, second, ..] if first >> 3 == 31 => 32 + ((first & 7) << 3 | second >> 5),
        [first, ..] => first >> 3,
        [] => 2,
    };
    format!("mp4a.40.{object_type}")
}
