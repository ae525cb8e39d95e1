//! Token texts. The packages list one per line, each byte written as a printable character (GPT-2's
//! mapping). whisper.cpp expects the bytes.

use crate::error::{Error, Result};

/// Reads the first `count` tokens as bytes.
pub fn parse_tokens(text: &str, count: usize) -> Result<Vec<Vec<u8>>> {
    let characters = byte_characters();
    let mut out = Vec::with_capacity(count);
    for line in text.split('\n').take(count) {
        let bytes: Option<Vec<u8>> =
            line.chars().map(|c| characters.iter().position(|known| *known == c).map(|b| b as u8)).collect();
        out.push(bytes.ok_or_else(|| Error::internal("a token of the vocabulary has an unknown character"))?);
    }
    if out.len() < count {
        return Err(Error::internal("the vocabulary is too short"));
    }
    Ok(out)
}

/// The character that stands for each byte: itself if it is printable, else the next one from
/// U+0100.
fn byte_characters() -> Vec<char> {
    let mut next = 0x100;
    (0..=255u8)
        .map(|byte| match byte {
            b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte),
            _ => {
                next += 1;
                char::from_u32(next - 1).unwrap_or('\u{fffd}')
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn characters_become_bytes() {
        // "Ġ" stands for a space, "Ã©" for the two bytes of é, "Ċ" for a newline.
        let got = parse_tokens("!\nĠthe\nÃ©\nĊ\n", 4).unwrap();
        assert_eq!(got, [b"!".to_vec(), b" the".to_vec(), "é".as_bytes().to_vec(), b"\n".to_vec()]);
    }

    #[test]
    fn what_is_not_a_vocabulary_is_refused() {
        assert!(parse_tokens("one\ntwo", 3).is_err());
        assert!(parse_tokens("日本", 1).is_err());
    }
}
