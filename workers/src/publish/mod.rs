//! Publishing for viewers: multivariant playlists, revisions, and renditions that are still made.

pub mod live_rendition;
pub mod multivariant;
pub mod revision;
