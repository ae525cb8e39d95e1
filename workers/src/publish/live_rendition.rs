//! A rendition that can be watched while it is made: a media playlist of the segments that are
//! stored already, written again as they come, and a revision of its own that names it.
//!
//! Meanwhile its segments are objects of their own. When the manifest names the inventory of the
//! files that they share, the single ones are removed. The playlist is the one object that is
//! overwritten; the lease's fence in its key keeps two attempts from sharing it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chalkstream_pipeline::fmp4::codec_of_init;
use chalkstream_pipeline::hls::{MediaPlaylist, PlaylistSegment, TARGET_DURATION_S, live_playlist};
use chalkstream_pipeline::ladder::RenditionPlan;
use chalkstream_pipeline::report::VideoRenditionReport;
use chalkstream_store::{
    Lease, LiveRevisionNote, ObjectFacts, PublishedRevision, Revision, layout, projection,
};
use futures_util::future::BoxFuture;

use super::multivariant::AvailableStreams;
use crate::context::WorkerContext;
use crate::failure::StepFailure;
use crate::lease::LeaseGuard;
use crate::outage::wait_out;
use crate::outputs::{ObjectSink, keys};
use crate::runner::outputs::{Output, OutputSink, Segment};

/// Media time in new segments that is worth another version of the playlist, in ms. A player
/// reloads the playlist once per target duration.
const MIN_NEW_MS: u64 = 9_600;

/// The one rendition of an attempt, as it grows.
pub struct LiveRendition<'a> {
    context: &'a WorkerContext,
    lease: &'a Lease,
    guard: &'a dyn LeaseGuard,
    plan: RenditionPlan,
    /// Streams that can be watched next to it.
    streams: AvailableStreams,
    /// The last revision of earlier attempts.
    last_revision_id: u32,
    progress: Mutex<SegmentProgress>,
    /// One writer at a time: an older playlist must not overwrite a newer one.
    published: tokio::sync::Mutex<Published>,
}

/// Announced segments, and the stored ones among them.
#[derive(Default)]
struct SegmentProgress {
    codecs: Option<String>,
    announced: Vec<Segment>,
    stored: BTreeSet<String>,
}

/// How much viewers have been given.
#[derive(Default)]
struct Published {
    segments: usize,
    has_revision: bool,
}

impl<'a> LiveRendition<'a> {
    /// A rendition made by `plan` under a lease, to be watched with the `streams` that there are.
    pub fn new(
        context: &'a WorkerContext,
        lease: &'a Lease,
        guard: &'a dyn LeaseGuard,
        plan: RenditionPlan,
        streams: AvailableStreams,
        last_revision_id: u32,
    ) -> Self {
        let (progress, published) = Default::default();
        Self { context, lease, guard, plan, streams, last_revision_id, progress, published }
    }

    /// Follows the outputs that go into `objects`.
    pub fn follow<'s>(&'s self, objects: &'s ObjectSink<'a>) -> LiveSink<'s> {
        LiveSink { live: self, objects }
    }

    /// All segments are stored: ends the playlist, if anyone may be watching it. Returns its key
    /// relative to the recording, and its facts.
    pub async fn end(&self) -> Result<Option<(String, ObjectFacts)>, StepFailure> {
        self.publish_playlist(true).await
    }

    /// Folder of the rendition's outputs.
    pub fn folder(&self) -> String {
        format!("video/{}", self.plan.name)
    }

    fn path(&self) -> String {
        format!("{}/{}", self.folder(), layout::LIVE_PLAYLIST)
    }

    fn progress(&self) -> MutexGuard<'_, SegmentProgress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The segments from the first on that are all stored, and their ticks per second.
    fn stored_segments(&self) -> (Vec<PlaylistSegment>, u32) {
        let progress = self.progress();
        let folder = self.folder();
        let is_stored = |segment: &&Segment| progress.stored.contains(&format!("{folder}/{}", segment.uri));
        let stored = progress.announced.iter().take_while(is_stored);
        let stored = stored.map(|segment| PlaylistSegment {
            uri: segment.uri.clone(),
            duration_ticks: segment.duration_ticks,
            byte_range: None,
        });
        let timescale = progress.announced.first().map_or(1, |segment| segment.timescale.max(1));
        (stored.collect(), timescale)
    }

    /// Writes the playlist if it has grown enough, and at the end if there is a revision with it.
    async fn publish_playlist(&self, is_ended: bool) -> Result<Option<(String, ObjectFacts)>, StepFailure> {
        let mut published = self.published.lock().await;
        let (segments, timescale) = self.stored_segments();
        let new = segments.iter().skip(published.segments).map(|segment| segment.duration_ticks);
        let has_grown = new.sum::<u64>() * 1000 / u64::from(timescale) >= MIN_NEW_MS;
        if !(has_grown || is_ended && published.has_revision) {
            return Ok(None);
        }
        let text = live_playlist(
            &MediaPlaylist {
                timescale,
                target_duration_s: TARGET_DURATION_S,
                init_uri: Some("init.mp4"),
                iframes_only: false,
                segments: &segments,
            },
            is_ended,
        );
        let key = keys::object(&self.path(), self.lease.fence);
        let facts = ObjectFacts::from_bytes(text.as_bytes());
        self.put(&key, text).await?;
        published.segments = segments.len();
        if !std::mem::replace(&mut published.has_revision, true) {
            self.publish_revision().await?;
        }
        Ok(Some((key, facts)))
    }

    async fn publish_revision(&self) -> Result<(), StepFailure> {
        let codecs = self.progress().codecs.clone();
        let codecs = codecs.ok_or_else(|| StepFailure::ours("segments came before their init segment"))?;
        let plan = &self.plan;
        let rendition = VideoRenditionReport {
            name: plan.name.clone(),
            width: plan.width,
            height: plan.height,
            frame_rate: plan.frame_rate,
            codecs,
            // Nothing is measured yet: these are the bounds of the rate control.
            bandwidth_bps: plan.bitrate_bps + plan.bitrate_bps / 4,
            average_bandwidth_bps: plan.bitrate_bps,
            playlist: self.path(),
            segments: 0,
            duration_ms: 0,
        };
        let text = self.streams.live_playlist(&rendition, self.lease.fence, keys::object_base);
        // Another step may have published since this one began.
        let job = wait_out(self.context.outage_limit(), || self.context.job(self.lease)).await?;
        let newest = projection::newest_revision(&job).map_err(StepFailure::storage)?;
        let newest_id = newest.map_or(0, |newest| newest.revision.id);
        let id = Revision::live_after(newest_id.max(self.last_revision_id));
        let master = layout::master_relative(id);
        let facts = ObjectFacts::from_bytes(text.as_bytes());
        let objects = BTreeMap::from([(master.clone(), facts)]);
        self.put(&master, text).await?;
        let revision = Revision { id, master, is_live: true };
        let with = self.streams.names_beside(&plan.name);
        let published = PublishedRevision { revision, with };
        self.note(&LiveRevisionNote { published, objects }).await
    }

    /// Notes in the queue what the manifest must contain before the step is over.
    async fn note(&self, note: &LiveRevisionNote) -> Result<(), StepFailure> {
        let note = serde_json::to_value(note).map_err(StepFailure::ours)?;
        let noted =
            || async { self.context.queue.note(self.lease, &note).await.map_err(StepFailure::storage) };
        let job = wait_out(self.context.outage_limit(), noted).await?;
        self.context.update_manifest(&job).await;
        Ok(())
    }

    async fn put(&self, relative: &str, text: String) -> Result<(), StepFailure> {
        let key = layout::object_key(&self.lease.tenant, &self.lease.recording, relative);
        let text = bytes::Bytes::from(text);
        wait_out(self.context.outage_limit(), || async {
            self.guard.ensure_held().await?;
            self.context.store.put(&key, text.clone()).await.map_err(StepFailure::storage)
        })
        .await
    }
}

/// Uploads outputs and lets the live rendition follow.
pub struct LiveSink<'a> {
    live: &'a LiveRendition<'a>,
    objects: &'a ObjectSink<'a>,
}

impl OutputSink for LiveSink<'_> {
    fn take(&self, output: Output) -> BoxFuture<'_, Result<(), StepFailure>> {
        Box::pin(async move {
            let path = output.path.clone();
            if path == format!("video/{}/init.mp4", self.live.plan.name) {
                let init = tokio::fs::read(&output.file).await.map_err(StepFailure::machine)?;
                self.live.progress().codecs = codec_of_init(&init);
            }
            self.objects.take(output).await?;
            if path.ends_with(".m4s") {
                self.live.progress().stored.insert(path);
                self.live.publish_playlist(false).await?;
            }
            Ok(())
        })
    }

    fn segment(&self, segment: Segment) {
        if segment.playlist == format!("video/{}/index.m3u8", self.live.plan.name) {
            self.live.progress().announced.push(segment);
        }
    }
}
