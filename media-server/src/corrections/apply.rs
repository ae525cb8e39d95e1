//! Putting a layer over a transcript. Pure.
//!
//! Corrections apply one after the other, each to the text that the ones before it left. Usually
//! the cue of a correction is still there. After a new recognition, its words are located by text
//! and time.

use std::borrow::Cow;
use std::ops::Range;

use super::anchor::locate;
use super::layer::{Anchor, Layer};
use super::retime::{retime, words_of};
use super::transcript::{TranscriptCue, TranscriptDocument, TranscriptWord, join};
use super::uploaded::transcript_of;

/// Fields of a cue that describe what was recognised, not what a person wrote.
const RECOGNISERS_OWN: [&str; 1] = ["doubt"];

/// A transcript with its corrections.
#[derive(Clone, Debug)]
pub struct Corrected {
    /// The text that applies.
    pub transcript: TranscriptDocument,
    /// For each cue the correction of exactly this cue, by its index in the layer.
    pub corrections: Vec<Option<usize>>,
    /// The cues that differ from what was recognised.
    pub changes: Vec<CaptionChange>,
}

/// A cue whose text was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptionChange {
    /// Start of the cue, in ms.
    pub start_ms: u64,
    /// End of the cue, in ms.
    pub end_ms: u64,
    /// Its text; empty if nothing is left of it.
    pub text: String,
    /// True if there was no such cue.
    pub is_new: bool,
}

/// Puts `layer` over a transcript. Uploaded captions replace all cues, and corrections that are
/// newer apply to these.
pub fn apply(recognised: TranscriptDocument, layer: &Layer) -> Corrected {
    let uploaded = layer.uploaded.as_ref().filter(|uploaded| uploaded.undone.is_none());
    let (base, removed) = match uploaded {
        Some(uploaded) => {
            let removed = recognised.cues.iter().map(removed).collect();
            (transcript_of(recognised, &uploaded.cues), removed)
        }
        None => (recognised, Vec::new()),
    };
    let mut work = Work {
        uses_spaces: base.uses_spaces(),
        corrections: vec![None; base.cues.len()],
        is_new: vec![uploaded.is_some(); base.cues.len()],
        before: base.cues.iter().map(|cue| cue.text.clone()).collect(),
        transcript: base,
        removed,
    };
    let first_number = uploaded.map_or(0, |uploaded| uploaded.number);
    for (index, correction) in layer.corrections.iter().enumerate() {
        if correction.number() < first_number {
            continue;
        }
        let known = work.exact(&correction.anchor);
        match (correction.current(), known) {
            (Some(version), Some(cue)) => {
                work.replace_cue(cue, &version.text);
                work.corrections[cue] = Some(index);
            }
            (Some(version), None) => work.replace_span(&correction.anchor, &version.text, index),
            // Taken back, but its versions are still of this cue.
            (None, Some(cue)) => work.corrections[cue] = work.corrections[cue].or(Some(index)),
            (None, None) => {}
        }
    }
    work.finish()
}

/// The same over a `transcript.json`, for those who read its bytes. A malformed one is returned as
/// it is.
pub fn put_over<'a>(body: &'a [u8], layer: &Layer) -> Cow<'a, [u8]> {
    if layer.is_empty() {
        return body.into();
    }
    let corrected = TranscriptDocument::parse(body).map(|transcript| apply(transcript, layer).transcript);
    let bytes = corrected.and_then(|transcript| serde_json::to_vec(&transcript));
    bytes.map_or_else(|_| body.into(), Cow::Owned)
}

struct Work {
    transcript: TranscriptDocument,
    uses_spaces: bool,
    corrections: Vec<Option<usize>>,
    is_new: Vec<bool>,
    before: Vec<String>,
    removed: Vec<CaptionChange>,
}

impl Work {
    /// The cue that an anchor was made of, if it is still as it was.
    fn exact(&self, anchor: &Anchor) -> Option<usize> {
        let cues = &self.transcript.cues;
        let at = cues.partition_point(|cue| cue.start_ms < anchor.start_ms);
        let cue = cues.get(at)?;
        let is_same = (cue.start_ms, cue.end_ms) == (anchor.start_ms, anchor.end_ms);
        (is_same && cue.text == anchor.quote).then_some(at)
    }

    fn replace_cue(&mut self, at: usize, text: &str) {
        let cue = &mut self.transcript.cues[at];
        let old = words_of(cue, self.uses_spaces);
        let span_ms = (cue.start_ms, cue.end_ms);
        cue.words = retime(&old, text, span_ms, self.uses_spaces).into_iter().map(|one| one.word).collect();
        cue.text = text.to_owned();
        mark(cue);
    }

    /// Replaces the words at an anchor, which may lie in several cues, or in parts of them.
    fn replace_span(&mut self, anchor: &Anchor, text: &str, index: usize) {
        let (first_cue, last_cue) = self.cues_near(anchor);
        let mut words: Vec<(usize, TranscriptWord)> = Vec::new();
        for at in first_cue..last_cue {
            let of_cue = words_of(&self.transcript.cues[at], self.uses_spaces);
            words.extend(of_cue.into_iter().map(|word| (at, word)));
        }
        let all: Vec<&TranscriptWord> = words.iter().map(|(_, word)| word).collect();
        let found = locate(&all, anchor, text, self.uses_spaces);
        let Some(range) = found else { return self.insert(anchor, text, index) };
        let old: Vec<TranscriptWord> = words[range.clone()].iter().map(|(_, word)| word.clone()).collect();
        let cues: Vec<usize> = words[range.clone()].iter().map(|(cue, _)| *cue).collect();
        let span_ms = self.room(&words, &range);
        let new = retime(&old, text, span_ms, self.uses_spaces);
        if new.len() == old.len() && new.iter().zip(&old).all(|(new, old)| new.word == *old) {
            return;
        }
        let (first, last) = (cues[0], cues[cues.len() - 1]);
        // The cue of each new word: that of the unchanged one, else by its time between those
        // around.
        let mut floor = first;
        let mut placed: Vec<(usize, TranscriptWord)> = Vec::with_capacity(new.len());
        for (n, one) in new.iter().enumerate() {
            let ceiling = new[n..].iter().find_map(|later| later.kept).map_or(last, |kept| cues[kept]);
            let cue = match one.kept {
                Some(kept) => cues[kept],
                None => (floor..=ceiling)
                    .rev()
                    .find(|at| self.transcript.cues[*at].start_ms <= one.word.start_ms)
                    .unwrap_or(floor),
            };
            floor = cue;
            placed.push((cue, one.word.clone()));
        }
        words.splice(range, placed);
        for at in first..=last {
            let cue = &mut self.transcript.cues[at];
            let own: Vec<TranscriptWord> =
                words.iter().filter(|(of, _)| *of == at).map(|(_, word)| word.clone()).collect();
            let text = join(&own, self.uses_spaces);
            if text != cue.text {
                (cue.words, cue.text) = (own, text);
                mark(cue);
            }
        }
        // Exactly one cue, all of it: further versions are of this correction.
        let only = first == last && words.iter().filter(|(of, _)| *of == first).count() == new.len();
        if only {
            self.corrections[first] = Some(index);
        }
    }

    /// Cues that may have words of an anchor.
    fn cues_near(&self, anchor: &Anchor) -> (usize, usize) {
        const REACH_MS: u64 = 10_000;
        let cues = &self.transcript.cues;
        let first = cues.partition_point(|cue| cue.end_ms + REACH_MS < anchor.start_ms);
        let last = cues.partition_point(|cue| cue.start_ms < anchor.end_ms + REACH_MS);
        (first, last.max(first))
    }

    /// The time that new words in a range may have: up to their neighbours, within their cues.
    fn room(&self, words: &[(usize, TranscriptWord)], range: &Range<usize>) -> (u64, u64) {
        let cues = &self.transcript.cues;
        let (first, last) = (words[range.start].0, words[range.end - 1].0);
        let before = range.start.checked_sub(1).map_or(0, |at| words[at].1.end_ms);
        let after = words.get(range.end).map_or(u64::MAX, |(_, word)| word.start_ms);
        let start_ms = cues[first].start_ms.max(before).min(words[range.start].1.start_ms);
        (start_ms, cues[last].end_ms.min(after).max(words[range.end - 1].1.end_ms))
    }

    /// Nothing is recognised there any more: a cue of its own, in the time that is free.
    fn insert(&mut self, anchor: &Anchor, text: &str, index: usize) {
        let cues = &self.transcript.cues;
        let at = cues.partition_point(|cue| cue.start_ms <= anchor.start_ms);
        let floor = at.checked_sub(1).map_or(0, |before| cues[before].end_ms);
        let ceiling = cues.get(at).map_or(u64::MAX, |after| after.start_ms);
        let (start_ms, end_ms) = (anchor.start_ms.max(floor), anchor.end_ms.min(ceiling));
        if end_ms <= start_ms || text.is_empty() {
            return;
        }
        let id = cues.iter().map(|cue| cue.id).max().unwrap_or(0) + 1;
        let words = retime(&[], text, (start_ms, end_ms), self.uses_spaces);
        let mut cue =
            TranscriptCue { id, start_ms, end_ms, text: text.to_owned(), ..TranscriptCue::default() };
        cue.words = words.into_iter().map(|one| one.word).collect();
        mark(&mut cue);
        self.transcript.cues.insert(at, cue);
        self.corrections.insert(at, Some(index));
        self.is_new.insert(at, true);
        self.before.insert(at, String::new());
    }

    fn finish(self) -> Corrected {
        let cues = self.transcript.cues.iter().zip(&self.before).zip(&self.is_new);
        let changed = cues.filter(|((cue, before), is_new)| **is_new || cue.text != **before).map(
            |((cue, _), is_new)| CaptionChange {
                start_ms: cue.start_ms,
                end_ms: cue.end_ms,
                text: cue.text.clone(),
                is_new: *is_new,
            },
        );
        let changes = self.removed.iter().cloned().chain(changed).collect();
        Corrected { changes, corrections: self.corrections, transcript: self.transcript }
    }
}

fn removed(cue: &TranscriptCue) -> CaptionChange {
    CaptionChange { start_ms: cue.start_ms, end_ms: cue.end_ms, text: String::new(), is_new: false }
}

fn mark(cue: &mut TranscriptCue) {
    cue.corrected = true;
    for field in RECOGNISERS_OWN {
        cue.rest.remove(field);
    }
}
