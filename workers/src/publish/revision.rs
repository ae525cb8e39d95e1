//! The next revision of a recording: all that can be watched by now, if it differs from what is
//! published. Pure.

use chalkstream_store::{JobView, Manifest, ObjectFacts, Revision, layout, projection};

use super::multivariant::AvailableStreams;
use crate::failure::{Cause, StepFailure};
use crate::outputs::keys;
use crate::steps::publish::PublishReport;
use crate::steps::result::Results;
use crate::steps::{silenced_audio, verify, weak_line};

/// Outcome of a publishing step.
pub struct Publication {
    /// Its report.
    pub report: PublishReport,
    /// Playlists to store, by key relative to the recording. Empty if nothing new can be watched.
    pub playlists: Vec<(String, String)>,
}

/// Plans the next revision.
///
/// It looks at the job, not at the lease: what was finished next to the steps that this one waited
/// for is published too. `is_last` says that nothing can be added later.
pub fn plan(job: &JobView, manifest: &Manifest, is_last: bool) -> Result<Publication, StepFailure> {
    let results = Results::from_job(job)?;
    let media = results.media()?.ok_or_else(|| StepFailure::ours("nothing was inspected"))?;
    let video_ms = results.duration_ms(weak_line::NAME);
    let audio_ms = results.duration_ms(silenced_audio::renditions_step(&results));
    verify::agreement(&media, video_ms, audio_ms, results.is_lossy())
        .map_err(|problem| StepFailure::new(Cause::Unverified, problem))?;
    let streams = AvailableStreams::from_results(&results)?;
    let newest = projection::newest_revision(job).map_err(StepFailure::ours)?;
    let newest = newest.map(|newest| newest.revision);
    let newest_id = newest.as_ref().map_or(0, |newest| newest.id);
    let current = newest.filter(|revision| !revision.is_live);
    let unchanged = |with| Publication {
        report: PublishReport { revision: current.clone(), with },
        playlists: Vec::new(),
    };
    if !streams.is_playable(media.audio.is_some(), media.video.is_some()) {
        if is_last {
            return Err(StepFailure::ours("there is nothing to watch"));
        }
        return Ok(unchanged(Vec::new()));
    }
    let text = streams.playlist(keys::object_base);
    let published = current.as_ref().and_then(|current| manifest.objects.get(&current.master));
    if published == Some(&ObjectFacts::from_bytes(text.as_bytes())) {
        return Ok(unchanged(streams.names()));
    }
    let id = Revision::after(newest_id.max(projection::last_revision_id(manifest)));
    let master = layout::master_relative(id);
    let hevc = streams.hevc_playlist(media.audio.is_some(), keys::object_base);
    let hevc = hevc.map(|text| (layout::hevc_relative(id), text));
    let playlists = [(master.clone(), text)].into_iter().chain(hevc).collect();
    let revision = Some(Revision { id, master, is_live: false });
    Ok(Publication { report: PublishReport { revision, with: streams.names() }, playlists })
}
