//! The recording's own picture where it is H.265: offered to players that can show it, beside the stream that all play.

use chalkstream_store::layout;
use serde::Serialize;

use super::hls::{attribute, bandwidth};
use crate::app::AppState;
use crate::auth::Viewing;
use crate::problem::Problem;

/// What a player needs to know before it takes it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Original {
    /// Its multivariant playlist, relative to the recording.
    pub master: String,
    /// Its type, with codecs.
    pub content_type: String,
    /// Width, in pixels.
    pub width: u32,
    /// Height, in pixels.
    pub height: u32,
    /// Frames per second.
    pub frame_rate: f64,
    /// Bits per second at its peak, sound included.
    pub bandwidth_bps: u64,
    /// Range of brightness: `SDR`, `HLG` or `PQ`.
    pub range: String,
}

/// The session's; none where the recording has none, or where the session may not have so much.
pub async fn original(app: &AppState, viewing: &Viewing) -> Result<Option<Original>, Problem> {
    let key = layout::hevc_relative(viewing.session.revision);
    let plan = super::hevc(app, viewing).await?;
    Ok(plan.and_then(|plan| told(&plan.text, key)))
}

const TAG: &str = "#EXT-X-STREAM-INF:";

/// The variant that has a picture.
fn picture(text: &str) -> Option<&str> {
    text.lines().find(|line| line.starts_with(TAG) && attribute(line, "RESOLUTION").is_some())
}

/// Bits per second that the picture needs at its peak, sound included; none where a playlist has no picture.
pub fn least_bps(text: &str) -> Option<u64> {
    picture(text).and_then(|line| bandwidth(line, TAG))
}

fn told(text: &str, master: String) -> Option<Original> {
    let line = picture(text)?;
    let (width, height) = attribute(line, "RESOLUTION")?.split_once('x')?;
    let codec = attribute(line, "CODECS")?.split(',').next()?;
    Some(Original {
        master,
        content_type: format!("video/mp4; codecs=\"{codec}\""),
        width: width.parse().ok()?,
        height: height.parse().ok()?,
        frame_rate: attribute(line, "FRAME-RATE")?.parse().ok()?,
        bandwidth_bps: bandwidth(line, TAG)?,
        range: attribute(line, "VIDEO-RANGE").unwrap_or("SDR").to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_by_its_playlist() {
        let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a96\",NAME=\"x\",URI=\"../audio/1/a96/index.m3u8\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=8100000,CODECS=\"hvc1.2.4.L120.B0,mp4a.40.2\",RESOLUTION=1920x1080,\
            FRAME-RATE=29.970,VIDEO-RANGE=HLG,AUDIO=\"a96\"\n../source/1/video/index.m3u8\n";
        let found = told(text, "hls/2/hevc.m3u8".into()).unwrap();
        assert_eq!(found.content_type, "video/mp4; codecs=\"hvc1.2.4.L120.B0\"");
        assert_eq!((found.width, found.height, found.bandwidth_bps), (1920, 1080, 8_100_000));
        assert_eq!((found.frame_rate, found.range.as_str()), (29.97, "HLG"));
        assert_eq!(
            told("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"mp4a.40.2\"\na\n", String::new()),
            None
        );
    }
}
