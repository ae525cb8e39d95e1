//! Media playlists: the segments of one rendition.

use std::fmt::Write;

/// Target duration of every rendition, in seconds. All renditions of a stream need the same one
/// (RFC 8216, 6.2.4), and are made separately. Our segments last 3.2 s. Those of a source rendition
/// last as long as its keyframes are apart: at most 6 s, unless the configuration allows more.
pub const TARGET_DURATION_S: u64 = 6;

/// The contents of a media playlist.
#[derive(Clone, Debug)]
pub struct MediaPlaylist<'a> {
    /// Ticks per second of the segments' durations.
    pub timescale: u32,
    /// Target duration in seconds, raised if a segment is longer.
    pub target_duration_s: u64,
    /// URI of the init segment, relative to the playlist; `None` for WebVTT.
    pub init_uri: Option<&'a str>,
    /// Whether each segment is one keyframe, for scrubbing.
    pub iframes_only: bool,
    /// The segments.
    pub segments: &'a [PlaylistSegment],
}

/// One segment of a media playlist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaylistSegment {
    /// URI relative to the playlist.
    pub uri: String,
    /// Duration in ticks.
    pub duration_ticks: u64,
    /// Offset and length in bytes, if it is a part of a file.
    pub byte_range: Option<(u64, u64)>,
}

/// Writes a complete media playlist (VOD).
pub fn media_playlist(playlist: &MediaPlaylist<'_>) -> String {
    let micros = |ticks: u64| u128::from(ticks) * 1_000_000 / u128::from(playlist.timescale.max(1));
    let max_micros = playlist.segments.iter().map(|s| micros(s.duration_ticks)).max().unwrap_or(0);
    let target = u128::from(playlist.target_duration_s).max((max_micros + 500_000) / 1_000_000).max(1);

    let mut text = String::with_capacity(200 + playlist.segments.len() * 40);
    // Writing to a String cannot fail.
    let _ = write!(text, "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{target}\n");
    text.push_str("#EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    if playlist.iframes_only {
        text.push_str("#EXT-X-I-FRAMES-ONLY\n");
    }
    if let Some(uri) = playlist.init_uri {
        let _ = writeln!(text, "#EXT-X-MAP:URI=\"{uri}\"");
    }
    let mut at = 0;
    for segment in playlist.segments {
        // The difference of two rounded times, so that rounding errors never add up over a lesson.
        let start = micros(at);
        at += segment.duration_ticks;
        let duration = micros(at) - start;
        let _ = writeln!(text, "#EXTINF:{}.{:06},", duration / 1_000_000, duration % 1_000_000);
        if let Some((offset, length)) = segment.byte_range {
            let _ = writeln!(text, "#EXT-X-BYTERANGE:{length}@{offset}");
        }
        text.push_str(&segment.uri);
        text.push('\n');
    }
    text.push_str("#EXT-X-ENDLIST\n");
    text
}

/// Writes the playlist of a live rendition (EVENT), which still grows unless `ended`.
pub fn live_playlist(playlist: &MediaPlaylist<'_>, ended: bool) -> String {
    let text = media_playlist(playlist).replace("#EXT-X-PLAYLIST-TYPE:VOD\n", "#EXT-X-PLAYLIST-TYPE:EVENT\n");
    if ended { text } else { text.replace("#EXT-X-ENDLIST\n", "") }
}

/// Measures peak and mean of segments given as (ticks, bytes), in bits per second, rounded up. The
/// peak is the highest rate of any run of segments that lasts from half to one and a half of the
/// target duration (RFC 8216, 4.3.4.2).
pub fn peak_and_mean_bps(timescale: u32, segments: impl IntoIterator<Item = (u64, u64)>) -> (u64, u64) {
    let rate = |(ticks, bytes): (u64, u64)| {
        (u128::from(bytes) * 8 * u128::from(timescale)).div_ceil(u128::from(ticks.max(1))) as u64
    };
    let segments: Vec<(u64, u64)> = segments.into_iter().collect();
    let target = TARGET_DURATION_S * u64::from(timescale);
    let sum = |all: (u64, u64), one: &(u64, u64)| (all.0 + one.0, all.1 + one.1);
    let runs = (0..segments.len()).flat_map(|first| {
        segments[first..]
            .iter()
            .scan((0, 0), move |run, segment| {
                *run = sum(*run, segment);
                Some(*run)
            })
            .take_while(|run| run.0 <= target * 3 / 2)
            .filter(|run| run.0 >= target / 2)
    });
    let total = segments.iter().fold((0, 0), sum);
    let mean = if total.0 == 0 { 0 } else { rate(total) };
    let peak = runs.map(rate).max().unwrap_or_else(|| segments.iter().copied().map(rate).max().unwrap_or(0));
    (peak.max(mean), mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(durations: &[u64]) -> Vec<PlaylistSegment> {
        let segment = |(i, &duration_ticks): (usize, &u64)| PlaylistSegment {
            uri: format!("{:05}.m4s", i + 1),
            duration_ticks,
            byte_range: None,
        };
        durations.iter().enumerate().map(segment).collect()
    }

    #[test]
    fn a_complete_playlist() {
        let text = media_playlist(&MediaPlaylist {
            timescale: 48_000,
            target_duration_s: TARGET_DURATION_S,
            init_uri: Some("init.mp4"),
            iframes_only: false,
            segments: &segments(&[153_600, 153_600, 1024]),
        });
        assert_eq!(
            text,
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:1\n\
             #EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"init.mp4\"\n\
             #EXTINF:3.200000,\n00001.m4s\n#EXTINF:3.200000,\n00002.m4s\n#EXTINF:0.021333,\n00003.m4s\n\
             #EXT-X-ENDLIST\n"
        );
        let Ok((_, m3u8_rs::Playlist::MediaPlaylist(parsed))) = m3u8_rs::parse_playlist(text.as_bytes())
        else {
            panic!("not a media playlist");
        };
        assert!(parsed.end_list && parsed.independent_segments);
        assert_eq!(parsed.segments.len(), 3);
        assert_eq!(parsed.segments[0].map.as_ref().map(|m| m.uri.as_str()), Some("init.mp4"));
    }

    #[test]
    fn keyframes_are_byte_ranges() {
        let keyframe = |offset, length| PlaylistSegment {
            uri: "frames.m4s".to_owned(),
            duration_ticks: 144_000,
            byte_range: Some((offset, length)),
        };
        let text = media_playlist(&MediaPlaylist {
            timescale: 90_000,
            target_duration_s: 2,
            init_uri: Some("init.mp4"),
            iframes_only: true,
            segments: &[keyframe(0, 500), keyframe(500, 700)],
        });
        assert!(text.contains("#EXT-X-I-FRAMES-ONLY\n#EXT-X-MAP:URI=\"init.mp4\"\n"));
        assert!(text.ends_with(
            "#EXTINF:1.600000,\n#EXT-X-BYTERANGE:500@0\nframes.m4s\n\
             #EXTINF:1.600000,\n#EXT-X-BYTERANGE:700@500\nframes.m4s\n#EXT-X-ENDLIST\n"
        ));
        let Ok((_, parsed)) = m3u8_rs::parse_media_playlist(text.as_bytes()) else { panic!("parse") };
        let range = parsed.segments[1].byte_range.as_ref().expect("a range");
        assert!(parsed.i_frames_only && (range.length, range.offset) == (700, Some(500)));
    }

    #[test]
    fn rounding_does_not_add_up_over_a_lesson() {
        // 96 frames at 30000/1001 are 3.2032 s, exact in microseconds; ticks of 7 are not.
        let text = media_playlist(&MediaPlaylist {
            timescale: 7,
            target_duration_s: 1,
            init_uri: None,
            iframes_only: false,
            segments: &segments(&[11; 7000]),
        });
        let sum: f64 = text
            .lines()
            .filter_map(|l| l.strip_prefix("#EXTINF:")?.strip_suffix(',')?.parse::<f64>().ok())
            .sum();
        assert!((sum - 11_000.0).abs() < 1e-5, "{sum}");
        assert!(text.contains("#EXT-X-TARGETDURATION:2\n"), "raised to the longest, rounded");
    }

    #[test]
    fn bandwidth_is_measured() {
        let (peak, mean) = peak_and_mean_bps(10, [(32, 400), (32, 800), (1, 1000)]);
        assert_eq!((peak, mean), (4364, 2708), "a short one counts with its neighbour");
        assert_eq!(peak_and_mean_bps(10, [(32, 400), (32, 800), (1, 1)]), (2000, 1479));
        assert_eq!(peak_and_mean_bps(10, [(5, 100)]), (1600, 1600), "an only segment counts");
        assert_eq!(peak_and_mean_bps(10, []), (0, 0));
    }
}
