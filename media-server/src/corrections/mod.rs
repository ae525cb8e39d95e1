//! Corrections of transcripts: layers over what was recognised.
//!
//! A layer is stored next to the recording and put over its transcript whenever one is read. The
//! recognised transcript never changes. Pure parts: `layer`, `apply`, `anchor`, `retime`,
//! `captions`, `uploaded`.

mod anchor;
mod apply;
mod cache;
mod captions;
mod layer;
mod retime;
mod service;
mod storage;
mod transcript;
mod uploaded;
mod view;

#[cfg(test)]
mod apply_tests;
#[cfg(test)]
mod http_tests;

pub use anchor::{locate, words_within};
pub use apply::{CaptionChange, apply, put_over};
pub use cache::Layers;
pub use captions::{change_srt, change_vtt, plain_text};
pub use layer::Anchor;
pub use retime::words_of;
pub use service::{Corrections, CueChange, CueRequest, check_author, one_line};
pub use storage::{StoredLayer, read};
pub use transcript::{TranscriptDocument, TranscriptWord, join};
pub use uploaded::{NoCaptions, read_captions};
pub use view::{CueText, CueView, Revealed};
