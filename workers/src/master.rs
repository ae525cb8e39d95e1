//! The multivariant playlist of a revision, from the results of the steps. Pure.

use chalkstream_pipeline::hls::{Multivariant, Picture, Place, Sound, Subtitles, multivariant};
use chalkstream_pipeline::package::{HevcReport, PackageReport};
use chalkstream_pipeline::sound::{AudioReport, SoundReport};
use chalkstream_pipeline::speech::TranscriptReport;
use chalkstream_pipeline::stills::StillsReport;
use chalkstream_pipeline::transcode::{RenditionReport, TranscodeReport};

use crate::failure::StepFailure;
use crate::planner;
use crate::result::{Results, report};

/// All that can be watched or heard so far.
#[derive(Default)]
pub struct Shown {
    source: Option<(PackageReport, u64)>,
    sound: Option<(SoundReport, u64)>,
    stills: Option<(RenditionReport, u64)>,
    transcodes: Vec<(TranscodeReport, u64, Place)>,
    transcript: Option<(TranscriptReport, u64)>,
}

impl Shown {
    /// What the accepted results hold.
    pub fn of(results: &Results) -> Result<Self, StepFailure> {
        let fence = |step: &str| results.get(step).map_or(0, |result| result.fence);
        let stills: Option<StillsReport> = report(results, planner::STILLS)?;
        let mut transcodes = Vec::new();
        for step in planner::TRANSCODES {
            if let Some(made) = report::<TranscodeReport>(results, step)? {
                let place = if step == planner::WEAK_LINE { Place::WeakLine } else { Place::Full };
                transcodes.push((made, fence(step), place));
            }
        }
        Ok(Self {
            source: report(results, planner::PACKAGE_SOURCE)?
                .map(|made| (made, fence(planner::PACKAGE_SOURCE))),
            sound: report(results, planner::SOUND)?.map(|made| (made, fence(planner::SOUND))),
            stills: stills.and_then(|stills| Some((stills.rendition?, fence(planner::STILLS)))),
            transcodes,
            transcript: report(results, planner::TRANSCRIBE)?.map(|made| (made, fence(planner::TRANSCRIBE))),
        })
    }

    /// The names of what there is: `source`, `hevc`, `stills`, the ladder's renditions, `sound`, `captions`.
    pub fn names(&self) -> Vec<String> {
        let source = self.source().map(|_| "source".to_owned()).or(self.hevc().map(|_| "hevc".to_owned()));
        let stills = self.stills.as_ref().map(|_| "stills".to_owned());
        let made = self.transcodes.iter().flat_map(|(made, ..)| &made.renditions).map(|r| r.name.clone());
        let sound = self.sound.as_ref().map(|_| "sound".to_owned());
        let captions = self.captions().map(|_| "captions".to_owned());
        source.into_iter().chain(stills).chain(made).chain(sound).chain(captions).collect()
    }

    /// The names of what there is beside a rendition that still grows, and its own.
    pub fn names_beside(&self, rendition: &str) -> Vec<String> {
        let stills = self.stills.as_ref().map(|_| "stills");
        let sound = self.sound.as_ref().map(|_| "sound");
        stills.into_iter().chain([rendition]).chain(sound).map(str::to_owned).collect()
    }

    /// Whether there is anything to watch or hear. A picture of which the sound is not there yet is not.
    pub fn playable(&self, has_sound: bool, has_picture: bool) -> bool {
        let heard = !has_sound || self.sound.is_some() || self.source_sound().is_some();
        let seen = self.source().is_some() || self.stills.is_some() || !self.transcodes.is_empty();
        heard && (seen || !has_picture)
    }

    fn source(&self) -> Option<(&RenditionReport, u64)> {
        let (made, fence) = self.source.as_ref()?;
        Some((made.video.as_ref()?, *fence))
    }

    fn hevc(&self) -> Option<(&HevcReport, u64)> {
        let (made, fence) = self.source.as_ref()?;
        Some((made.hevc.as_ref()?, *fence))
    }

    /// The source's own sound, until there is better.
    fn source_sound(&self) -> Option<(&AudioReport, u64)> {
        let (made, fence) = self.source.as_ref()?;
        Some((made.audio.as_ref().filter(|_| made.video.is_some())?, *fence))
    }

    fn captions(&self) -> Option<(&str, &str, u64)> {
        let (transcript, fence) = self.transcript.as_ref()?;
        Some((transcript.language.as_str(), transcript.subtitles.as_deref()?, *fence))
    }

    /// The text of the multivariant playlist. `base` gives the prefix of a group's URIs (`video`, `audio`, …) from the
    /// fence of the attempt that made it.
    pub fn playlist(&self, base: impl Fn(&str, u64) -> String) -> String {
        let uri = |path: &str, fence: u64| address(path, |group| base(group, fence));
        let shown = |report, fence, place| {
            let report: &RenditionReport = report;
            Picture { report, uri: uri(&report.playlist, fence), place, hdr: None }
        };
        let mut parts = Multivariant::default();
        parts.pictures.extend(self.source().map(|(report, fence)| shown(report, fence, Place::Full)));
        parts
            .pictures
            .extend(self.stills.as_ref().map(|(report, fence)| shown(report, *fence, Place::Stills)));
        for (made, fence, place) in &self.transcodes {
            parts.pictures.extend(made.renditions.iter().map(|report| shown(report, *fence, *place)));
            let keyframes = made.iframes.iter().chain(&made.trickplay);
            parts.iframes.extend(keyframes.map(|report| shown(report, *fence, *place)));
        }
        self.hear(&mut parts, &uri);
        multivariant(&parts)
    }

    /// The text of the multivariant playlist of an H.265 source, once its sound is there: the source's picture alone, for
    /// players that show it smoothly. Beside H.264 it would be a variant that they cannot change to.
    pub fn hevc_playlist(&self, has_sound: bool, base: impl Fn(&str, u64) -> String) -> Option<String> {
        let (made, fence) = self.hevc().filter(|_| !has_sound || self.sound.is_some())?;
        let uri = |path: &str, fence: u64| address(path, |group| base(group, fence));
        let (report, hdr) = (&made.picture, Some(made.hdr));
        let picture = Picture { report, uri: uri(&report.playlist, fence), place: Place::Full, hdr };
        let mut parts = Multivariant { pictures: vec![picture], ..Multivariant::default() };
        self.hear(&mut parts, &uri);
        Some(multivariant(&parts))
    }

    /// The text of the multivariant playlist of a `rendition` that still grows, with what the weakest line has beside it:
    /// the stills and the small sound, which the server keeps in step.
    pub fn growing(
        &self,
        rendition: &RenditionReport,
        fence: u64,
        base: impl Fn(&str, u64) -> String,
    ) -> String {
        let uri = |path: &str, fence: u64| address(path, |group| base(group, fence));
        let shown = |report, fence, place| {
            let report: &RenditionReport = report;
            Picture { report, uri: uri(&report.playlist, fence), place, hdr: None }
        };
        let mut parts = Multivariant { growing: true, ..Multivariant::default() };
        parts.pictures.push(shown(rendition, fence, Place::WeakLine));
        parts
            .pictures
            .extend(self.stills.as_ref().map(|(report, fence)| shown(report, *fence, Place::Stills)));
        if let Some((sound, fence)) = &self.sound {
            let small = sound.renditions.first();
            parts.sounds.extend(small.map(|report| Sound { report, uri: uri(&report.playlist, *fence) }));
            parts.language = sound.language.as_deref();
        }
        multivariant(&parts)
    }

    /// Adds what is heard and read beside the picture.
    fn hear<'a>(&'a self, parts: &mut Multivariant<'a>, uri: &impl Fn(&str, u64) -> String) {
        let heard = |report: &'a AudioReport, fence| Sound { report, uri: uri(&report.playlist, fence) };
        match &self.sound {
            Some((sound, fence)) => {
                parts.sounds.extend(sound.renditions.iter().map(|report| heard(report, *fence)));
                parts.language = sound.language.as_deref();
            }
            None => parts.sounds.extend(self.source_sound().map(|(report, fence)| heard(report, fence))),
        }
        parts.subtitles.extend(
            self.captions()
                .map(|(language, playlist, fence)| Subtitles { language, uri: uri(playlist, fence) }),
        );
    }
}

/// The URI of what a step announced, `group/rest`, under the group's prefix.
fn address(path: &str, base: impl FnOnce(&str) -> String) -> String {
    let (group, rest) = path.split_once('/').unwrap_or(("video", path));
    format!("{}{rest}", base(group))
}
