//! The steps of media work, one folder each.

pub mod audio;
pub mod inspect;
pub mod source_rendition;
pub mod speech;
pub mod stills;
pub mod transcode;
