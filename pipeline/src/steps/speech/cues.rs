//! Readable cues from words: at most two lines of 42 columns, cut where sentences, phrases and
//! pauses end, on the screen for as long as it takes to read them.
//!
//! Dynamic programming chooses the cuts with the least cost over all words.

use serde::{Deserialize, Serialize};

use super::lines::{self, Fit};
use super::phrases::{Break, break_between};
use super::voice_changes;
use super::words::{Word, two_decimals};
use crate::captions;

/// Maximum time for which a cue is displayed, in ms.
const MAX_CUE_MS: u64 = 7_000;
/// Minimum time for which a cue is displayed if there is room, in ms.
const MIN_CUE_MS: u64 = 833;
/// Maximum duration of a cue's words, in ms; the rest is to appear early and to stay.
const MAX_WORDS_MS: u64 = MAX_CUE_MS - LEAD_MS - MIN_GAP_MS;
/// Reading speed that a cue does not exceed if there is room, in columns per second.
const MAX_COLUMNS_PER_S: u64 = 20;
/// Pause at which a new cue starts, in ms.
const MIN_PAUSE_MS: u64 = 700;
/// Pause at which a new cue always starts, in ms.
const LONG_PAUSE_MS: u64 = 2_000;
/// Time by which a cue appears before its first word if there is room, in ms.
const LEAD_MS: u64 = 300;
/// Time for which a cue stays after its last word if there is room, in ms.
const LINGER_MS: u64 = 400;
/// Minimum time between two cues, in ms; a shorter gap flickers and is closed.
const MIN_GAP_MS: u64 = 200;

/// A caption with its words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cue {
    /// Number, from 1.
    pub id: u32,
    /// Time at which it appears, in ms.
    pub start_ms: u64,
    /// Time at which it disappears, in ms.
    pub end_ms: u64,
    /// Its text on one line.
    pub text: String,
    /// How doubtful its words are, from 0 to 1; 0 in transcripts of earlier builds.
    #[serde(default, serialize_with = "two_decimals")]
    pub doubt: f32,
    /// Its words, within the cue's time.
    pub words: Vec<Word>,
    /// The word with which another voice begins, if two share the cue.
    #[serde(skip)]
    pub exchange_at: Option<usize>,
}

/// Makes the cues of all words of a recording. They do not overlap, and end within `duration_ms`.
/// Other voices begin at `changes_ms`.
pub fn make_cues(words: &[Word], uses_spaces: bool, changes_ms: &[u64], duration_ms: u64) -> Vec<Cue> {
    let words = put_in_order(words, duration_ms);
    let begins = voice_changes::mark(&words, changes_ms);
    let mut groups: Vec<Run<'_>> = Vec::new();
    let mut start = 0;
    while start < words.len() {
        let is_end = |at: &usize| pause_ms(&words, *at) >= LONG_PAUSE_MS;
        let end = (start + 1..words.len()).find(is_end).unwrap_or(words.len());
        split_run(Run { words: &words[start..end], begins: &begins[start..end] }, uses_spaces, &mut groups);
        start = end;
    }
    let mut cues: Vec<Cue> = Vec::new();
    for (index, run) in groups.iter().enumerate() {
        let group = run.words;
        let next_ms = groups.get(index + 1).map_or(duration_ms, |next| next.words[0].start_ms);
        let floor_ms = cues.last().map_or(0, |cue| cue.end_ms);
        let text = lines::join(group, uses_spaces);
        let is_last = index + 1 == groups.len();
        let (start_ms, end_ms) = display_times(group, reading_ms(&text), floor_ms, next_ms, is_last);
        cues.push(Cue {
            id: index as u32 + 1,
            start_ms,
            end_ms,
            text,
            doubt: doubt(group),
            words: group.to_vec(),
            exchange_at: run.exchange_at(),
        });
    }
    close_gaps(&mut cues);
    cues
}

/// Returns the doubt of a cue: what its words' probabilities leave, or another reason that weighs
/// more.
fn doubt(words: &[Word]) -> f32 {
    let sum: f32 = words.iter().map(|word| word.probability.max(0.001).ln()).sum();
    let probability = (sum / words.len() as f32).exp();
    words.iter().map(|word| word.doubt).fold(1.0 - probability, f32::max)
}

/// Converts a cue to a caption. Breaks its text into two lines if it is too long for one, or if two
/// voices share it.
pub fn to_caption(cue: &Cue, uses_spaces: bool) -> captions::Caption {
    let exchange = cue.exchange_at.and_then(|at| lines::exchange(&cue.words, at, uses_spaces));
    captions::Caption {
        start_ms: cue.start_ms,
        end_ms: cue.end_ms,
        text: exchange.unwrap_or_else(|| lines::break_lines(&cue.words, uses_spaces)).join("\n"),
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
            out.push(Word { start_ms, end_ms, ..word.clone() });
        }
    }
    out
}

/// Returns the pause before a word, in ms.
fn pause_ms(words: &[Word], at: usize) -> u64 {
    words[at].start_ms.saturating_sub(words[at - 1].end_ms)
}

/// Returns the time that it takes to read a text, in ms.
fn reading_ms(text: &str) -> u64 {
    (lines::width(text) as u64 * 1000).div_ceil(MAX_COLUMNS_PER_S).max(MIN_CUE_MS)
}

/// Words without a long pause between them.
#[derive(Clone, Copy)]
struct Run<'a> {
    words: &'a [Word],
    /// For each word, whether another voice begins with it.
    begins: &'a [bool],
}

impl<'a> Run<'a> {
    fn part(self, start: usize, end: usize) -> Run<'a> {
        Run { words: &self.words[start..end], begins: &self.begins[start..end] }
    }

    /// Returns the word with which another voice begins, if two share these.
    fn exchange_at(self) -> Option<usize> {
        let mut begins = (1..self.begins.len()).filter(|at| self.begins[*at]);
        begins.next().filter(|_| begins.next().is_none())
    }
}

/// Splits a run into cues, with the least cost.
fn split_run<'a>(run: Run<'a>, uses_spaces: bool, out: &mut Vec<Run<'a>>) {
    let count = run.words.len();
    // `best[n]`: the least cost of cues for the first n words, and where the last of them starts.
    let mut best: Vec<(f32, usize)> = vec![(f32::INFINITY, 0); count + 1];
    best[0].0 = 0.0;
    for start in 0..count {
        for end in start + 1..=count {
            let words = &run.words[start..end];
            let is_possible = words[words.len() - 1].end_ms - words[0].start_ms <= MAX_WORDS_MS
                && lines::fit(words, uses_spaces) != Fit::More;
            if !is_possible && words.len() > 1 {
                break;
            }
            let cost = best[start].0 + cue_cost(run, start, end, uses_spaces);
            if cost < best[end].0 {
                best[end] = (cost, start);
            }
        }
    }
    let first = out.len();
    let mut end = count;
    while end > 0 {
        let start = best[end].1;
        out.push(run.part(start, end));
        end = start;
    }
    out[first..].reverse();
}

/// Returns the cost of a cue: of its end, its pauses, its voices, its length and its haste.
fn cue_cost(run: Run<'_>, start: usize, end: usize, uses_spaces: bool) -> f32 {
    const TORN: f32 = 30.0;
    const TOO_SHORT: f32 = 3.0;
    const OTHER_VOICE: f32 = 2.5;
    let Run { words: run, begins } = run;
    let pause_cost = |at: usize| if pause_ms(run, at) >= MIN_PAUSE_MS { 4.0 } else { 0.0 };
    let mut cost = 1.0;
    if end < run.len() {
        let pause = pause_ms(run, end).min(MIN_PAUSE_MS) as f32 / MIN_PAUSE_MS as f32;
        cost += match break_between(&run[end - 1].text, &run[end].text) {
            _ if begins[end] => 0.0,
            Break::Sentence => 0.0,
            Break::Clause => 0.8 * (1.0 - pause),
            Break::Phrase => 2.5 * (1.0 - pause),
            Break::Words => 4.0 * (1.0 - pause),
            Break::Torn => TORN,
        };
    }
    cost += OTHER_VOICE * begins[start + 1..end].iter().filter(|begins| **begins).count() as f32;
    // Inside a cue: pauses, and sentences of which another part is elsewhere.
    for at in start + 1..end {
        cost += pause_cost(at);
        let ends_here =
            end == run.len() || break_between(&run[end - 1].text, &run[end].text) == Break::Sentence;
        if !ends_here && break_between(&run[at - 1].text, &run[at].text) == Break::Sentence {
            cost += 1.5;
        }
    }
    let words = &run[start..end];
    let text = lines::join(words, uses_spaces);
    // It may stay until the next cue, or a while after its last word.
    let until_ms = run.get(end).map_or(words[words.len() - 1].end_ms + LINGER_MS, |next| next.start_ms);
    let missing_ms = reading_ms(&text).saturating_sub(until_ms - words[0].start_ms);
    cost += missing_ms as f32 / 1000.0 * 12.0;
    let lead_ms = if start == 0 { LEAD_MS } else { pause_ms(run, start).min(LEAD_MS) };
    if until_ms + lead_ms - words[0].start_ms < MIN_CUE_MS {
        cost += TOO_SHORT;
    }
    if words.len() == 1 && run.len() > 1 {
        cost += 0.7;
    }
    if let Fit::Two(at) = lines::fit(words, uses_spaces)
        && break_between(&words[at - 1].text, &words[at].text) == Break::Torn
    {
        cost += 6.0;
    }
    cost
}

/// Returns when a cue appears and disappears. It takes what it needs to be read from the time
/// before and after its words.
fn display_times(words: &[Word], reading_ms: u64, floor_ms: u64, next_ms: u64, is_last: bool) -> (u64, u64) {
    let (first_ms, last_ms) = (words[0].start_ms, words[words.len() - 1].end_ms);
    // Leaves the next cue room to appear early, if this one can be read all the same.
    let early_ms = if is_last { next_ms } else { next_ms.saturating_sub(LEAD_MS).max(last_ms).min(next_ms) };
    let start_ms = first_ms.saturating_sub(LEAD_MS).max(floor_ms);
    let wanted_ms = start_ms + reading_ms;
    let end_ms = (last_ms + LINGER_MS).min(early_ms).max(wanted_ms.min(next_ms)).max(last_ms);
    // Early enough to be read, where the time after it is taken.
    let start_ms = start_ms.min(end_ms.saturating_sub(reading_ms).max(floor_ms));
    (start_ms, end_ms.min((start_ms + MAX_CUE_MS).max(last_ms)))
}

/// Closes gaps between cues that are too short to see.
fn close_gaps(cues: &mut [Cue]) {
    for at in 1..cues.len() {
        let next_ms = cues[at].start_ms;
        let before = &mut cues[at - 1];
        if next_ms - before.end_ms < MIN_GAP_MS {
            let may_stay = next_ms - before.start_ms <= MAX_CUE_MS || next_ms == before.end_ms;
            before.end_ms = if may_stay { next_ms } else { next_ms - MIN_GAP_MS };
        }
    }
}

#[cfg(test)]
#[path = "cue_tests.rs"]
mod tests;
