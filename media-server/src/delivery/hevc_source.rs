//! The source's own video if it is H.265: offered to players that can play it, next to the stream
//! that all players play.

use chalkstream_store::layout;
use serde::Serialize;

use super::hls_filter::{STREAM_INF, attribute, bandwidth, video_variant};
use super::service::Delivery;
use super::session_playlists::hevc;
use crate::access::Viewing;
use crate::problem::Problem;

/// The facts by which a player decides whether it can play the source.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HevcSource {
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
    /// Peak bits per second, audio included.
    pub bandwidth_bps: u64,
    /// Dynamic range: `SDR`, `HLG` or `PQ`.
    pub range: String,
}

/// The session's H.265 source. `None` if the recording has none, or if it needs more than the
/// session's bandwidth cap.
///
/// # Errors
/// If storage cannot be read.
pub async fn hevc_source(delivery: &Delivery, viewing: &Viewing) -> Result<Option<HevcSource>, Problem> {
    let key = layout::hevc_relative(viewing.session.revision);
    Ok(hevc(delivery, viewing).await?.and_then(|plan| parse(&plan.text, key)))
}

fn parse(text: &str, master: String) -> Option<HevcSource> {
    let line = video_variant(text)?;
    let (width, height) = attribute(line, "RESOLUTION")?.split_once('x')?;
    let codec = attribute(line, "CODECS")?.split(',').next()?;
    Some(HevcSource {
        master,
        content_type: format!("video/mp4; codecs=\"{codec}\""),
        width: width.parse().ok()?,
        height: height.parse().ok()?,
        frame_rate: attribute(line, "FRAME-RATE")?.parse().ok()?,
        bandwidth_bps: bandwidth(line, STREAM_INF)?,
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
        let found = parse(text, "hls/2/hevc.m3u8".into()).unwrap();
        assert_eq!(found.content_type, "video/mp4; codecs=\"hvc1.2.4.L120.B0\"");
        assert_eq!((found.width, found.height, found.bandwidth_bps), (1920, 1080, 8_100_000));
        assert_eq!((found.frame_rate, found.range.as_str()), (29.97, "HLG"));
        assert_eq!(
            parse("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"mp4a.40.2\"\na\n", String::new()),
            None
        );
    }
}
