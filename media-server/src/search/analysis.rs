//! A lesson in the terms of an index, the same for every engine.

use std::sync::Arc;

use super::engine::IndexedLesson;
use super::entry::PassageEntry;
use super::transcript::{self, SpokenLesson};
use super::words::{self, Analyzer, Forms};

/// A lesson, ready to be indexed.
pub struct AnalyzedLesson {
    /// The language spoken: a primary subtag.
    pub language: String,
    /// Words of its title.
    pub title: Vec<Arc<Forms>>,
    /// Words of its uploader. No phrase reaches from the title into them.
    pub uploader: Vec<Arc<Forms>>,
    /// Its passages.
    pub passages: Vec<AnalyzedPassage>,
}

/// A passage, ready to be indexed.
pub struct AnalyzedPassage {
    /// Start of the first cue in ms.
    pub start_ms: u64,
    /// End of the last cue in ms.
    pub end_ms: u64,
    /// Its words in sequence.
    pub words: Vec<Arc<Forms>>,
    /// Number of the words in its own cues. Those after them belong to the next passage.
    pub own_words: usize,
    /// Mean doubt of its own words, in percent.
    pub doubt_percent: usize,
    /// What a hit displays.
    pub entry: PassageEntry,
}

impl AnalyzedLesson {
    /// Analyzes a lesson.
    pub fn new(lesson: &IndexedLesson, spoken: &SpokenLesson) -> Self {
        let language = words::primary(&spoken.language);
        let mut analyzer = Analyzer::new(&language);
        let mut forms = |text: &str| -> Vec<Arc<Forms>> {
            words::split(text).iter().map(|word| analyzer.forms(word)).collect()
        };
        let mut passages = Vec::new();
        for passage in transcript::passages(spoken) {
            let mut words = Vec::new();
            let mut own_words = None;
            let mut doubt = 0;
            for (number, cue) in passage.cues.iter().enumerate() {
                if number == passage.own {
                    own_words = Some(words.len());
                }
                let before = words.len();
                words.extend(forms(&cue.text));
                if number < passage.own {
                    doubt += usize::from(cue.doubt_percent) * (words.len() - before);
                }
            }
            let own_words = own_words.unwrap_or(words.len());
            passages.push(AnalyzedPassage {
                start_ms: passage.cues.first().map_or(0, |cue| cue.start_ms),
                end_ms: passage.cues.last().map_or(0, |cue| cue.end_ms),
                words,
                own_words,
                doubt_percent: doubt / own_words.max(1),
                entry: PassageEntry {
                    recording: lesson.recording.clone(),
                    language: language.clone(),
                    passage,
                },
            });
        }
        let (title, uploader) = (forms(&lesson.title), forms(&lesson.uploader));
        Self { language, title, uploader, passages }
    }
}
