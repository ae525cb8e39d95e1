//! Finds where one recording ends in a file and another one starts.
//!
//! Such files come from recorders that were stopped and started again, and from programs that
//! concatenate files. Only the structure is followed, from front to end.

mod chunks;
mod frames;
mod matroska;
mod pages;
mod trailing;
mod walk;

use std::io;

use crate::cpu_clock::ContentionClock;
use crate::source::ReadAt;
pub use walk::AppendedRecording;
use walk::Walk;

/// The content of a file by its structure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The recordings, which together are all of the file. Empty if there is only one, or if
    /// following the structure takes too long.
    pub recordings: Vec<AppendedRecording>,
    /// Bytes after the last recording that are no recording we can follow; 0 if they are few.
    pub foreign_bytes: u64,
}

/// Follows the structure of a file.
pub fn find(source: &dyn ReadAt, container: &str, clock: &ContentionClock) -> io::Result<Content> {
    let mut walk = Walk::new(source, clock);
    match container {
        "matroska" => matroska::walk(&mut walk)?,
        "mp4" => chunks::mp4(&mut walk)?,
        "avi" | "wav" => chunks::riff(&mut walk)?,
        "aiff" => chunks::aiff(&mut walk)?,
        "asf" => chunks::asf(&mut walk)?,
        "flv" => pages::flv(&mut walk)?,
        "ogg" => pages::ogg(&mut walk)?,
        "flac" => pages::flac(&mut walk)?,
        "caf" => chunks::caf(&mut walk)?,
        "w64" => chunks::w64(&mut walk)?,
        _ => frames::walk(&mut walk, container)?,
    }
    let foreign_bytes = match walk.structure_end() {
        Some(end) => trailing::foreign_bytes(source, end)?,
        None => 0,
    };
    Ok(Content { recordings: walk.into_recordings(), foreign_bytes })
}

#[cfg(test)]
mod tests;
