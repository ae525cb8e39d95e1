//! Files before a media tool sees them: their container, whether it is intact, and what it
//! declares.

pub mod appended;
pub mod avi_delay;
mod bare_stream;
mod box_header;
pub mod ebml;
pub mod ending;
pub mod fragment_tail;
pub mod integrity;
pub mod matroska_orientation;
pub mod motion_photo;
pub mod mpegts;
mod refusal;
mod refusal_kinds;
pub mod scrambling;
pub mod sniff;
pub mod track_codec;
