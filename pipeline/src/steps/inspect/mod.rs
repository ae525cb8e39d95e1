//! What a file is, or why it is refused.
//!
//! We look at its bytes first, then at its packets without decoding them, then decode the start of
//! its tracks. [`inspect_recording`] is the order of the stages.

mod activity;
mod choose;
mod expected_length;
mod findings;
mod frame_headers;
pub(crate) mod frame_rate;
mod frame_sizes;
mod index_check;
mod inspection;
mod joined;
mod mp4_index;
mod overlong_frame;
mod packet_observer;
mod probe;
mod report;
mod scan;
mod scanned_track;
mod select;
mod size_samples;
mod tracks;
mod unreadable;
mod warnings;

use std::sync::Arc;

use crate::container::ending::Ending;
use crate::container::{appended, motion_photo, sniff};
use crate::context::StepContext;
use crate::cpu_clock::ContentionClock;
use crate::error::Result;
use crate::gst::encrypted;
use crate::media::{MediaInfo, Warning};
use crate::source::{ByteRange, Source};
use choose::Candidates;
use findings::Findings;
pub use inspection::InspectRequest;
use inspection::Inspection;
use mp4_index::Mp4Index;
use unreadable::no_track;

/// Runs the step on a file: one recording, one inside a photo, or several that follow one another.
pub fn run(request: &InspectRequest, source: Source, ctx: &StepContext) -> Result<MediaInfo> {
    let clock = Arc::new(ContentionClock::for_this_process());
    let source = clock.timed_source(source);
    let inspect = |source: Source, within: Option<ByteRange>| {
        inspect_recording(&Inspection::new(request, source, within, &clock, ctx)?)
    };
    if let Some(within) = motion_photo::find_recording(source.as_ref())? {
        return inspect(within.view(source), Some(within));
    }
    let container = sniff::sniff(source.as_ref())?;
    let content = appended::find(source.as_ref(), container, &clock)?;
    let size_bytes = source.size_bytes();
    let inspect_part = |within: ByteRange| inspect(within.view(source.clone()), None);
    let mut media = match joined::inspect(&content.recordings, size_bytes, &clock, inspect_part)? {
        Some(media) => media,
        None => inspect(source.clone(), None)?,
    };
    if content.foreign_bytes > 0 {
        let own = ByteRange { begins_at: 0, size_bytes: size_bytes - content.foreign_bytes };
        // If a recording was not closed, the bytes after its declared end may be the rest of it.
        if Ending::read(own.view(source).as_ref(), container)? != Ending::Incomplete {
            media.warnings.retain(|warning| *warning != Warning::not_closed());
            media.warnings.push(joined::foreign_content(content.foreign_bytes, size_bytes));
        }
    }
    Ok(media)
}

/// Inspects one recording, stage by stage.
fn inspect_recording(inspection: &Inspection<'_>) -> Result<MediaInfo> {
    let index = Mp4Index::read(inspection)?;
    let mut scan = scan::scan_recording(inspection, &index.readable)?;
    let tracks = tracks::refine(inspection, &index, &mut scan)?;
    let candidates = Candidates::new(&tracks);
    if candidates.is_empty() {
        return Err(if scan.is_encrypted() { encrypted() } else { no_track(inspection, scan.error)? });
    }
    let chosen = select::first_decodable(inspection, &candidates, &scan)?;
    let findings =
        Findings { index: &index, scan: &scan, tracks: &tracks, candidates: &candidates, chosen: &chosen };
    let warnings = warnings::collect(inspection, &findings)?;
    let mut media = report::media_info(inspection, &findings, warnings)?;
    let shortfall = expected_length::shortfall(inspection, &findings, &media)?;
    media.warnings.extend(shortfall);
    Ok(media)
}

#[cfg(test)]
mod choice_tests;
#[cfg(test)]
mod codec_tests;
#[cfg(test)]
mod container_tests;
#[cfg(test)]
mod slow_tests;
#[cfg(test)]
mod timing_tests;
