//! The results of the stages, from which the report is made.

use super::choose::Candidates;
use super::mp4_index::Mp4Index;
use super::scan::Scan;
use super::scanned_track::ScannedTrack;
use super::select::ChosenTracks;

/// All that is known of one recording.
pub struct Findings<'a> {
    /// Its index, if it is an MP4.
    pub index: &'a Mp4Index,
    /// The scan of its packets.
    pub scan: &'a Scan,
    /// All its tracks.
    pub tracks: &'a [ScannedTrack],
    /// The tracks that could be used.
    pub candidates: &'a Candidates<'a>,
    /// The tracks that are used.
    pub chosen: &'a ChosenTracks<'a>,
}
