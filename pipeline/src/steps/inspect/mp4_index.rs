//! First stage: the index of an MP4, checked and repaired before a media tool sees it.

use super::index_check;
use super::inspection::Inspection;
use crate::error::Result;
use crate::media::Warning;
use crate::mp4::movie::Movie;
use crate::mp4::movie_index::MovieIndex;
use crate::source::Source;

/// The index of an MP4; empty for other containers.
pub struct Mp4Index {
    /// Its bytes.
    pub index: Option<MovieIndex>,
    /// What it says.
    pub movie: Movie,
    /// The recording as its demuxer can read it.
    pub readable: Source,
    /// What is odd about it.
    pub warning: Option<Warning>,
}

impl Mp4Index {
    /// Reads the index, and refuses one that breaks a limit.
    pub fn read(inspection: &Inspection<'_>) -> Result<Self> {
        let source = inspection.source.clone();
        if inspection.container != "mp4" {
            return Ok(Self { index: None, movie: Movie::default(), readable: source, warning: None });
        }
        let index = MovieIndex::read(source.as_ref())?;
        index_check::check(&index, &inspection.request.limits)?;
        let movie = Movie::parse(&index);
        let (readable, is_repaired) = movie.repaired(source);
        let warning = if index.is_truncated() {
            Some(Warning::new(
                "cut_off",
                "The file is cut off inside its index; the tracks that are complete are used.",
            ))
        } else if is_repaired {
            Some(Warning::new(
                "odd_length",
                "The file states a wrong length; the length of its tracks was used.",
            ))
        } else {
            None
        };
        Ok(Self { index: Some(index), movie, readable, warning })
    }
}
