//! MP4 and MOV: the index of a file, its tracks, edit lists and sample tables (ISO/IEC 14496-12).

mod duration;
pub mod edit_list;
mod matrix;
pub mod movie;
pub mod movie_index;
pub mod patch;
pub mod sample_entry;
pub mod sample_tables;
pub mod sample_times;
pub mod track;
pub mod track_boxes;
