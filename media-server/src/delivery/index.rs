//! The index of one track of a source rendition, as the playlist cache holds it: without the
//! records of its segments.

use bytes::Bytes;
use chalkstream_formats::NalFraming;
use chalkstream_formats::source_index::{Header, IndexEntry, SourceIndex};

/// One track of a source.
#[derive(Debug)]
pub struct TrackIndex {
    /// The init segment.
    pub init: Bytes,
    /// Size of the source that it indexes.
    pub source_bytes: u64,
    /// How its samples are divided into NAL units; `None` for audio.
    pub framing: Option<NalFraming>,
    entries: Vec<IndexEntry>,
}

/// Returns the size of header, init segment and table from the header. `None` if it is malformed.
pub fn head_bytes(header: &[u8]) -> Option<u64> {
    Some(Header::parse(header)?.head_bytes())
}

impl TrackIndex {
    /// Reads header, init segment and table of an object of `object_bytes`. `None` if they are
    /// malformed.
    pub fn parse(head: &[u8], object_bytes: u64) -> Option<Self> {
        let index = SourceIndex::parse(head, object_bytes)?;
        Some(Self {
            init: Bytes::copy_from_slice(index.init),
            source_bytes: index.header.source_bytes,
            framing: index.header.framing,
            entries: index.entries,
        })
    }

    /// A segment by its number, from 1.
    pub fn segment(&self, number: usize) -> Option<IndexEntry> {
        self.entries.get(number.checked_sub(1)?).copied()
    }

    /// Approximate size in memory.
    pub fn weight(&self) -> usize {
        self.init.len() + self.entries.len() * size_of::<IndexEntry>()
    }
}
