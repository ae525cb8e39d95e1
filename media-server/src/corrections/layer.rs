//! A layer: what people corrected in the transcript of one recording, with every version. Pure.

use serde::{Deserialize, Serialize};

/// Corrected spans of a recording.
pub const MAX_CORRECTIONS: usize = 5_000;
/// Versions of a span that are kept. Of more, the oldest goes.
pub const MAX_VERSIONS: usize = 32;
/// Size limit of a cue's text.
pub const MAX_TEXT_CHARS: usize = 1_000;
/// Size limit of a layer, in bytes.
pub const MAX_LAYER_BYTES: usize = 4 << 20;

/// All corrections of a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Number of changes made so far; each version has the number that it made.
    pub number: u64,
    /// The corrections, in the order in which they were first made.
    pub corrections: Vec<Correction>,
    /// The last captions that were uploaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uploaded: Option<Uploaded>,
}

/// Captions that were uploaded in place of what was recognised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uploaded {
    /// The change that brought them. Corrections of earlier changes do not apply to them.
    pub number: u64,
    /// The captions, in order; none once they were taken back.
    pub cues: Vec<UploadedCue>,
    /// The platform's id of the person who uploaded them.
    pub author: String,
    /// When, in ms since 1970.
    pub at_ms: u64,
    /// Who took them back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<Undone>,
}

/// A caption of such a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadedCue {
    /// Start in ms.
    pub start_ms: u64,
    /// End in ms.
    pub end_ms: u64,
    /// Its text on one line.
    pub text: String,
}

/// The corrections of one span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// The span.
    pub anchor: Anchor,
    /// Its versions, oldest first.
    pub versions: Vec<TextVersion>,
}

/// A span of speech: its time, and the words that were there. A new recognition has other cues, so
/// no number of a cue names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// Start in ms.
    pub start_ms: u64,
    /// End in ms.
    pub end_ms: u64,
    /// The text before the first correction.
    pub quote: String,
}

/// One version of a span's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextVersion {
    /// The change that made it.
    pub number: u64,
    /// The text; empty if nothing was said.
    pub text: String,
    /// The platform's id of the person who wrote it.
    pub author: String,
    /// When, in ms since 1970.
    pub at_ms: u64,
    /// Who took it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<Undone>,
}

/// Why a version does not apply any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// The change that took it back.
    pub number: u64,
    /// The platform's id of the person who did.
    pub author: String,
    /// When, in ms since 1970.
    pub at_ms: u64,
}

/// Why a layer takes no further change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerLimit {
    /// It has [`MAX_CORRECTIONS`] or [`MAX_LAYER_BYTES`].
    Full,
    /// There is no version to take back.
    NothingToUndo,
}

impl Correction {
    /// The version that applies; `None` if all were taken back.
    pub fn current(&self) -> Option<&TextVersion> {
        self.versions.iter().rev().find(|version| version.undone.is_none())
    }

    /// Number of the newest change of this span.
    pub fn number(&self) -> u64 {
        let changes = self
            .versions
            .iter()
            .flat_map(|version| [Some(version.number), version.undone.as_ref().map(|undone| undone.number)]);
        changes.flatten().max().unwrap_or(0)
    }
}

impl Layer {
    /// True if no correction applies.
    pub fn is_empty(&self) -> bool {
        !self.has_uploaded() && self.corrections.iter().all(|correction| correction.current().is_none())
    }

    /// True if uploaded captions apply.
    pub fn has_uploaded(&self) -> bool {
        self.uploaded.as_ref().is_some_and(|uploaded| uploaded.undone.is_none())
    }

    /// Puts captions in place of what was recognised.
    pub fn upload(&mut self, cues: Vec<UploadedCue>, author: &str, at_ms: u64) {
        self.number += 1;
        let author = author.to_owned();
        self.uploaded = Some(Uploaded { number: self.number, cues, author, at_ms, undone: None });
    }

    /// Takes uploaded captions back.
    ///
    /// # Errors
    /// If there are none.
    pub fn take_back(&mut self, author: &str, at_ms: u64) -> Result<(), LayerLimit> {
        let uploaded = self.uploaded.as_mut().filter(|uploaded| uploaded.undone.is_none());
        let uploaded = uploaded.ok_or(LayerLimit::NothingToUndo)?;
        self.number += 1;
        uploaded.undone = Some(Undone { number: self.number, author: author.to_owned(), at_ms });
        uploaded.cues = Vec::new();
        Ok(())
    }

    /// Adds a version: to the correction at `known`, or of a new span at `anchor`.
    ///
    /// # Errors
    /// If the layer is full.
    pub fn correct(
        &mut self,
        known: Option<usize>,
        anchor: Anchor,
        (text, author): (&str, &str),
        at_ms: u64,
    ) -> Result<(), LayerLimit> {
        let number = self.number + 1;
        let version =
            TextVersion { number, text: text.to_owned(), author: author.to_owned(), at_ms, undone: None };
        if let Some(correction) = known.and_then(|at| self.corrections.get_mut(at)) {
            correction.versions.push(version);
            if correction.versions.len() > MAX_VERSIONS {
                correction.versions.remove(0);
            }
        } else if self.corrections.len() < MAX_CORRECTIONS {
            self.corrections.push(Correction { anchor, versions: vec![version] });
        } else {
            return Err(LayerLimit::Full);
        }
        self.number = number;
        Ok(())
    }

    /// Takes the newest version of a span back.
    ///
    /// # Errors
    /// If there is none.
    pub fn undo(&mut self, known: Option<usize>, author: &str, at_ms: u64) -> Result<(), LayerLimit> {
        let number = self.number + 1;
        let correction = known.and_then(|at| self.corrections.get_mut(at));
        let newest = correction
            .and_then(|one| one.versions.iter_mut().rev().find(|version| version.undone.is_none()))
            .ok_or(LayerLimit::NothingToUndo)?;
        newest.undone = Some(Undone { number, author: author.to_owned(), at_ms });
        self.number = number;
        Ok(())
    }

    /// Adds what another writer wrote under the same number. Neither's change is lost.
    pub fn merge(&mut self, other: Layer) {
        for theirs in other.corrections {
            let Some(ours) = self.corrections.iter_mut().find(|ours| ours.anchor == theirs.anchor) else {
                self.corrections.push(theirs);
                continue;
            };
            for version in theirs.versions {
                match ours.versions.iter_mut().find(|known| {
                    (known.number, known.at_ms, &known.author)
                        == (version.number, version.at_ms, &version.author)
                }) {
                    Some(known) => known.undone = known.undone.take().or(version.undone),
                    None => ours.versions.push(version),
                }
            }
            ours.versions.sort_by_key(|version| (version.number, version.at_ms));
        }
        self.uploaded = match (self.uploaded.take(), other.uploaded) {
            (Some(ours), Some(theirs)) => {
                // Of the same upload, the one that was taken back; else the later upload.
                let age = |one: &Uploaded| (one.number, one.undone.is_some(), one.at_ms);
                Some(if age(&ours) < age(&theirs) { theirs } else { ours })
            }
            (ours, theirs) => ours.or(theirs),
        };
        self.number = self.number.max(other.number);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn anchor(start_ms: u64) -> Anchor {
        Anchor { start_ms, end_ms: start_ms + 1000, quote: "a new murder".into() }
    }

    fn text(layer: &Layer, at: usize) -> Option<&str> {
        layer.corrections[at].current().map(|version| version.text.as_str())
    }

    #[test]
    fn versions_are_taken_back_one_by_one() {
        let mut layer = Layer::default();
        layer.correct(None, anchor(0), ("numerator", "ann"), 1).unwrap();
        layer.correct(Some(0), anchor(0), ("a numerator", "bob"), 2).unwrap();
        assert_eq!((layer.number, text(&layer, 0)), (2, Some("a numerator")));
        layer.undo(Some(0), "ann", 3).unwrap();
        assert_eq!(text(&layer, 0), Some("numerator"));
        layer.correct(Some(0), anchor(0), ("the numerator", "ann"), 4).unwrap();
        assert_eq!(text(&layer, 0), Some("the numerator"));
        layer.undo(Some(0), "ann", 5).unwrap();
        layer.undo(Some(0), "ann", 6).unwrap();
        assert!(layer.is_empty());
        assert_eq!(layer.undo(Some(0), "ann", 7), Err(LayerLimit::NothingToUndo));
        assert_eq!(layer.undo(None, "ann", 7), Err(LayerLimit::NothingToUndo));
        let authors: Vec<_> = layer.corrections[0].versions.iter().map(|v| v.author.as_str()).collect();
        assert_eq!(authors, ["ann", "bob", "ann"], "who wrote what is kept");
        assert_eq!((layer.number, layer.corrections[0].number()), (6, 6));
    }

    #[test]
    fn a_layer_is_bounded() {
        let mut layer = Layer::default();
        for n in 0..MAX_CORRECTIONS as u64 {
            layer.correct(None, anchor(n), ("x", "ann"), n).unwrap();
        }
        let one_more = layer.correct(None, anchor(0), ("x", "ann"), 0);
        assert_eq!(one_more, Err(LayerLimit::Full));
        for n in 0..100 {
            layer.correct(Some(3), anchor(3), (&n.to_string(), "ann"), n).unwrap();
        }
        assert_eq!(layer.corrections[3].versions.len(), MAX_VERSIONS);
        assert_eq!(text(&layer, 3), Some("99"));
    }

    #[test]
    fn two_writers_of_one_number_lose_nothing() {
        let mut both = Layer::default();
        both.correct(None, anchor(0), ("x", "ann"), 1).unwrap();
        let mut other = both.clone();
        both.correct(Some(0), anchor(0), ("y", "ann"), 2).unwrap();
        other.correct(None, anchor(5000), ("z", "bob"), 2).unwrap();
        both.merge(other);
        assert_eq!((both.number, text(&both, 0), text(&both, 1)), (2, Some("y"), Some("z")));
    }

    #[test]
    fn what_was_taken_back_by_one_of_two_writers_stays_so() {
        let cue = UploadedCue { start_ms: 0, end_ms: 900, text: "x".into() };
        let mut ours = Layer::default();
        ours.upload(vec![cue], "ann", 1);
        let mut theirs = ours.clone();
        assert!(!ours.is_empty());
        ours.take_back("ann", 2).unwrap();
        assert_eq!(ours.take_back("ann", 3), Err(LayerLimit::NothingToUndo));
        theirs.correct(None, anchor(0), ("y", "bob"), 2).unwrap();
        for (mut one, other) in [(ours.clone(), theirs.clone()), (theirs, ours)] {
            one.merge(other);
            assert_eq!((one.has_uploaded(), one.corrections.len(), one.number), (false, 1, 2));
        }
    }
}
