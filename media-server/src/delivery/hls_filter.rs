//! The part of a playlist that a session may see, computed from its text: its variants under a cap,
//! its segments inside a window, and the objects that these name. A session reaches nothing else of
//! a recording's HLS.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chalkstream_store::layout;

use super::named_keys::NamedKeys;
use crate::token::Window;
use crate::webvtt::parse_time_ms;

/// The tag of a variant in a multivariant playlist.
pub const STREAM_INF: &str = "#EXT-X-STREAM-INF:";

/// A playlist as a session gets it, and the objects that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPlaylist {
    /// The text, with relative URIs.
    pub text: String,
    /// Keys, relative to the recording, of everything that the text names.
    pub named_keys: NamedKeys,
}

impl SessionPlaylist {
    /// The media playlist that is still being written, if a multivariant playlist names one.
    pub fn live_playlist(&self) -> Option<&String> {
        self.named_keys.unnumbered().find(|key| key.rsplit('/').next() == Some(layout::LIVE_PLAYLIST))
    }
}

/// The multivariant playlist of `key` for a session with this cap and window.
///
/// Variants above `max_bps` are left out, and so are the audio and subtitle groups that only they
/// use; the lowest variant always stays. A session with a window gets no I-frame playlists: one
/// object holds minutes of frames, and its byte ranges cannot be checked.
pub fn filter_multivariant(text: &str, key: &str, max_bps: Option<u64>, window: Window) -> SessionPlaylist {
    let bandwidths = text.lines().filter_map(|line| bandwidth(line, STREAM_INF));
    let lowest = bandwidths.min().unwrap_or(0);
    let cap = max_bps.unwrap_or(u64::MAX).max(lowest);

    let kept = |line: &str| bandwidth(line, STREAM_INF).is_some_and(|bps| bps <= cap);
    let groups: BTreeSet<(&str, &str)> = text
        .lines()
        .filter(|line| kept(line))
        .flat_map(|line| {
            ["AUDIO", "SUBTITLES", "VIDEO", "CLOSED-CAPTIONS"]
                .into_iter()
                .filter_map(move |kind| Some((kind, attribute(line, kind)?)))
        })
        .collect();

    let mut plan =
        SessionPlaylist { text: String::with_capacity(text.len()), named_keys: NamedKeys::default() };
    let mut variant_dropped = false;
    for line in text.lines() {
        let keep = if line.starts_with(STREAM_INF) {
            variant_dropped = !kept(line);
            !variant_dropped
        } else if line.starts_with("#EXT-X-I-FRAME-STREAM-INF:") {
            window.is_open() && bandwidth(line, "#EXT-X-I-FRAME-STREAM-INF:").is_some_and(|bps| bps <= cap)
        } else if line.starts_with("#EXT-X-MEDIA:") {
            let kind = attribute(line, "TYPE").unwrap_or_default();
            attribute(line, "GROUP-ID").is_some_and(|group| groups.contains(&(kind, group)))
        } else if line.starts_with('#') || line.trim().is_empty() {
            true
        } else {
            !std::mem::take(&mut variant_dropped)
        };
        if keep {
            plan.push(line, key);
        }
    }
    plan
}

/// The media playlist of `key` for a session with this window: the segments that overlap it.
pub fn filter_media(text: &str, key: &str, window: Window) -> SessionPlaylist {
    let mut plan =
        SessionPlaylist { text: String::with_capacity(text.len()), named_keys: NamedKeys::default() };
    let mut at_us = 0_u64;
    let mut duration_us = 0_u64;
    let mut pending: Vec<&str> = Vec::new();
    let mut first_kept = None;
    let mut index = 0_u64;
    for line in text.lines() {
        if let Some(value) = line.strip_prefix("#EXTINF:") {
            duration_us = microseconds(value.split(',').next().unwrap_or_default());
            pending.push(line);
        } else if ["#EXT-X-BYTERANGE", "#EXT-X-DISCONTINUITY", "#EXT-X-PROGRAM-DATE-TIME", "#EXT-X-GAP"]
            .iter()
            .any(|tag| line.starts_with(tag))
            && !line.starts_with("#EXT-X-DISCONTINUITY-SEQUENCE")
        {
            pending.push(line);
        } else if line.starts_with('#') || line.trim().is_empty() {
            plan.push(line, key);
        } else {
            let end_us = at_us + duration_us;
            if window.is_open() || window.overlaps(at_us / 1000, end_us.div_ceil(1000)) {
                first_kept.get_or_insert(index);
                for line in &pending {
                    plan.push(line, key);
                }
                plan.push(line, key);
            }
            pending.clear();
            at_us = end_us;
            duration_us = 0;
            index += 1;
        }
    }
    if let Some(dropped @ 1..) = first_kept {
        plan.text = raise_media_sequence(&plan.text, dropped);
    }
    plan
}

/// The time that the segment `key` covers in a complete media playlist, in ms; `None` if that does
/// not name it.
pub fn span_ms(text: &str, key: &str) -> Option<(u64, u64)> {
    let name = key.rsplit('/').next()?;
    let (mut at_us, mut duration_us) = (0_u64, 0_u64);
    for line in text.lines() {
        if let Some(value) = line.strip_prefix("#EXTINF:") {
            duration_us = microseconds(value.split(',').next().unwrap_or_default());
        } else if line == name {
            return Some((at_us / 1000, (at_us + duration_us).div_ceil(1000)));
        } else if !line.starts_with('#') && !line.trim().is_empty() {
            at_us += std::mem::take(&mut duration_us);
        }
    }
    None
}

/// Cuts a complete media playlist to the length of a live one. It ends only when that one has
/// ended.
pub fn in_step(complete: &str, live: &str) -> String {
    let is_segment = |line: &str| !line.starts_with('#') && !line.trim().is_empty();
    let mut left = live.lines().filter(|line| is_segment(line)).count();
    let ended = live.lines().any(|line| line == "#EXT-X-ENDLIST");
    let mut text = String::with_capacity(complete.len());
    for line in complete.lines() {
        let of_segment = line.starts_with("#EXTINF:") || is_segment(line);
        if of_segment && left == 0 && !ended || line == "#EXT-X-ENDLIST" && !ended {
            continue;
        }
        left -= usize::from(is_segment(line) && left > 0);
        text.push_str(line.strip_suffix("TYPE:VOD").map_or(line, |_| "#EXT-X-PLAYLIST-TYPE:EVENT"));
        text.push('\n');
    }
    text
}

/// A WebVTT text with only the cues that lie entirely inside the window.
pub fn captions_within(text: &str, window: Window) -> String {
    let inside = |block: &&str| {
        let Some(timing) = block.lines().find(|line| line.contains("-->")) else { return true };
        let (start, end) = timing.split_once("-->").unwrap_or_default();
        let end = end.split_whitespace().next().unwrap_or_default();
        let (Some(start), Some(end)) = (parse_time_ms(start), parse_time_ms(end)) else { return false };
        window.holds(start, end)
    };
    text.split("\n\n").filter(inside).collect::<Vec<_>>().join("\n\n")
}

/// The same multivariant playlist with every URI as an absolute path under `base`, which ends in a
/// slash.
pub fn with_absolute_uris(text: &str, key: &str, base: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for line in text.lines() {
        match uri_of(line).and_then(|uri| Some((uri, resolve(key, uri)?))) {
            Some((uri, target)) if line.starts_with('#') => {
                let _ = writeln!(
                    out,
                    "{}",
                    line.replacen(&format!("URI=\"{uri}\""), &format!("URI=\"{base}{target}\""), 1)
                );
            }
            Some((_, target)) => {
                let _ = writeln!(out, "{base}{target}");
            }
            None => {
                let _ = writeln!(out, "{line}");
            }
        }
    }
    out
}

/// Resolves a relative URI in the playlist `key` to a key; `None` for anything but a plain relative
/// path.
pub fn resolve(key: &str, uri: &str) -> Option<String> {
    if uri.is_empty() || uri.starts_with('/') || uri.contains([':', '?', '#', '%', '\\']) {
        return None;
    }
    let mut segments: Vec<&str> = key.split('/').collect();
    segments.pop();
    for segment in uri.split('/') {
        match segment {
            "" | "." => return None,
            ".." => {
                segments.pop()?;
            }
            other => segments.push(other),
        }
    }
    Some(segments.join("/"))
}

impl SessionPlaylist {
    fn push(&mut self, line: &str, key: &str) {
        self.text.push_str(line);
        self.text.push('\n');
        if let Some(target) = uri_of(line).and_then(|uri| resolve(key, uri)) {
            self.named_keys.insert(target);
        }
    }
}

fn uri_of(line: &str) -> Option<&str> {
    if line.starts_with('#') {
        attribute(line, "URI")
    } else {
        let line = line.trim();
        (!line.is_empty()).then_some(line)
    }
}

/// The bandwidth in a tag of this kind, in bits per second.
pub fn bandwidth(line: &str, tag: &str) -> Option<u64> {
    line.starts_with(tag).then(|| attribute(line, "BANDWIDTH")?.parse().ok()).flatten()
}

/// The line of the first variant with video. `None` if a multivariant playlist has no video.
pub fn video_variant(text: &str) -> Option<&str> {
    text.lines().find(|line| line.starts_with(STREAM_INF) && attribute(line, "RESOLUTION").is_some())
}

/// The value of one attribute of a tag (RFC 8216, section 4.2), without its quotes.
pub fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, mut rest) = line.split_once(':')?;
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let (value, next) = if let Some(quoted) = after.strip_prefix('"') {
            let (value, next) = quoted.split_once('"')?;
            (value, next.strip_prefix(',').unwrap_or(next))
        } else {
            after.split_once(',').unwrap_or((after, ""))
        };
        if key.trim() == name {
            return Some(value);
        }
        rest = next;
    }
    None
}

/// A decimal number of seconds, in microseconds.
fn microseconds(text: &str) -> u64 {
    let seconds = text.trim().parse::<f64>().unwrap_or(0.0).clamp(0.0, 1e9);
    (seconds * 1e6).round() as u64
}

fn raise_media_sequence(text: &str, dropped: u64) -> String {
    const TAG: &str = "#EXT-X-MEDIA-SEQUENCE:";
    let mut out = String::with_capacity(text.len() + 32);
    let mut raised = false;
    for line in text.lines() {
        if let Some(number) = line.strip_prefix(TAG) {
            raised = true;
            let _ = writeln!(out, "{TAG}{}", number.trim().parse::<u64>().unwrap_or(0) + dropped);
            continue;
        }
        if !raised && line.starts_with("#EXTINF:") {
            raised = true;
            let _ = writeln!(out, "{TAG}{dropped}");
        }
        let _ = writeln!(out, "{line}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASTER: &str = "#EXTM3U\n#EXT-X-VERSION:7\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a32\",NAME=\"x, y\",URI=\"../audio/7/a32/index.m3u8\"\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a96\",NAME=\"b\",URI=\"../audio/7/a96/index.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=190000,CODECS=\"avc1,mp4a\",AUDIO=\"a32\"\n../video/7/v240/index.m3u8\n\
        #EXT-X-STREAM-INF:BANDWIDTH=900000,AUDIO=\"a96\"\n../video/7/v480/index.m3u8\n\
        #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=50000,URI=\"../iframes/7/v240/index.m3u8\"\n";
    const KEY: &str = "hls/1/master.m3u8";

    #[test]
    fn a_window_leaves_the_captions_inside_it() {
        let cue =
            |from: &str, to: &str, said: &str| format!("{from} --> {to} line:90%\n{said}\nand more\n\n");
        let text = String::from("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\n")
            + &cue("00:00:00.500", "00:00:01.000", "before")
            + &cue("00:01.000", "00:00:01.900", "inside")
            + &cue("00:00:01.950", "00:00:02.100", "over the end");
        let left = captions_within(&text, Window { start_ms: Some(1000), end_ms: Some(2000) });
        assert!(left.starts_with("WEBVTT\nX-TIMESTAMP-MAP=") && left.contains("inside\nand more"), "{left}");
        assert!(!left.contains("before") && !left.contains("over the end"), "{left}");
    }

    #[test]
    fn without_a_cap_everything_stays() {
        let plan = filter_multivariant(MASTER, KEY, None, Window::default());
        assert_eq!(plan.text, MASTER);
        assert_eq!(plan.named_keys.unnumbered().count(), 5);
        assert!(plan.named_keys.contains("hls/audio/7/a32/index.m3u8"));
    }

    #[test]
    fn a_cap_drops_variants_and_the_groups_only_they_use_but_never_the_lowest() {
        for cap in [500_000, 1] {
            let plan = filter_multivariant(MASTER, KEY, Some(cap), Window::default());
            assert!(plan.text.contains("v240/index.m3u8"), "{}", plan.text);
            assert!(!plan.text.contains("v480"), "{}", plan.text);
            assert!(!plan.text.contains("a96"), "{}", plan.text);
            assert!(!plan.named_keys.contains("hls/video/7/v480/index.m3u8"));
        }
    }

    #[test]
    fn absolute_uris_keep_the_rest_of_the_line() {
        let text = with_absolute_uris(MASTER, KEY, "/s/T/R/");
        assert!(text.contains("NAME=\"x, y\",URI=\"/s/T/R/hls/audio/7/a32/index.m3u8\"\n"), "{text}");
        assert!(text.contains("\n/s/T/R/hls/video/7/v240/index.m3u8\n"), "{text}");
    }

    #[test]
    fn a_window_leaves_the_segments_that_touch_it_and_counts_the_dropped_ones() {
        let text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-MAP:URI=\"init.mp4\"\n\
            #EXTINF:3.2,\n00001.m4s\n#EXTINF:3.2,\n00002.m4s\n#EXTINF:3.2,\n00003.m4s\n#EXTINF:1.0,\n00004.m4s\n\
            #EXT-X-ENDLIST\n";
        let window = Window { start_ms: Some(3_200), end_ms: Some(6_500) };
        let plan = filter_media(text, "hls/video/7/v240/index.m3u8", window);
        for (name, is_named) in [
            ("00001.m4s", false),
            ("00002.m4s", true),
            ("00003.m4s", true),
            ("00004.m4s", false),
            ("init.mp4", true),
        ] {
            assert_eq!(plan.named_keys.contains(&format!("hls/video/7/v240/{name}")), is_named, "{name}");
        }
        assert!(plan.text.contains("#EXT-X-MEDIA-SEQUENCE:2\n"), "{}", plan.text);
        assert_eq!(span_ms(text, "hls/video/7/v240/00003.m4s"), Some((6_400, 9_600)));
        assert_eq!(span_ms(text, "hls/video/7/v240/00005.m4s"), None);
        assert!(plan.text.ends_with("#EXT-X-ENDLIST\n"));
        assert_eq!(filter_media(text, "a/index.m3u8", Window::default()).text, text);
    }

    #[test]
    fn sound_keeps_step_with_a_picture_that_grows() {
        let complete = "#EXTM3U\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:3.2,\n00001.m4s\n\
            #EXTINF:3.2,\n00002.m4s\n#EXTINF:1.0,\n00003.m4s\n#EXT-X-ENDLIST\n";
        let live = "#EXTM3U\n#EXTINF:3.2,\n00001.m4s\n#EXTINF:3.2,\n00002.m4s\n";
        let text = in_step(complete, live);
        assert!(text.contains("TYPE:EVENT\n") && text.ends_with("00002.m4s\n"), "{text}");
        let text = in_step(complete, &format!("{live}#EXT-X-ENDLIST\n"));
        assert!(
            text.ends_with("00003.m4s\n#EXT-X-ENDLIST\n"),
            "what is longer than the picture is not lost: {text}"
        );
    }

    #[test]
    fn uris_that_leave_the_recording_lead_nowhere() {
        for uri in ["/etc/passwd", "https://x/y", "../../../../x", "a//b", "./a", "a%2e", "a?b", ""] {
            assert_eq!(resolve(KEY, uri), None, "{uri}");
        }
        assert_eq!(resolve(KEY, "../video/a.m3u8").as_deref(), Some("hls/video/a.m3u8"));
    }
}
