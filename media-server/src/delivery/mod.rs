//! Delivery: the streams of a session, and nothing but what its own playlists name.

mod authorize;
mod captions;
mod conditional;
mod hevc_source;
mod hls_filter;
mod index;
mod inventories;
mod nal_scrubber;
mod named_keys;
mod object;
mod object_ref;
mod playlist_cache;
mod preload;
mod routes;
mod service;
mod session_playlists;
mod source_segment;

#[cfg(test)]
mod isolation_tests;
#[cfg(test)]
mod load_tests;
#[cfg(test)]
mod refusal_tests;
#[cfg(test)]
mod source_segment_tests;
#[cfg(test)]
pub(crate) mod tests;

pub use authorize::routes as authorize_routes;
pub use captions::{caption_file, transcript_file};
pub use hevc_source::{HevcSource, hevc_source};
pub use object::{CachePolicy, object_response};
pub use preload::{Preload, preload};
pub use routes::{playlist_response, routes};
pub use service::Delivery;
pub use session_playlists::master_with_absolute_uris;
