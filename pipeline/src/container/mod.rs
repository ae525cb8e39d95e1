//! Files before a media tool sees them: which container, is it intact, and what it says of itself.

pub mod appended;
pub mod avi_delay;
mod bare;
pub mod ebml;
pub mod ending;
pub mod fragment_tail;
pub mod integrity;
pub mod matroska_orientation;
pub mod motion_photo;
mod refusal;
pub mod scrambling;
pub mod sniff;
pub mod track_codec;
