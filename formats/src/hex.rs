//! Hexadecimal text.

use std::fmt::Write;

/// Returns the bytes as lower-case hexadecimal text.
pub fn encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Returns the bytes of hexadecimal text; `None` if it is none, or of another length.
pub fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |at: usize| char::from(digits[at]).to_digit(16);
        *byte = (digit(0)? << 4 | digit(1)?) as u8;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_two_lower_case_digits_each() {
        assert_eq!(encode(&[]), "");
        assert_eq!(encode(&[0x00, 0x0a, 0xff]), "000aff");
        assert_eq!(decode("000aff"), Some([0x00, 0x0a, 0xff]));
        for other in ["000af", "000aff00", "000agf", "+00aff", "00\u{e4}ff"] {
            assert_eq!(decode::<3>(other), None, "{other}");
        }
    }
}
