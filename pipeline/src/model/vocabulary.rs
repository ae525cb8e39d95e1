//! Token texts. The packages list them one a line, each byte shown as a printable character (GPT-2's mapping);
//! whisper.cpp wants the bytes themselves.

use crate::error::{Error, Result};

/// Reads the first `count` tokens as bytes.
pub fn tokens(text: &str, count: usize) -> Result<Vec<Vec<u8>>> {
    let table = table();
    let mut out = Vec::with_capacity(count);
    for line in text.split('\n').take(count) {
        let bytes: Option<Vec<u8>> =
            line.chars().map(|c| table.iter().position(|t| *t == c).map(|b| b as u8)).collect();
        out.push(bytes.ok_or_else(|| Error::internal("a token of the vocabulary has an unknown character"))?);
    }
    if out.len() < count {
        return Err(Error::internal("the vocabulary is too short"));
    }
    Ok(out)
}

/// The character each byte is shown as: itself where it can be printed, else the next one from U+0100 on.
fn table() -> Vec<char> {
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
        // «Ġ» is a space, «Ã©» the two bytes of é, «Ċ» a newline.
        let got = tokens("!\nĠthe\nÃ©\nĊ\n", 4).unwrap();
        assert_eq!(got, [b"!".to_vec(), b" the".to_vec(), "é".as_bytes().to_vec(), b"\n".to_vec()]);
    }

    #[test]
    fn what_is_not_a_vocabulary_is_refused() {
        assert!(tokens("one\ntwo", 3).is_err());
        assert!(tokens("日本", 1).is_err());
    }
}
