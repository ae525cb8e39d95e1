//! The ladder of the settings, as the pipeline plans it.

use chalkstream_config as config;
use chalkstream_pipeline::ladder::{Ladder, LadderSettings, Rung, plan};
use chalkstream_pipeline::media::VideoTrack;

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
    let (preset, drop_needless) = (settings.preset.clone(), settings.drop_needless);
    plan(video, &LadderSettings { preset, quality, drop_needless, rungs })
}
