//! Spans as moments: hits of neighbouring cues of a passage are one. Those of two passages are not,
//! because a page may have ended between them.

use std::collections::HashMap;

use super::locate::{MatchCue, MatchSpan};
use super::query::Rank;
use super::transcript::MAX_GAP_MS;

/// Neighbouring hits make a moment of at most this length.
const MAX_MOMENT_MS: u64 = 15_000;
/// Words are doubtful from here on.
const MIN_DOUBT_PERCENT: u8 = 50;

/// A moment, without its lesson's title.
#[derive(Clone, Debug)]
pub struct LocatedMoment {
    /// The recording.
    pub recording: String,
    /// How it matches.
    pub rank: Rank,
    /// Number of the first cue of its passage.
    passage: usize,
    /// Its cues.
    pub span: MatchSpan,
    /// The doubt of its least doubtful match, in percent.
    doubt_percent: u8,
}

impl LocatedMoment {
    /// True if it may well be that its words were not said.
    pub fn is_doubtful(&self) -> bool {
        self.doubt_percent >= MIN_DOUBT_PERCENT
    }
}

/// The moments of a search, in the order in which they are found. Those with doubtful words are the
/// last of their group.
#[derive(Debug, Default)]
pub struct MomentList {
    found: Vec<LocatedMoment>,
    /// Numbers in `found` by recording.
    of_recording: HashMap<String, Vec<usize>>,
    /// Number of the first moment of the group that is being found.
    group: usize,
}

impl MomentList {
    /// Adds the spans of the passage that begins with cue `passage`, but those that a moment
    /// contains already.
    pub fn add(&mut self, recording: &str, rank: Rank, passage: usize, spans: Vec<MatchSpan>) {
        for span in spans {
            self.add_span(recording, rank, passage, span);
        }
    }

    fn add_span(&mut self, recording: &str, rank: Rank, passage: usize, span: MatchSpan) {
        let doubt_percent = span.doubt_percent();
        let known = self.of_recording.entry(recording.to_owned()).or_default();
        for &number in known.iter() {
            let moment = &mut self.found[number];
            let (first, end) = (moment.span.first, moment.span.first + moment.span.pieces.len());
            if span.first >= first && span.first + span.pieces.len() <= end {
                return;
            }
            if moment.rank == rank && moment.passage == passage && join(&mut moment.span, &span) {
                moment.doubt_percent = moment.doubt_percent.min(doubt_percent);
                return;
            }
        }
        known.push(self.found.len());
        self.found.push(LocatedMoment { recording: recording.into(), rank, passage, span, doubt_percent });
    }

    /// Ends a group: what is added from now on comes after it.
    pub fn end_group(&mut self) {
        let group = std::mem::replace(&mut self.group, self.found.len());
        if !self.found[group..].iter().any(LocatedMoment::is_doubtful) {
            return;
        }
        self.found[group..].sort_by_key(LocatedMoment::is_doubtful);
        self.of_recording.values_mut().for_each(|known| known.retain(|number| *number < group));
        for (number, moment) in self.found.iter().enumerate().skip(group) {
            self.of_recording.entry(moment.recording.clone()).or_default().push(number);
        }
    }

    /// The number of moments.
    pub fn count(&self) -> usize {
        self.found.len()
    }

    /// All moments.
    pub fn into_found(self) -> Vec<LocatedMoment> {
        self.found
    }
}

/// Joins a span to a moment that it overlaps or adjoins. False if they stay apart.
fn join(moment: &mut MatchSpan, span: &MatchSpan) -> bool {
    let (mut one, other) = if moment.first <= span.first {
        (moment.clone(), span.clone())
    } else {
        (span.clone(), moment.clone())
    };
    let (Some(begin), Some(before)) = (one.pieces.first(), one.pieces.last()) else { return false };
    let (Some(after), Some(end)) = (other.pieces.first(), other.pieces.last()) else { return false };
    let shared = (one.first + one.pieces.len()).checked_sub(other.first);
    let Some(shared) = shared.filter(|shared| *shared <= other.pieces.len()) else { return false };
    let is_near = after.start_ms.saturating_sub(before.end_ms) <= MAX_GAP_MS;
    if !is_near || end.end_ms.saturating_sub(begin.start_ms) > MAX_MOMENT_MS {
        return false;
    }
    let at = one.pieces.len() - shared;
    for (mine, theirs) in one.pieces[at..].iter_mut().zip(&other.pieces) {
        unite(mine, theirs);
    }
    one.pieces.extend_from_slice(&other.pieces[shared..]);
    *moment = one;
    true
}

/// Adds the matches that another passage saw in the same cue.
fn unite(piece: &mut MatchCue, other: &MatchCue) {
    let mut marks = [piece.marks.clone(), other.marks.clone()].concat();
    marks.sort_unstable();
    piece.marks.clear();
    for mark in marks {
        match piece.marks.last_mut() {
            Some(last) if mark[0] < last[1] => last[1] = last[1].max(mark[1]),
            _ => piece.marks.push(mark),
        }
    }
    piece.match_ms = [piece.match_ms, other.match_ms].into_iter().flatten().min();
    piece.continues |= other.continues;
}
