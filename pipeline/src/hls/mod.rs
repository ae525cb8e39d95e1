//! HLS playlists as text: plain values in, exact text out (RFC 8216 and its successor draft).

mod language;
mod media;
mod multivariant;

#[cfg(test)]
mod multivariant_tests;

pub use media::{
    MediaPlaylist, PlaylistSegment, TARGET_DURATION_S, live_playlist, media_playlist, peak_and_mean_bps,
};
pub use multivariant::{AudioEntry, Multivariant, SubtitlesEntry, Tier, VideoEntry, multivariant};
