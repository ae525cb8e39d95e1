//! HLS playlists as text.
