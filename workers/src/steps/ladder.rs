//! `ladder` and `ladder_top`: make the other renditions; those of `ladder_top` may wait for idle
//! time.

use chalkstream_config as config;
use chalkstream_pipeline::ladder::{Ladder, LadderSettings, RenditionPlan, Rung, plan};
use chalkstream_pipeline::media::VideoTrack;
use chalkstream_pipeline::report::VideoRenditionReport;
use chalkstream_pipeline::step::Step;
use chalkstream_pipeline::steps::source_rendition::SourceRenditionReport;
use chalkstream_pipeline::steps::transcode::TranscodeReport;

use super::cost::Cost;
use super::definition::{Class, Deadline, Execution, Input, StepDefinition, no_contribution};
use super::request::{RequestContext, planned};
use super::{source_rendition, verify};
use crate::failure::StepFailure;

/// Name of the step that makes the renditions someone waits for.
pub const NAME: &str = "ladder";
/// Name of the step that makes those that may wait.
pub const TOP_NAME: &str = "ladder_top";

/// The step that makes the renditions someone waits for.
pub const DEFINITION: StepDefinition = definition(NAME, Class::Ladder);
/// The step that makes those that may wait.
pub const TOP: StepDefinition = definition(TOP_NAME, Class::Idle);

const fn definition(name: &'static str, class: Class) -> StepDefinition {
    StepDefinition {
        name,
        class,
        optional: false,
        requires: &[],
        cost: Cost::LADDER,
        execution: Execution::Child { deadline: Deadline::PerDuration, input: Input::Source, request },
        verify: verify::transcode,
        contribute: no_contribution,
    }
}

fn request(ctx: &RequestContext<'_>) -> Result<Step, StepFailure> {
    let mut step = planned(ctx)?;
    let source: Option<SourceRenditionReport> = ctx.results.report(source_rendition::NAME)?;
    let source = source.and_then(|report| report.video);
    if let (Step::Transcode(request), Some(source)) = (&mut step, source) {
        drop_replaced(&mut request.ladder, &source, &ctx.settings.source_rendition);
    }
    Ok(step)
}

/// The report of a step without renditions: the source stands for all of them. `None` for every
/// other step.
pub fn report_without_work(step: &Step) -> Option<TranscodeReport> {
    match step {
        Step::Transcode(request) if request.ladder.renditions.is_empty() => Some(TranscodeReport::default()),
        _ => None,
    }
}

/// The renditions of a video track, by the settings.
pub fn for_video(video: &VideoTrack, settings: &config::Media) -> Ladder {
    let rung = |rung: &config::RungSettings| Rung {
        name: rung.name.clone(),
        width: rung.width,
        height: rung.height,
        max_frame_rate: rung.max_frame_rate,
        bitrate_bps: rung.bitrate_bps,
    };
    let rungs = settings.ladder.iter().map(rung).collect();
    let quality = (settings.quality > 0).then_some(settings.quality);
    let (preset, drop_redundant) = (settings.preset.clone(), settings.drop_redundant);
    plan(video, &LadderSettings { preset, quality, drop_redundant, rungs })
}

/// Drops the renditions that the source replaces: the largest, which would be the same again, and
/// those whose constant rate is nearly the source's. At constant quality a smaller rendition always
/// takes less.
fn drop_replaced(ladder: &mut Ladder, source: &VideoRenditionReport, settings: &config::SourceRendition) {
    let source_bps = source.average_bandwidth_bps;
    if source_bps > settings.max_bps {
        return;
    }
    let pixels = |width: u32, height: u32| u64::from(width) * u64::from(height);
    let same_pixels = pixels(source.width, source.height) * 9 / 10;
    let is_leaner = |r: &RenditionPlan| r.quality.is_some() || r.bitrate_bps * 10 < source_bps * 9;
    ladder.renditions.retain(|r| pixels(r.width, r.height) < same_pixels && is_leaner(r));
}

#[cfg(test)]
mod tests {
    use chalkstream_pipeline::media::{Hdr, Rational};

    use super::*;

    fn remaining(size: (u32, u32), mean_bps: u64, quality: u32) -> Vec<String> {
        let video = VideoTrack {
            codec: "h264".into(),
            stream_index: 0,
            width: 1920,
            height: 1080,
            frame_rate: Rational::new(30, 1),
            variable_rate: false,
            rotation_degrees: 0,
            mirrored: false,
            oriented_by_frame: false,
            changes_size: false,
            interlaced: false,
            hdr: Hdr::None,
            keyframes_apart_ms: 0,
            chosen: None,
            start_ms: 0,
            end_ms: 60_000,
        };
        let source = VideoRenditionReport {
            name: "source".into(),
            width: size.0,
            height: size.1,
            frame_rate: video.frame_rate,
            codecs: "avc1.640028".into(),
            bandwidth_bps: mean_bps,
            average_bandwidth_bps: mean_bps,
            playlist: "source/video/index.m3u8".into(),
            segments: 1,
            duration_ms: 60_000,
        };
        let mut ladder = for_video(&video, &config::Media { quality, ..Default::default() });
        drop_replaced(&mut ladder, &source, &config::SourceRendition::default());
        ladder.renditions.into_iter().map(|rendition| rendition.name).collect()
    }

    #[test]
    fn the_source_stands_for_the_largest_rendition() {
        assert_eq!(remaining((1920, 1080), 6_000_000, 23), ["v720", "v480", "v360", "v240"]);
        assert_eq!(remaining((1920, 1080), 1_000_000, 23), ["v720", "v480", "v360", "v240"]);
        assert_eq!(remaining((3840, 2160), 6_000_000, 23), ["v1080", "v720", "v480", "v360", "v240"]);
    }

    #[test]
    fn at_constant_rates_a_lean_source_stands_for_more_and_a_heavy_one_for_none() {
        assert_eq!(remaining((1920, 1080), 1_000_000, 0), ["v360", "v240"]);
        assert_eq!(remaining((1920, 1080), 60_000_000, 23), ["v1080", "v720", "v480", "v360", "v240"]);
    }
}
