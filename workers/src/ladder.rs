//! The ladder of the settings, as the pipeline plans it.

use chalkstream_config as config;
use chalkstream_pipeline::ladder::{Ladder, LadderSettings, RenditionPlan, Rung, plan};
use chalkstream_pipeline::media::VideoTrack;
use chalkstream_pipeline::transcode::RenditionReport;

/// The renditions of a picture.
pub fn of(video: &VideoTrack, settings: &config::Media) -> Ladder {
    let rung = |rung: &config::Rung| Rung {
        name: rung.name.clone(),
        width: rung.width,
        height: rung.height,
        max_frame_rate: rung.max_frame_rate,
        bitrate_bps: rung.bitrate_bps,
    };
    let rungs = settings.ladder.iter().map(rung).collect();
    let quality = (settings.quality > 0).then_some(settings.quality);
    let (preset, drop_needless) = (settings.preset.clone(), settings.drop_redundant);
    plan(video, &LadderSettings { preset, quality, drop_needless, rungs })
}

/// Leaves out what the source as a rendition makes needless: the largest rendition, which would be the same again, and
/// those whose constant rate is nearly the source's. One of constant quality takes less the smaller it is.
pub fn beside_source(ladder: &mut Ladder, source: &RenditionReport, settings: &config::SourceRendition) {
    let source_bps = source.average_bandwidth_bps;
    if source_bps > settings.max_bps {
        return;
    }
    let pixels = |width: u32, height: u32| u64::from(width) * u64::from(height);
    let same = pixels(source.width, source.height) * 9 / 10;
    let lean = |r: &RenditionPlan| r.quality.is_some() || r.bitrate_bps * 10 < source_bps * 9;
    ladder.renditions.retain(|r| pixels(r.width, r.height) < same && lean(r));
}

#[cfg(test)]
mod tests {
    use chalkstream_pipeline::media::{Hdr, Rational};

    use super::*;

    fn beside(size: (u32, u32), mean_bps: u64, quality: u32) -> Vec<String> {
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
        let source = RenditionReport {
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
        let mut ladder = of(&video, &config::Media { quality, ..Default::default() });
        beside_source(&mut ladder, &source, &config::SourceRendition::default());
        ladder.renditions.into_iter().map(|rendition| rendition.name).collect()
    }

    #[test]
    fn the_source_stands_for_the_largest_rendition() {
        assert_eq!(beside((1920, 1080), 6_000_000, 23), ["v720", "v480", "v360", "v240"]);
        assert_eq!(beside((1920, 1080), 1_000_000, 23), ["v720", "v480", "v360", "v240"]);
        assert_eq!(beside((3840, 2160), 6_000_000, 23), ["v1080", "v720", "v480", "v360", "v240"]);
    }

    #[test]
    fn at_constant_rates_a_lean_source_stands_for_more_and_a_heavy_one_for_none() {
        assert_eq!(beside((1920, 1080), 1_000_000, 0), ["v360", "v240"]);
        assert_eq!(beside((1920, 1080), 60_000_000, 23), ["v1080", "v720", "v480", "v360", "v240"]);
    }
}
