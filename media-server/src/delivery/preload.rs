//! What a player loads first. The page carries it, so that it can request all of it at once, while
//! the player library is still loading.

use serde::Serialize;

use super::hls_filter::{self, STREAM_INF, attribute, resolve};
use super::service::Delivery;
use super::session_playlists::{master, media};
use crate::access::Viewing;
use crate::problem::Problem;
use crate::reason::Reason;

/// The first requests of a stream, for its lowest moving video.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Preload {
    /// The multivariant playlist's text, with relative URIs.
    pub playlist: String,
    /// Peak bits per second of the lowest moving variant.
    pub bandwidth_bps: u64,
    /// Its video, and its audio if that is a rendition of its own.
    pub parts: Vec<PreloadTrack>,
}

/// The first requests of one media playlist; all are keys, relative to the recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PreloadTrack {
    /// `video` or `audio`.
    pub kind: &'static str,
    /// The media playlist.
    pub playlist: String,
    /// Its init segment; `None` if it is a range of another object.
    pub init: Option<String>,
    /// Its first segment; `None` if it is a range of another object.
    pub segment: Option<String>,
}

/// The preload of a session's stream.
///
/// # Errors
/// If there is no stream, or none with video.
pub async fn preload(delivery: &Delivery, viewing: &Viewing) -> Result<Preload, Problem> {
    let key = chalkstream_store::layout::master_relative(viewing.session.revision);
    let text = master(delivery, viewing).await?.text.clone();
    let lowest =
        lowest_moving(&text, &key).ok_or_else(|| Problem::not_found().because(Reason::NoMovingVideo))?;
    let mut parts = Vec::with_capacity(2);
    for (kind, playlist) in [("video", Some(lowest.video)), ("audio", lowest.audio)] {
        let Some(playlist) = playlist else { continue };
        let plan = media(delivery, viewing, &playlist).await?;
        let (init, segment) = firsts(&plan.text, &playlist);
        parts.push(PreloadTrack { kind, playlist, init, segment });
    }
    Ok(Preload { playlist: text, bandwidth_bps: lowest.bandwidth_bps, parts })
}

#[derive(Debug, PartialEq, Eq)]
struct LowestVariant {
    bandwidth_bps: u64,
    video: String,
    audio: Option<String>,
}

/// Returns the variant of the least bandwidth whose video moves. Below one frame per second are
/// stills, for connections that carry no more; the page chooses them if it knows the connection.
fn lowest_moving(text: &str, key: &str) -> Option<LowestVariant> {
    let mut lowest: Option<(u64, &str, &str)> = None;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(bandwidth) = hls_filter::bandwidth(line, STREAM_INF) else { continue };
        let moves =
            attribute(line, "FRAME-RATE").and_then(|rate| rate.parse().ok()).is_none_or(|r: f64| r >= 1.0);
        let uri = lines.next()?;
        let lower = lowest.is_none_or(|(least, ..)| bandwidth < least);
        if attribute(line, "RESOLUTION").is_some() && moves && lower {
            lowest = Some((bandwidth, line, uri));
        }
    }
    let (bandwidth_bps, line, uri) = lowest?;
    let group = attribute(line, "AUDIO");
    let of_group = |line: &&str| {
        line.starts_with("#EXT-X-MEDIA:")
            && attribute(line, "TYPE") == Some("AUDIO")
            && attribute(line, "GROUP-ID") == group
    };
    let audio = group.and_then(|_| text.lines().find(of_group)).and_then(|line| attribute(line, "URI"));
    let audio = audio.and_then(|uri| resolve(key, uri));
    Some(LowestVariant { bandwidth_bps, video: resolve(key, uri)?, audio })
}

/// Init segment and first segment of a media playlist.
fn firsts(text: &str, key: &str) -> (Option<String>, Option<String>) {
    let map = text.lines().find(|line| line.starts_with("#EXT-X-MAP:"));
    let init =
        map.filter(|line| attribute(line, "BYTERANGE").is_none()).and_then(|line| attribute(line, "URI"));
    let segment = text.lines().find(|line| !line.starts_with('#') && !line.trim().is_empty());
    let segment = segment.filter(|_| !text.contains("#EXT-X-BYTERANGE"));
    (init.and_then(|uri| resolve(key, uri)), segment.and_then(|uri| resolve(key, uri)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASTER: &str = "#EXTM3U\n\
        #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"a32\",NAME=\"x\",URI=\"../subtitles/1/en/index.m3u8\"\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a96\",NAME=\"x\",URI=\"../audio/1/a96/index.m3u8\"\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a32\",NAME=\"x\",URI=\"../audio/1/a32/index.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=600000,RESOLUTION=640x360,FRAME-RATE=25.000,AUDIO=\"a96\"\n../video/1/v360/index.m3u8\n\
        #EXT-X-STREAM-INF:BANDWIDTH=150000,RESOLUTION=426x240,FRAME-RATE=12.500,AUDIO=\"a32\"\n../video/1/v240/index.m3u8\n\
        #EXT-X-STREAM-INF:BANDWIDTH=60000,RESOLUTION=320x180,FRAME-RATE=0.500,AUDIO=\"a32\"\n../video/1/stills/index.m3u8\n\
        #EXT-X-STREAM-INF:BANDWIDTH=33000,CODECS=\"mp4a.40.2\",AUDIO=\"a32\"\n../audio/1/a32/index.m3u8\n";

    #[test]
    fn the_lowest_picture_that_moves_is_begun_with_and_its_own_sound() {
        let lowest = lowest_moving(MASTER, "hls/1/master.m3u8").unwrap();
        assert_eq!(lowest.bandwidth_bps, 150_000);
        assert_eq!(lowest.video, "hls/video/1/v240/index.m3u8");
        assert_eq!(lowest.audio.as_deref(), Some("hls/audio/1/a32/index.m3u8"));
        let audio_only = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=33000,CODECS=\"mp4a.40.2\"\na/index.m3u8\n";
        assert_eq!(lowest_moving(audio_only, "hls/1/master.m3u8"), None);
    }

    #[test]
    fn a_variant_that_tells_no_frame_rate_moves_and_carries_its_own_sound() {
        let source = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=5000000,RESOLUTION=1920x1080\n../video/1/source/index.m3u8\n";
        let lowest = lowest_moving(source, "hls/1/master.m3u8").unwrap();
        assert_eq!((lowest.video.as_str(), lowest.audio), ("hls/video/1/source/index.m3u8", None));
    }

    #[test]
    fn parts_of_other_objects_are_not_asked_for() {
        let whole =
            "#EXTM3U\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:3.2,\n00001.m4s\n#EXTINF:3.2,\n00002.m4s\n";
        let key = "hls/video/1/v240/index.m3u8";
        let named = |name: &str| Some(format!("hls/video/1/v240/{name}"));
        assert_eq!(firsts(whole, key), (named("init.mp4"), named("00001.m4s")));
        let ranges = "#EXTM3U\n#EXT-X-MAP:URI=\"all.mp4\",BYTERANGE=\"700@0\"\n#EXTINF:3.2,\n#EXT-X-BYTERANGE:90@700\nall.mp4\n";
        assert_eq!(firsts(ranges, key), (None, None));
    }
}
