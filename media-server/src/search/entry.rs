//! A passage as a string, stored with its index terms. A word takes some nine bytes with its times;
//! as JSON it took sixty. It is no byte string, because the engine reads these byte by byte.

use super::transcript::{Passage, SpokenCue, SpokenWord};

/// Bytes of the greatest number.
const MAX_NUMBER_BYTES: usize = 11;

/// What is stored of a passage.
#[derive(Clone, Debug, PartialEq)]
pub struct PassageEntry {
    /// The recording.
    pub recording: String,
    /// The language spoken: a primary subtag.
    pub language: String,
    /// The passage.
    pub passage: Passage,
}

impl PassageEntry {
    /// The entry as a string.
    pub fn write(&self) -> String {
        let mut out = String::with_capacity(2_048);
        text(&mut out, &self.recording);
        text(&mut out, &self.language);
        number(&mut out, self.passage.first as u64);
        number(&mut out, self.passage.own as u64);
        number(&mut out, self.passage.cues.len() as u64);
        let mut at = 0;
        for cue in &self.passage.cues {
            step(&mut out, &mut at, cue.start_ms);
            let mut end = at;
            step(&mut out, &mut end, cue.end_ms);
            text(&mut out, &cue.text);
            number(&mut out, u64::from(cue.doubt_percent));
            // Timed words are mostly the text's own, so their text is stored once.
            let same = cue.text.split_whitespace().eq(cue.words.iter().map(|word| word.text.trim()));
            number(&mut out, (cue.words.len() as u64) << 1 | u64::from(same));
            let mut time = at;
            for word in &cue.words {
                step(&mut out, &mut time, word.start_ms);
                step(&mut out, &mut time, word.end_ms);
                if !same {
                    text(&mut out, &word.text);
                }
            }
        }
        out
    }

    /// Reads an entry. `None` if the string is none.
    pub fn read(entry: &str) -> Option<Self> {
        let mut left = entry;
        let (recording, language) = (read_text(&mut left)?, read_text(&mut left)?);
        let (first, own) = (read_number(&mut left)? as usize, read_number(&mut left)? as usize);
        let count = read_number(&mut left)?;
        let mut cues = Vec::new();
        let mut at = 0;
        for _ in 0..count {
            let start_ms = read_step(&mut left, &mut at)?;
            let end_ms = read_step(&mut left, &mut { at })?;
            let text = read_text(&mut left)?;
            let doubt_percent = u8::try_from(read_number(&mut left)?).ok()?;
            let header = read_number(&mut left)?;
            let mut texts = text.split_whitespace();
            let mut words = Vec::new();
            let mut time = at;
            for _ in 0..header >> 1 {
                let start_ms = read_step(&mut left, &mut time)?;
                let end_ms = read_step(&mut left, &mut time)?;
                let text = match header & 1 {
                    1 => texts.next()?.to_owned(),
                    _ => read_text(&mut left)?,
                };
                words.push(SpokenWord { start_ms, end_ms, text });
            }
            cues.push(SpokenCue { start_ms, end_ms, text, words, doubt_percent });
        }
        Some(Self { recording, language, passage: Passage { first, own, cues } })
    }
}

/// A number in ASCII characters of six bits each, lowest first. All but the last have bit 6.
fn number(out: &mut String, mut value: u64) {
    while value >= 0x40 {
        out.push(char::from(value as u8 & 0x3f | 0x40));
        value >>= 6;
    }
    out.push(char::from(value as u8));
}

fn read_number(left: &mut &str) -> Option<u64> {
    let mut value = 0;
    for (at, byte) in left.bytes().enumerate().take(MAX_NUMBER_BYTES) {
        value |= u64::from(byte & 0x3f) << (6 * at);
        if byte & 0x40 == 0 {
            *left = left.get(at + 1..)?;
            return Some(value);
        }
    }
    None
}

/// A time as the difference to the one before, which it becomes. Times mostly rise, but need not.
fn step(out: &mut String, at: &mut u64, time: u64) {
    let difference = time.wrapping_sub(*at) as i64;
    number(out, (difference << 1 ^ difference >> 63) as u64);
    *at = time;
}

fn read_step(left: &mut &str, at: &mut u64) -> Option<u64> {
    let value = read_number(left)?;
    let difference = (value >> 1) as i64 ^ -((value & 1) as i64);
    *at = at.wrapping_add(difference as u64);
    Some(*at)
}

fn text(out: &mut String, text: &str) {
    number(out, text.len() as u64);
    out.push_str(text);
}

fn read_text(left: &mut &str) -> Option<String> {
    let length = usize::try_from(read_number(left)?).ok()?;
    let (text, rest) = left.split_at_checked(length)?;
    *left = rest;
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_cue() -> impl Strategy<Value = SpokenCue> {
        let word = (any::<u64>(), any::<u64>(), "\\PC{0,6}")
            .prop_map(|(start_ms, end_ms, text)| SpokenWord { start_ms, end_ms, text });
        (any::<u64>(), any::<u64>(), prop::collection::vec(word, 0..5), any::<bool>(), 0..=100_u8).prop_map(
            |(start_ms, end_ms, mut words, same, doubt_percent)| {
                words.iter_mut().for_each(|word| word.text = word.text.trim().to_owned());
                let mut text = words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
                if !same {
                    text.push_str(" more");
                }
                SpokenCue { start_ms, end_ms, text, words, doubt_percent }
            },
        )
    }

    proptest! {
        #[test]
        fn an_entry_is_read_as_it_was_written(
            cues in prop::collection::vec(any_cue(), 0..4),
            (first, own) in (0..1_000_usize, 0..9_usize),
        ) {
            let passage = Passage { first, own, cues };
            let entry = PassageEntry { recording: "r1".into(), language: "en".into(), passage };
            let written = entry.write();
            prop_assert_eq!(PassageEntry::read(&written), Some(entry));
            for (cut, _) in written.char_indices() {
                prop_assert_eq!(PassageEntry::read(&written[..cut]), None);
            }
        }
    }
}
