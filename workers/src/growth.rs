//! A rendition that is watched while it is made: a playlist of the segments that are in storage already, written anew as
//! they come, and a revision of its own that names it.
//!
//! Segments are immutable as all others are; the playlist is the one object that is overwritten, and the lease's fence in
//! its key keeps two attempts from sharing it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chalkstream_pipeline::fmp4::codecs_of_init;
use chalkstream_pipeline::hls::{MediaPlaylist, PlaylistSegment, TARGET_DURATION_S, growing_playlist};
use chalkstream_pipeline::ladder::RenditionPlan;
use chalkstream_pipeline::transcode::RenditionReport;
use chalkstream_store::{LiveRevisionNote, ObjectFacts, PublishedRevision, Revision, layout as keys};

use crate::attempt::Attempt;
use crate::failure::StepFailure;
use crate::layout;
use crate::master::Shown;
use crate::runner::outputs::Segment;
use crate::sink::{Holds, storage};

/// Media time that is there before anyone is told, and then between two writings of the playlist, in ms. A player
/// loads the playlist anew each target duration.
const WORTH_TELLING_MS: u64 = 9_600;

/// Follows the one rendition of an attempt.
pub struct Growth<'a> {
    attempt: &'a Attempt<'a>,
    plan: RenditionPlan,
    /// What there is beside it.
    shown: Shown,
    /// The last revision of earlier attempts.
    before: u32,
    state: Mutex<State>,
    /// One writer at a time: an older playlist must not overwrite a newer one.
    writing: tokio::sync::Mutex<Told>,
}

#[derive(Default)]
struct State {
    codecs: Option<String>,
    announced: Vec<Segment>,
    stored: std::collections::BTreeSet<String>,
}

/// How much has been told.
#[derive(Default)]
struct Told {
    segments: usize,
    out: bool,
}

impl<'a> Growth<'a> {
    /// Follows an attempt that makes `plan`, to be watched with what is `shown` already.
    pub fn new(attempt: &'a Attempt<'a>, plan: RenditionPlan, shown: Shown, before: u32) -> Self {
        Self { attempt, plan, shown, before, state: Mutex::default(), writing: tokio::sync::Mutex::default() }
    }

    /// Key of the growing playlist, relative to the recording.
    pub fn key(&self) -> String {
        layout::object(&self.path(), self.attempt.lease.fence)
    }

    fn path(&self) -> String {
        format!("video/{}/{}", self.plan.name, keys::LIVE_PLAYLIST)
    }

    /// The child told of a segment.
    pub fn announced(&self, segment: Segment) {
        if segment.playlist == format!("video/{}/index.m3u8", self.plan.name) {
            self.lock().announced.push(segment);
        }
    }

    /// The child's init segment.
    pub fn init(&self, path: &str, bytes: &[u8]) {
        if path == format!("video/{}/init.mp4", self.plan.name) {
            self.lock().codecs = codecs_of_init(bytes);
        }
    }

    /// An output is in storage.
    pub async fn stored(&self, path: &str) -> Result<(), StepFailure> {
        if !path.ends_with(".m4s") {
            return Ok(());
        }
        self.lock().stored.insert(path.to_owned());
        self.tell(false).await.map(|_| ())
    }

    /// All segments are there: ends the playlist, for those who watch it.
    pub async fn end(&self) -> Result<Option<(String, ObjectFacts)>, StepFailure> {
        self.tell(true).await
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The segments from the first on that are all in storage.
    fn there(&self) -> (Vec<PlaylistSegment>, u32) {
        let state = self.lock();
        let folder = format!("video/{}", self.plan.name);
        let there = state
            .announced
            .iter()
            .take_while(|segment| state.stored.contains(&format!("{folder}/{}", segment.uri)))
            .map(|segment| PlaylistSegment {
                uri: segment.uri.clone(),
                duration_ticks: segment.duration_ticks,
                byte_range: None,
            });
        (there.collect(), state.announced.first().map_or(1, |segment| segment.timescale.max(1)))
    }

    /// Writes the playlist where it has grown enough, and at the end where anybody was told of it.
    async fn tell(&self, ended: bool) -> Result<Option<(String, ObjectFacts)>, StepFailure> {
        let mut told = self.writing.lock().await;
        let (segments, timescale) = self.there();
        let new: u64 = segments.iter().skip(told.segments).map(|segment| segment.duration_ticks).sum();
        let enough = new * 1000 / u64::from(timescale) >= WORTH_TELLING_MS;
        if !(enough || ended && told.out) {
            return Ok(None);
        }
        let text = growing_playlist(
            &MediaPlaylist {
                timescale,
                target_duration_s: TARGET_DURATION_S,
                init_uri: Some("init.mp4"),
                iframes_only: false,
                segments: &segments,
            },
            ended,
        );
        let (key, facts) = (self.key(), ObjectFacts::from_bytes(text.as_bytes()));
        self.put(&key, text).await?;
        told.segments = segments.len();
        if !std::mem::replace(&mut told.out, true) {
            self.publish().await?;
        }
        Ok(Some((key, facts)))
    }

    /// Puts the revision out.
    async fn publish(&self) -> Result<(), StepFailure> {
        let codecs = self.lock().codecs.clone();
        let codecs = codecs.ok_or_else(|| StepFailure::ours("segments came before their init segment"))?;
        let plan = &self.plan;
        let rendition = RenditionReport {
            name: plan.name.clone(),
            width: plan.width,
            height: plan.height,
            frame_rate: plan.frame_rate,
            codecs,
            // Nothing is measured yet: what the rate control holds to.
            bandwidth_bps: plan.bitrate_bps + plan.bitrate_bps / 4,
            average_bandwidth_bps: plan.bitrate_bps,
            playlist: self.path(),
            segments: 0,
            duration_ms: 0,
        };
        let text = self.shown.growing(&rendition, self.attempt.lease.fence, layout::base_of_object);
        // Another step may have published since this one began.
        let id = Revision::growing_after(self.attempt.newest_revision().await?.max(self.before));
        let relative = keys::master_relative(id);
        let objects = BTreeMap::from([(relative.clone(), ObjectFacts::from_bytes(text.as_bytes()))]);
        self.put(&relative, text).await?;
        let revision = Revision { id, master: relative, growing: true };
        let published = PublishedRevision { revision, with: self.shown.names_beside(&plan.name) };
        let grown = LiveRevisionNote { published, objects };
        self.attempt.note(&grown).await
    }

    async fn put(&self, relative: &str, text: String) -> Result<(), StepFailure> {
        self.attempt.held.holds().await?;
        self.attempt.worker.store.put(&self.attempt.key(relative), text.into()).await.map_err(storage)
    }
}
