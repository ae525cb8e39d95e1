//! The multivariant playlist of a revision, made from the results of the steps. Pure.

use chalkstream_pipeline::hls::{AudioEntry, Multivariant, SubtitlesEntry, Tier, VideoEntry, multivariant};
use chalkstream_pipeline::report::{AudioRenditionReport, VideoRenditionReport};
use chalkstream_pipeline::steps::audio::AudioReport;
use chalkstream_pipeline::steps::source_rendition::{HevcReport, SourceRenditionReport};
use chalkstream_pipeline::steps::speech::TranscriptReport;
use chalkstream_pipeline::steps::stills::StillsReport;
use chalkstream_pipeline::steps::transcode::TranscodeReport;

use crate::failure::StepFailure;
use crate::planner::TRANSCODES;
use crate::steps::result::Results;
use crate::steps::{StepKind, silenced_audio, source_rendition, stills, transcribe};

/// The streams that are available so far, each with the fence of the attempt that made it.
#[derive(Default)]
pub struct AvailableStreams {
    source: Option<(SourceRenditionReport, u64)>,
    audio: Option<(AudioReport, u64)>,
    stills: Option<(VideoRenditionReport, u64)>,
    transcodes: Vec<(TranscodeReport, u64, Tier)>,
    transcript: Option<(TranscriptReport, u64)>,
}

impl AvailableStreams {
    /// The streams in the accepted results.
    pub fn from_results(results: &Results) -> Result<Self, StepFailure> {
        let stills: Option<StillsReport> = results.report(stills::NAME)?;
        let mut transcodes = Vec::new();
        for kind in TRANSCODES {
            if let Some(report) = results.report::<TranscodeReport>(kind.name())? {
                let tier = if kind == StepKind::WeakLine { Tier::WeakLine } else { Tier::Full };
                transcodes.push((report, results.fence(kind.name()), tier));
            }
        }
        let source: Option<SourceRenditionReport> = results.report(source_rendition::NAME)?;
        let audio_step = silenced_audio::renditions_step(results);
        let audio: Option<AudioReport> = results.report(audio_step)?;
        let transcript: Option<TranscriptReport> = results.report(transcribe::NAME)?;
        let stills = stills.and_then(|stills| stills.rendition);
        Ok(Self {
            source: source.map(|report| (report, results.fence(source_rendition::NAME))),
            audio: audio.map(|report| (report, results.fence(audio_step))),
            stills: stills.map(|report| (report, results.fence(stills::NAME))),
            transcodes,
            transcript: transcript.map(|report| (report, results.fence(transcribe::NAME))),
        })
    }

    /// Names of the streams: `source`, `hevc`, `stills`, those of the renditions, `sound`,
    /// `captions`.
    pub fn names(&self) -> Vec<String> {
        let source = self.source().map(|_| "source".to_owned()).or(self.hevc().map(|_| "hevc".to_owned()));
        let stills = self.stills.as_ref().map(|_| "stills".to_owned());
        let made = self.transcodes.iter().flat_map(|(made, ..)| &made.renditions).map(|r| r.name.clone());
        let audio = self.audio.as_ref().map(|_| "sound".to_owned());
        let captions = self.captions().map(|_| "captions".to_owned());
        source.into_iter().chain(stills).chain(made).chain(audio).chain(captions).collect()
    }

    /// Names of a live rendition and of the streams next to it.
    pub fn names_beside(&self, rendition: &str) -> Vec<String> {
        let stills = self.stills.as_ref().map(|_| "stills");
        let audio = self.audio.as_ref().map(|_| "sound");
        stills.into_iter().chain([rendition]).chain(audio).map(str::to_owned).collect()
    }

    /// Whether a player can be given what there is. Video without its audio is not playable.
    pub fn is_playable(&self, has_audio: bool, has_video: bool) -> bool {
        let is_audible = !has_audio || self.audio.is_some() || self.source_audio().is_some();
        let is_visible = self.source().is_some() || self.stills.is_some() || !self.transcodes.is_empty();
        is_audible && (is_visible || !has_video)
    }

    fn source(&self) -> Option<(&VideoRenditionReport, u64)> {
        let (made, fence) = self.source.as_ref()?;
        Some((made.video.as_ref()?, *fence))
    }

    fn hevc(&self) -> Option<(&HevcReport, u64)> {
        let (made, fence) = self.source.as_ref()?;
        Some((made.hevc.as_ref()?, *fence))
    }

    /// The source's own audio, until there is better.
    fn source_audio(&self) -> Option<(&AudioRenditionReport, u64)> {
        let (made, fence) = self.source.as_ref()?;
        Some((made.audio.as_ref().filter(|_| made.video.is_some())?, *fence))
    }

    fn captions(&self) -> Option<(&str, &str, u64)> {
        let (transcript, fence) = self.transcript.as_ref()?;
        Some((transcript.language.as_str(), transcript.subtitles.as_deref()?, *fence))
    }

    /// The text of the multivariant playlist. `base` returns the prefix of a group's URIs (`video`,
    /// `audio`, …) for the fence of the attempt that made it.
    pub fn playlist(&self, base: impl Fn(&str, u64) -> String) -> String {
        let uri = |path: &str, fence: u64| uri_under(path, |group| base(group, fence));
        let video = |report, fence, tier| variant(report, fence, tier, &uri);
        let mut parts = Multivariant::default();
        parts.videos.extend(self.source().map(|(report, fence)| video(report, fence, Tier::Full)));
        parts.videos.extend(self.stills.as_ref().map(|(report, fence)| video(report, *fence, Tier::Stills)));
        for (made, fence, tier) in &self.transcodes {
            parts.videos.extend(made.renditions.iter().map(|report| video(report, *fence, *tier)));
            let keyframes = made.iframes.iter().chain(&made.trickplay);
            parts.iframes.extend(keyframes.map(|report| video(report, *fence, *tier)));
        }
        self.add_audio_and_captions(&mut parts, &uri);
        multivariant(&parts)
    }

    /// The text of the multivariant playlist of an H.265 source; `None` until its audio is there.
    ///
    /// It holds the source's video alone, for players that decode it smoothly: they cannot switch
    /// between it and H.264.
    pub fn hevc_playlist(&self, has_audio: bool, base: impl Fn(&str, u64) -> String) -> Option<String> {
        let (made, fence) = self.hevc().filter(|_| !has_audio || self.audio.is_some())?;
        let uri = |path: &str, fence: u64| uri_under(path, |group| base(group, fence));
        let (report, hdr) = (&made.video, Some(made.hdr));
        let video = VideoEntry { report, uri: uri(&report.playlist, fence), tier: Tier::Full, hdr };
        let mut parts = Multivariant { videos: vec![video], ..Multivariant::default() };
        self.add_audio_and_captions(&mut parts, &uri);
        Some(multivariant(&parts))
    }

    /// The text of the multivariant playlist of a live `rendition`, with stills and the smallest
    /// audio rendition next to it, which the server keeps in step.
    pub fn live_playlist(
        &self,
        rendition: &VideoRenditionReport,
        fence: u64,
        base: impl Fn(&str, u64) -> String,
    ) -> String {
        let uri = |path: &str, fence: u64| uri_under(path, |group| base(group, fence));
        let video = |report, fence, tier| variant(report, fence, tier, &uri);
        let mut parts = Multivariant { is_live: true, ..Multivariant::default() };
        parts.videos.push(video(rendition, fence, Tier::WeakLine));
        parts.videos.extend(self.stills.as_ref().map(|(report, fence)| video(report, *fence, Tier::Stills)));
        if let Some((audio, fence)) = &self.audio {
            let smallest = audio.renditions.first();
            parts
                .audio
                .extend(smallest.map(|report| AudioEntry { report, uri: uri(&report.playlist, *fence) }));
            parts.language = audio.language.as_deref();
        }
        multivariant(&parts)
    }

    /// Adds audio and captions.
    fn add_audio_and_captions<'a>(
        &'a self,
        parts: &mut Multivariant<'a>,
        uri: &impl Fn(&str, u64) -> String,
    ) {
        let stream = |report: &'a AudioRenditionReport, fence| AudioEntry {
            report,
            uri: uri(&report.playlist, fence),
        };
        match &self.audio {
            Some((audio, fence)) => {
                parts.audio.extend(audio.renditions.iter().map(|report| stream(report, *fence)));
                parts.language = audio.language.as_deref();
            }
            None => parts.audio.extend(self.source_audio().map(|(report, fence)| stream(report, fence))),
        }
        parts.subtitles.extend(
            self.captions()
                .map(|(language, playlist, fence)| SubtitlesEntry { language, uri: uri(playlist, fence) }),
        );
    }
}

fn variant<'a>(
    report: &'a VideoRenditionReport,
    fence: u64,
    tier: Tier,
    uri: &impl Fn(&str, u64) -> String,
) -> VideoEntry<'a> {
    VideoEntry { report, uri: uri(&report.playlist, fence), tier, hdr: None }
}

/// The URI of an announced path, `group/rest`, under the prefix of its group.
fn uri_under(path: &str, base: impl FnOnce(&str) -> String) -> String {
    let (group, rest) = path.split_once('/').unwrap_or(("video", path));
    format!("{}{rest}", base(group))
}
