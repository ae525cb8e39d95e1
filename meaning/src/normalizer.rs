//! Normalisation of text as SentencePiece's `nmt_nfkc`: compatible characters become one, runs of
//! white space one mark.

/// Stands for a space.
pub const SPACE_MARK: &str = "\u{2581}";

/// Replacements of character sequences: a trie of their bytes (a double array as the library
/// darts-clone writes it), and the texts that take their place.
pub struct Normalizer {
    units: Vec<u32>,
    /// The replacements, each ended by a zero.
    texts: Vec<u8>,
}

impl Normalizer {
    /// Reads the rules as a SentencePiece model has them. `None` if they are damaged.
    pub fn parse(rules: &[u8]) -> Option<Self> {
        let (size, rest) = rules.split_first_chunk::<4>()?;
        let (trie, texts) = rest.split_at_checked(u32::from_le_bytes(*size) as usize)?;
        let units = trie.as_chunks::<4>().0.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
        Some(Self { units, texts: texts.to_vec() })
    }

    /// Normalises a text. The result begins with a space mark, and is empty for white space alone.
    pub fn normalize(&self, text: &str) -> String {
        let mut out = String::from(SPACE_MARK);
        let mut left = text;
        let mut is_after_space = true;
        while !left.is_empty() {
            let (mut piece, length) = self.replaced_prefix(left);
            left = &left[length..];
            if is_after_space {
                piece = piece.trim_start_matches(' ');
            }
            if let Some(last) = piece.chars().next_back() {
                is_after_space = last == ' ';
                piece.split_inclusive(' ').for_each(|part| match part.strip_suffix(' ') {
                    Some(part) => out.extend([part, SPACE_MARK]),
                    None => out.push_str(part),
                });
            }
        }
        out.truncate(out.trim_end_matches(SPACE_MARK).len());
        out
    }

    /// What takes the place of the longest sequence that begins `text`, and the length of that
    /// sequence. Without a rule this is the first character itself.
    fn replaced_prefix<'a>(&'a self, text: &'a str) -> (&'a str, usize) {
        let replaced = self.longest_rule(text.as_bytes()).and_then(|(value, length)| {
            let rest = self.texts.get(value..)?;
            let end = rest.iter().position(|byte| *byte == 0)?;
            let replacement = std::str::from_utf8(&rest[..end]).ok()?;
            text.is_char_boundary(length).then_some((replacement, length))
        });
        replaced.unwrap_or_else(|| {
            let length = text.chars().next().map_or(0, char::len_utf8);
            (&text[..length], length)
        })
    }

    /// The position of a replacement, and the length of what it replaces.
    fn longest_rule(&self, text: &[u8]) -> Option<(usize, usize)> {
        let offset = |unit: u32| (unit >> 10) << ((unit & 0x200) >> 6);
        let mut node = offset(*self.units.first()?);
        let mut found = None;
        for (at, byte) in text.iter().enumerate() {
            node ^= u32::from(*byte);
            let unit = *self.units.get(node as usize)?;
            if unit & 0x8000_00ff != u32::from(*byte) {
                break;
            }
            node ^= offset(unit);
            if unit & 0x100 != 0 {
                let value = self.units.get(node as usize)? & 0x7fff_ffff;
                found = Some((value as usize, at + 1));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn white_space_becomes_single_marks() {
        // Without rules; the test of the model has those of the model.
        let normalizer = Normalizer::parse(&[0; 4]).unwrap();
        assert_eq!(normalizer.normalize("  one  two "), "\u{2581}one\u{2581}two");
        assert_eq!(normalizer.normalize("   "), "");
        assert!(Normalizer::parse(&[9, 0, 0, 0, 1]).is_none());
    }
}
