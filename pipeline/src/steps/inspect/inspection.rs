//! The request of the step, and one recording while it is inspected.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::container::sniff;
use crate::context::StepContext;
use crate::cpu_clock::ContentionClock;
use crate::error::Result;
use crate::limits::Limits;
use crate::media::{AudioTrack, MediaInfo};
use crate::source::{ByteRange, Source};

/// On the step's clock, the time after which tracks that do not decode get only a minimum more.
/// This way a refusal comes within ten seconds on a machine that is not busy.
pub const MAX_DECODE_TIME: Duration = Duration::from_millis(6500);

/// What the step is asked to inspect for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InspectRequest {
    /// Limits that the file must keep.
    pub limits: Limits,
    /// The voice activity model, which helps to choose among several audio tracks.
    #[serde(default)]
    pub vad_model_path: Option<PathBuf>,
}

/// One recording while it is inspected: what every stage needs.
pub struct Inspection<'a> {
    /// The request.
    pub request: &'a InspectRequest,
    /// The bytes of this recording alone.
    pub source: Source,
    /// Name of its container.
    pub container: &'static str,
    /// Its position in the file, if that is a photo.
    pub within: Option<ByteRange>,
    /// The step's clock.
    pub clock: &'a ContentionClock,
    /// The step's context.
    pub ctx: &'a StepContext,
}

impl<'a> Inspection<'a> {
    /// An inspection of the recording in `source`; an error if its container is not supported.
    pub fn new(
        request: &'a InspectRequest,
        source: Source,
        within: Option<ByteRange>,
        clock: &'a ContentionClock,
        ctx: &'a StepContext,
    ) -> Result<Self> {
        let container = sniff::sniff(source.as_ref())?;
        Ok(Self { request, source, container, within, clock, ctx })
    }

    /// The recording before anything is known of its tracks.
    pub fn media_info(&self) -> MediaInfo {
        MediaInfo {
            container: self.container.to_owned(),
            size_bytes: self.source.size_bytes(),
            within: self.within,
            parts: Vec::new(),
            duration_ms: 0,
            origin_ns: 0,
            video_gap: None,
            video: None,
            audio: None,
            warnings: Vec::new(),
        }
    }

    /// The recording with this audio track, as far as is needed to decode it.
    pub fn media_info_with_audio(&self, stream_index: u32) -> MediaInfo {
        let audio = AudioTrack {
            codec: String::new(),
            stream_index,
            channels: 0,
            sample_rate_hz: 0,
            language: None,
            chosen: None,
            start_ms: 0,
            end_ms: 0,
        };
        MediaInfo { audio: Some(audio), ..self.media_info() }
    }
}
