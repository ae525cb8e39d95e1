//! Words to captions that can be read: two lines of 42 characters at most, seven seconds at most, cut where people
//! pause.

use serde::{Deserialize, Serialize};

use super::words::Word;
use crate::captions;

/// Longest line, in characters.
const LINE: usize = 42;
/// Longest cue, in ms.
const LONGEST_MS: u64 = 7_000;
/// A pause from which a new cue starts, in ms.
const PAUSE_MS: u64 = 700;
/// How much earlier than its first word a cue appears, where there is room, in ms.
const LEAD_MS: u64 = 300;
/// How long a cue stays after its last word, where there is room, in ms.
const LINGER_MS: u64 = 400;
/// Time a cue is shown at least, where there is room, in ms.
const SHORTEST_MS: u64 = 1_000;

/// A caption with its words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cue {
    /// Number, from 1.
    pub id: u32,
    /// When it appears, in ms.
    pub start_ms: u64,
    /// When it goes, in ms.
    pub end_ms: u64,
    /// Its text on one line.
    pub text: String,
    /// Its words; within the cue's time.
    pub words: Vec<Word>,
}

/// Makes cues of all words of a recording. They do not overlap and end within `duration_ms`.
pub fn cues(words: &[Word], spaced: bool, duration_ms: u64) -> Vec<Cue> {
    let words = in_order(words, duration_ms);
    let mut groups: Vec<&[Word]> = Vec::new();
    let mut first = 0;
    for index in 1..=words.len() {
        if index == words.len() || words[index].start_ms.saturating_sub(words[index - 1].end_ms) >= PAUSE_MS {
            split(&words[first..index], spaced, &mut groups);
            first = index;
        }
    }
    let mut cues: Vec<Cue> = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        let (said, over) = (group[0].start_ms, group[group.len() - 1].end_ms);
        let floor = cues.last().map_or(0, |cue| cue.end_ms);
        let start_ms = said.saturating_sub(LEAD_MS).max(floor);
        let ceiling = groups.get(index + 1).map_or(duration_ms, |next| {
            let next = next[0].start_ms;
            // Room for the next cue to come early.
            next.saturating_sub(LEAD_MS).max(over).min(next)
        });
        let end_ms = (over + LINGER_MS).max(start_ms + SHORTEST_MS).min(ceiling).max(over);
        let text = join(group, spaced);
        cues.push(Cue { id: index as u32 + 1, start_ms, end_ms, text, words: group.to_vec() });
    }
    cues
}

/// The cue as a caption, broken into two lines where it is too long for one.
pub fn caption(cue: &Cue, spaced: bool) -> captions::Caption {
    captions::Caption {
        start_ms: cue.start_ms,
        end_ms: cue.end_ms,
        text: lines(&cue.words, spaced).join("\n"),
    }
}

/// Words with times that never go back, never overlap and lie within the recording.
fn in_order(words: &[Word], duration_ms: u64) -> Vec<Word> {
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

/// Splits words said without a long pause until each part can be read.
fn split<'a>(words: &'a [Word], spaced: bool, out: &mut Vec<&'a [Word]>) {
    let length_ms = words[words.len() - 1].end_ms - words[0].start_ms;
    if words.len() < 2 || (length_ms <= LONGEST_MS && lines(words, spaced).len() <= 2) {
        out.push(words);
        return;
    }
    let whole = width(&join(words, spaced)) as f32;
    let mut before = 0.0;
    let mut best = (f32::NEG_INFINITY, 1);
    for at in 1..words.len() {
        let word = &words[at - 1];
        before += width(&word.text) as f32 + if spaced { 1.0 } else { 0.0 };
        let mark = match word.text.chars().last() {
            Some('.' | '?' | '!' | '。' | '？' | '！') => 1.0,
            Some(',' | ';' | ':' | '，' | '、' | '…') => 0.6,
            _ => 0.0,
        };
        let pause = words[at].start_ms.saturating_sub(word.end_ms).min(600) as f32 / 600.0;
        // Parts of about one length read best, and a part of one word reads worst.
        let off_centre = (before / whole - 0.5).abs() * 2.0;
        let lonely = if at == 1 || at + 1 == words.len() { 0.5 } else { 0.0 };
        let score = mark + pause - off_centre - lonely;
        if score > best.0 {
            best = (score, at);
        }
    }
    split(&words[..best.1], spaced, out);
    split(&words[best.1..], spaced, out);
}

/// The words on as few lines as hold them; two lines are made about equally long.
fn lines(words: &[Word], spaced: bool) -> Vec<String> {
    let whole = join(words, spaced);
    if width(&whole) <= LINE {
        return vec![whole];
    }
    let best = (1..words.len())
        .map(|at| (join(&words[..at], spaced), join(&words[at..], spaced)))
        .filter(|(first, second)| width(first) <= LINE && width(second) <= LINE)
        .min_by_key(|(first, second)| width(first).abs_diff(width(second)));
    if let Some((first, second)) = best {
        return vec![first, second];
    }
    // Too much for two lines: filled one after the other.
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        let space = if spaced { " " } else { "" };
        match lines.last_mut() {
            Some(line) if width(line) + space.len() + width(&word.text) <= LINE => {
                line.push_str(space);
                line.push_str(&word.text);
            }
            _ => lines.push(word.text.clone()),
        }
    }
    lines
}

fn join(words: &[Word], spaced: bool) -> String {
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    texts.join(if spaced { " " } else { "" })
}

/// Width in columns: characters of East Asian scripts take two.
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
        let cues = cues(&words, true, 4500);
        assert_eq!(cues.len(), 2);
        assert_eq!((cues[0].start_ms, cues[0].end_ms), (700, 2600));
        assert_eq!((cues[1].start_ms, cues[1].end_ms), (3700, 4500));
        assert_eq!(cues[0].text, "Where are you going?");
        assert_eq!((cues[1].id, cues[1].words.len()), (2, 1));
    }

    #[test]
    fn long_speech_is_cut_after_its_sentences_and_set_on_two_lines() {
        let text = "This is the first sentence of them all, which is rather long. And this is another one that follows it at once.";
        let cues = cues(&said(text, 0, 250), true, 60_000);
        assert_eq!(cues[0].text, "This is the first sentence of them all, which is rather long.");
        assert_eq!(
            caption(&cues[0], true).text,
            "This is the first sentence of\nthem all, which is rather long."
        );
        assert!(cues[1].text.starts_with("And"));
    }

    #[test]
    fn scripts_without_spaces_are_joined_without() {
        let words = said("砸 自己 的 脚", 0, 300);
        assert_eq!(cues(&words, false, 2000)[0].text, "砸自己的脚");
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
            let cues = cues(&words, true, duration_ms);
            let mut last = 0;
            for cue in &cues {
                prop_assert!(last <= cue.start_ms && cue.start_ms < cue.end_ms && cue.end_ms <= duration_ms);
                prop_assert!(cue.words[0].start_ms >= cue.start_ms && cue.words.last().unwrap().end_ms <= cue.end_ms);
                prop_assert!(cue.words.windows(2).all(|w| w[0].end_ms <= w[1].start_ms));
                let shown = caption(cue, true).text;
                prop_assert!(shown.lines().count() <= 2 && shown.lines().all(|l| l.chars().count() <= LINE));
                prop_assert!(cue.end_ms - cue.start_ms <= LONGEST_MS + LEAD_MS + LINGER_MS || cue.words.len() == 1);
                last = cue.end_ms;
            }
            if short == 0 {
                prop_assert_eq!(cues.iter().map(|c| c.words.len()).sum::<usize>(), words.len());
            }
        }
    }
}
