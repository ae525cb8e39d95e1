//! The fields of a tenant's index. A change here, in the terms of `words.rs` or in `entry.rs` needs
//! a new `VERSION`.

use tantivy::schema::{
    FAST, Field, IndexRecordOption, STORED, STRING, Schema, TextFieldIndexing, TextOptions,
};

/// Version of the index's format. An index of another version is deleted and built again.
pub const VERSION: u32 = 3;

/// The fields of a passage, of an embedded passage, and of the entry each lesson has.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    /// The recording: the scope of a deletion.
    pub recording: Field,
    /// The uploader.
    pub uploader: Field,
    /// The language spoken.
    pub language: Field,
    /// When the upload was created, in ms since the epoch.
    pub created_at_ms: Field,
    /// Passages only: start of the first cue in ms.
    pub start_ms: Field,
    /// Passages only: end of the last cue in ms.
    pub end_ms: Field,
    /// Passage only: words as spoken, with positions.
    pub exact: Field,
    /// Passage only: number of words in its own cues. Those after them belong to the next passage.
    pub own_words: Field,
    /// Passage only: mean doubt of the words in its own cues, in percent.
    pub doubt_percent: Field,
    /// Passage only: stems of the words, with positions.
    pub stem: Field,
    /// Passage only: keys by sound, with positions.
    pub sound: Field,
    /// Lesson only: the recording.
    pub lesson: Field,
    /// Lesson only: words of title and uploader.
    pub title: Field,
    /// Lesson only: stems of these.
    pub title_stem: Field,
    /// Embedded passage only: the signs of its vector, eight numbers in sequence.
    pub signs: Field,
    /// Embedded passage only: its vector.
    pub vector: Field,
    /// Passage: what a hit displays. Lesson: its facts.
    pub stored: Field,
}

/// The schema.
pub fn schema() -> (Schema, Fields) {
    let text = |option| {
        TextOptions::default()
            .set_indexing_options(TextFieldIndexing::default().set_tokenizer("raw").set_index_option(option))
    };
    let positions = || text(IndexRecordOption::WithFreqsAndPositions);
    let counts = || text(IndexRecordOption::WithFreqs);
    let mut builder = Schema::builder();
    let fields = Fields {
        recording: builder.add_text_field("recording", STRING),
        uploader: builder.add_text_field("uploader", STRING),
        language: builder.add_text_field("language", STRING),
        created_at_ms: builder.add_u64_field("created_at_ms", FAST),
        start_ms: builder.add_u64_field("start_ms", FAST),
        end_ms: builder.add_u64_field("end_ms", FAST),
        exact: builder.add_text_field("exact", positions()),
        own_words: builder.add_u64_field("own_words", FAST),
        doubt_percent: builder.add_u64_field("doubt_percent", FAST),
        stem: builder.add_text_field("stem", positions()),
        sound: builder.add_text_field("sound", positions()),
        lesson: builder.add_text_field("lesson", STRING),
        title: builder.add_text_field("title", positions()),
        title_stem: builder.add_text_field("title_stem", counts()),
        signs: builder.add_u64_field("signs", FAST),
        vector: builder.add_bytes_field("vector", STORED),
        stored: builder.add_text_field("stored", STORED),
    };
    (builder.build(), fields)
}
