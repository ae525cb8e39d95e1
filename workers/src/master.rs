//! The multivariant playlist of a revision, from the results of the steps. Pure.

use chalkstream_pipeline::hls::{Multivariant, Subtitles, multivariant};
use chalkstream_pipeline::sound::SoundReport;
use chalkstream_pipeline::speech::TranscriptReport;
use chalkstream_pipeline::transcode::TranscodeReport;

use crate::failure::StepFailure;
use crate::planner;
use crate::result::{Results, report};

/// Its text. `base` gives the prefix of a group's URIs (`video`, `audio`, `subtitles`, `iframes`) from the fence of
/// the attempt that made it.
pub fn playlist(results: &Results, base: impl Fn(&str, u64) -> String) -> Result<String, StepFailure> {
    let video: Option<TranscodeReport> = report(results, planner::TRANSCODE)?;
    let sound: Option<SoundReport> = report(results, planner::SOUND)?;
    let transcript: Option<TranscriptReport> = report(results, planner::TRANSCRIBE)?;
    let subtitles: Vec<Subtitles<'_>> = transcript
        .iter()
        .filter_map(|transcript| {
            Some(Subtitles { language: &transcript.language, playlist: transcript.subtitles.as_deref()? })
        })
        .collect();
    let fence = |step: &str| results.get(step).map_or(0, |result| result.fence);
    Ok(multivariant(&Multivariant {
        video: video.as_ref(),
        sound: sound.as_ref(),
        subtitles: &subtitles,
        video_base: &base("video", fence(planner::TRANSCODE)),
        audio_base: &base("audio", fence(planner::SOUND)),
        subtitles_base: &base("subtitles", fence(planner::TRANSCRIBE)),
        iframes_base: &base("iframes", fence(planner::TRANSCODE)),
    }))
}
