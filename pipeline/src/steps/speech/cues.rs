//! Readable cues from words: at most two lines of 42 columns, at most seven seconds, cut where
//! people pause.

use serde::{Deserialize, Serialize};

use super::words::Word;
use crate::captions;

/// Maximum width of a line, in columns.
const MAX_LINE_COLUMNS: usize = 42;
/// Maximum duration of a cue's words, in ms.
const MAX_CUE_MS: u64 = 7_000;
/// Minimum pause at which a new cue starts, in ms.
const MIN_PAUSE_MS: u64 = 700;
/// Time by which a cue appears before its first word if there is room, in ms.
const LEAD_MS: u64 = 300;
/// Time for which a cue stays after its last word if there is room, in ms.
const LINGER_MS: u64 = 400;
/// Minimum time for which a cue is displayed if there is room, in ms.
const MIN_CUE_MS: u64 = 1_000;

/// A caption with its words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cue {
    /// Number, from 1.
    pub id: u32,
    /// Time at which it appears, in ms.
    pub start_ms: u64,
    /// Time at which it disappears, in ms.
    pub end_ms: u64,
    /// Its text on one line.
    pub text: String,
    /// Its words, within the cue's time.
    pub words: Vec<Word>,
}

/// Makes the cues of all words of a recording. They do not overlap, and end within `duration_ms`.
pub fn make_cues(words: &[Word], uses_spaces: bool, duration_ms: u64) -> Vec<Cue> {
    let words = put_in_order(words, duration_ms);
    let mut groups: Vec<&[Word]> = Vec::new();
    let mut first = 0;
    for index in 1..=words.len() {
        if index == words.len()
            || words[index].start_ms.saturating_sub(words[index - 1].end_ms) >= MIN_PAUSE_MS
        {
            split_until_readable(&words[first..index], uses_spaces, &mut groups);
            first = index;
        }
    }
    let mut cues: Vec<Cue> = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        let (first_ms, last_ms) = (group[0].start_ms, group[group.len() - 1].end_ms);
        let floor = cues.last().map_or(0, |cue| cue.end_ms);
        let start_ms = first_ms.saturating_sub(LEAD_MS).max(floor);
        let ceiling = groups.get(index + 1).map_or(duration_ms, |next| {
            let next = next[0].start_ms;
            // Leaves room for the next cue to appear early.
            next.saturating_sub(LEAD_MS).max(last_ms).min(next)
        });
        let end_ms = (last_ms + LINGER_MS).max(start_ms + MIN_CUE_MS).min(ceiling).max(last_ms);
        let text = join(group, uses_spaces);
        cues.push(Cue { id: index as u32 + 1, start_ms, end_ms, text, words: group.to_vec() });
    }
    cues
}

/// Converts a cue to a caption. Breaks its text into two lines if it is too long for one.
pub fn to_caption(cue: &Cue, uses_spaces: bool) -> captions::Caption {
    captions::Caption {
        start_ms: cue.start_ms,
        end_ms: cue.end_ms,
        text: break_lines(&cue.words, uses_spaces).join("\n"),
    }
}

/// Returns the words with times that never go back, never overlap and lie within the recording.
fn put_in_order(words: &[Word], duration_ms: u64) -> Vec<Word> {
    let mut now = 0;
    let mut out: Vec<Word> = Vec::with_capacity(words.len());
    for word in words {
        let start_ms = word.start_ms.max(now);
        let end_ms = word.end_ms.max(start_ms + 1).min(duration_ms);
        if start_ms < end_ms {
            now = end_ms;
            out.push(Word { start_ms, end_ms, text: word.text.clone() });
        }
    }
    out
}

/// Splits words without a long pause between them until each part is readable.
fn split_until_readable<'a>(words: &'a [Word], uses_spaces: bool, out: &mut Vec<&'a [Word]>) {
    let duration_ms = words[words.len() - 1].end_ms - words[0].start_ms;
    if words.len() < 2 || (duration_ms <= MAX_CUE_MS && break_lines(words, uses_spaces).len() <= 2) {
        out.push(words);
        return;
    }
    let total_width = width(&join(words, uses_spaces)) as f32;
    let mut before = 0.0;
    let mut best = (f32::NEG_INFINITY, 1);
    for at in 1..words.len() {
        let word = &words[at - 1];
        before += width(&word.text) as f32 + if uses_spaces { 1.0 } else { 0.0 };
        let mark = match word.text.chars().last() {
            Some('.' | '?' | '!' | '。' | '？' | '！') => 1.0,
            Some(',' | ';' | ':' | '，' | '、' | '…') => 0.6,
            _ => 0.0,
        };
        let pause = words[at].start_ms.saturating_sub(word.end_ms).min(600) as f32 / 600.0;
        // Parts of similar length read best, a part of one word reads worst.
        let off_centre = (before / total_width - 0.5).abs() * 2.0;
        let single_word = if at == 1 || at + 1 == words.len() { 0.5 } else { 0.0 };
        let score = mark + pause - off_centre - single_word;
        if score > best.0 {
            best = (score, at);
        }
    }
    split_until_readable(&words[..best.1], uses_spaces, out);
    split_until_readable(&words[best.1..], uses_spaces, out);
}

/// Breaks words into as few lines as hold them. Two lines get about the same length.
fn break_lines(words: &[Word], uses_spaces: bool) -> Vec<String> {
    let line = join(words, uses_spaces);
    if width(&line) <= MAX_LINE_COLUMNS {
        return vec![line];
    }
    let best = (1..words.len())
        .map(|at| (join(&words[..at], uses_spaces), join(&words[at..], uses_spaces)))
        .filter(|(first, second)| width(first) <= MAX_LINE_COLUMNS && width(second) <= MAX_LINE_COLUMNS)
        .min_by_key(|(first, second)| width(first).abs_diff(width(second)));
    if let Some((first, second)) = best {
        return vec![first, second];
    }
    // Too long for two lines: fill one after the other.
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        let space = if uses_spaces { " " } else { "" };
        match lines.last_mut() {
            Some(line) if width(line) + space.len() + width(&word.text) <= MAX_LINE_COLUMNS => {
                line.push_str(space);
                line.push_str(&word.text);
            }
            _ => lines.push(word.text.clone()),
        }
    }
    lines
}

fn join(words: &[Word], uses_spaces: bool) -> String {
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    texts.join(if uses_spaces { " " } else { "" })
}

/// Returns the width in columns: characters of East Asian scripts take two.
fn width(text: &str) -> usize {
    text.chars().map(|c| if c >= '\u{2e80}' { 2 } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn said(text: &str, start_ms: u64, word_ms: u64) -> Vec<Word> {
        let word = |(i, text): (usize, &str)| {
            let start_ms = start_ms + i as u64 * word_ms;
            Word { start_ms, end_ms: start_ms + word_ms, text: text.to_owned() }
        };
        text.split_whitespace().enumerate().map(word).collect()
    }

    #[test]
    fn a_pause_starts_a_cue_and_a_cue_comes_a_little_early() {
        let mut words = said("Where are you going?", 1000, 300);
        words.extend(said("Home.", 4000, 400));
        let cues = make_cues(&words, true, 4500);
        assert_eq!(cues.len(), 2);
        assert_eq!((cues[0].start_ms, cues[0].end_ms), (700, 2600));
        assert_eq!((cues[1].start_ms, cues[1].end_ms), (3700, 4500));
        assert_eq!(cues[0].text, "Where are you going?");
        assert_eq!((cues[1].id, cues[1].words.len()), (2, 1));
    }

    #[test]
    fn long_speech_is_cut_after_its_sentences_and_set_on_two_lines() {
        let text = "This is the first sentence of them all, which is rather long. \
                    And this is another one that follows it at once.";
        let cues = make_cues(&said(text, 0, 250), true, 60_000);
        assert_eq!(cues[0].text, "This is the first sentence of them all, which is rather long.");
        assert_eq!(
            to_caption(&cues[0], true).text,
            "This is the first sentence of\nthem all, which is rather long."
        );
        assert!(cues[1].text.starts_with("And"));
    }

    #[test]
    fn scripts_without_spaces_are_joined_without() {
        let words = said("砸 自己 的 脚", 0, 300);
        assert_eq!(make_cues(&words, false, 2000)[0].text, "砸自己的脚");
    }

    proptest! {
        #[test]
        fn cues_are_readable_in_order_and_within_the_recording(
            words in proptest::collection::vec(("[a-zA-Z]{1,14}[,.]?", 0u64..3000, 1u64..900), 0..120),
            short in 0u64..4000,
        ) {
            let mut now = 0;
            let words: Vec<Word> = words.into_iter().map(|(text, gap, length)| {
                let start_ms = now + gap.saturating_sub(1500);
                now = start_ms + length;
                Word { start_ms, end_ms: now, text }
            }).collect();
            let duration_ms = now.saturating_sub(short);
            let cues = make_cues(&words, true, duration_ms);
            let mut last = 0;
            for cue in &cues {
                prop_assert!(last <= cue.start_ms && cue.start_ms < cue.end_ms && cue.end_ms <= duration_ms);
                prop_assert!(cue.words[0].start_ms >= cue.start_ms);
                prop_assert!(cue.words.last().unwrap().end_ms <= cue.end_ms);
                prop_assert!(cue.words.windows(2).all(|w| w[0].end_ms <= w[1].start_ms));
                let displayed = to_caption(cue, true).text;
                prop_assert!(displayed.lines().count() <= 2);
                prop_assert!(displayed.lines().all(|l| l.chars().count() <= MAX_LINE_COLUMNS));
                let cue_ms = cue.end_ms - cue.start_ms;
                prop_assert!(cue_ms <= MAX_CUE_MS + LEAD_MS + LINGER_MS || cue.words.len() == 1);
                last = cue.end_ms;
            }
            if short == 0 {
                prop_assert_eq!(cues.iter().map(|c| c.words.len()).sum::<usize>(), words.len());
            }
        }
    }
}
