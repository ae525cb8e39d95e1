//! HLS playlists as text (RFC 8216 and its successor draft). Pure.

mod language;
mod media;
mod multivariant;

#[cfg(test)]
mod multivariant_tests;

pub use media::{
    MediaPlaylist, PlaylistSegment, TARGET_DURATION_S, live_playlist, media_playlist, peak_and_mean_bps,
};
pub use multivariant::{AudioEntry, Multivariant, SubtitlesEntry, Tier, VideoEntry, multivariant};
