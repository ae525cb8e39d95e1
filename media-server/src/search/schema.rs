//! The index's fields. A change here, in `words.rs` or in what is stored needs a new `VERSION`.

use tantivy::schema::{
    FAST, Field, IndexRecordOption, STORED, STRING, Schema, TextFieldIndexing, TextOptions,
};

/// Version of the index's format. An index of another version is deleted and built again.
pub const VERSION: u32 = 1;

/// The fields of a moment, and of the marker each indexed transcript has.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    /// Tenant id; part of every query.
    pub tenant: Field,
    /// `{tenant}/{recording}`: the scope of a deletion.
    pub scope: Field,
    /// Start of the cue in ms.
    pub start_ms: Field,
    /// End of the cue in ms.
    pub end_ms: Field,
    /// Words as spoken, with positions.
    pub exact: Field,
    /// Stems of the words.
    pub stem: Field,
    /// Marker only: `{tenant}/{recording}`.
    pub marker: Field,
    /// Marker only: the language spoken, for reading queries.
    pub language: Field,
    /// Moment: JSON of what a hit displays. Marker: the indexed version of the transcript.
    pub stored: Field,
}

/// The schema.
pub fn schema() -> (Schema, Fields) {
    let text = |option| {
        TextOptions::default()
            .set_indexing_options(TextFieldIndexing::default().set_tokenizer("raw").set_index_option(option))
    };
    let mut builder = Schema::builder();
    let fields = Fields {
        tenant: builder.add_text_field("tenant", STRING),
        scope: builder.add_text_field("scope", STRING),
        start_ms: builder.add_u64_field("start_ms", FAST),
        end_ms: builder.add_u64_field("end_ms", FAST),
        exact: builder.add_text_field("exact", text(IndexRecordOption::WithFreqsAndPositions)),
        stem: builder.add_text_field("stem", text(IndexRecordOption::WithFreqs)),
        marker: builder.add_text_field("marker", STRING),
        language: builder.add_text_field("language", STRING),
        stored: builder.add_bytes_field("stored", STORED),
    };
    (builder.build(), fields)
}
