//! Keys of a step's outputs relative to the recording, and how playlists refer to them.

use chalkstream_store::{inventory, layout};

/// Key, relative to the recording, of an output of the attempt with this fence. The fence keeps two
/// attempts at one step from ever writing to the same key.
pub fn object(path: &str, fence: u64) -> String {
    let (group, rest) = path.split_once('/').unwrap_or(("work", path));
    if layout::is_streamed(group) {
        format!("hls/{group}/{fence}/{rest}")
    } else {
        format!("{group}/{fence}/{rest}")
    }
}

/// Path of an output below the folder that `process` fills.
pub fn file(path: &str) -> String {
    let group = path.split('/').next().unwrap_or_default();
    if layout::is_streamed(group) { format!("hls/{path}") } else { path.to_owned() }
}

/// Prefix of a group's URIs in the multivariant playlist of a revision (`hls/1/master.m3u8`).
pub fn object_base(group: &str, fence: u64) -> String {
    format!("../{group}/{fence}/")
}

/// Prefix of a group's URIs in the multivariant playlist that `process` writes (`hls/master.m3u8`).
pub fn file_base(group: &str) -> String {
    format!("{group}/")
}

/// Segments in one file: at 3.2 s each, a little more than a minute.
const SEGMENTS_PER_FILE: u32 = 24;

/// The number, from 1, of an output that is a segment (`video/v240/00001.m4s`) and the path of the
/// file that it shares with its neighbours; `None` for any other output.
pub fn segment(path: &str) -> Option<(u32, String)> {
    let (folder, name) = path.rsplit_once('/')?;
    let (number, extension) = inventory::numbered(name).filter(|(number, _)| *number > 0)?;
    let is_segment = layout::is_streamed(folder.split_once('/')?.0) && matches!(extension, "m4s" | "vtt");
    let file = (number - 1) / SEGMENTS_PER_FILE + 1;
    is_segment.then(|| (number, format!("{folder}/segments-{file:03}.{extension}")))
}

/// Whether a file of segments is complete with so many.
pub fn is_full(segments: usize) -> bool {
    segments == SEGMENTS_PER_FILE as usize
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_attempts_keys_carry_its_fence() {
        assert_eq!(object("video/v240/00001.m4s", 17), "hls/video/17/v240/00001.m4s");
        assert_eq!(object("stills/poster.jpg", 17), "stills/17/poster.jpg");
        assert_eq!(object("work/speech.wav", 17), "work/17/speech.wav");
        assert_eq!(object("source/video/index.m3u8", 17), "hls/source/17/video/index.m3u8");
        for path in [
            "video/v240/00001.m4s",
            "subtitles/en/index.m3u8",
            "source/audio/index.m3u8",
            "index/video",
            "stills/poster.jpg",
            "work/speech.wav",
        ] {
            assert_eq!(layout::fence_of(&object(path, 17)), Some(17), "{path}");
        }
    }

    #[test]
    fn segments_of_about_a_minute_share_a_file() {
        let file = |number: u32| segment(&format!("video/v240/{number:05}.m4s"));
        assert_eq!(file(1), Some((1, "video/v240/segments-001.m4s".into())));
        assert_eq!(file(24), Some((24, "video/v240/segments-001.m4s".into())));
        assert_eq!(file(25), Some((25, "video/v240/segments-002.m4s".into())));
        assert_eq!(file(100_000).unwrap().1, "video/v240/segments-4167.m4s");
        assert_eq!(segment("subtitles/en/00001.vtt").unwrap().1, "subtitles/en/segments-001.vtt");
        for path in [
            "video/v240/init.mp4",
            "video/v240/index.m3u8",
            "iframes/v240/frames-001.m4s",
            "video/v240/1.m4s",
            "video/v240/00000.m4s",
            "work/00001.m4s",
            "00001.m4s",
        ] {
            assert_eq!(segment(path), None, "{path}");
        }
    }

    #[test]
    fn a_playlists_uris_lead_to_the_groups_files() {
        let master = std::path::Path::new("/r/hls/1");
        let joined = master.join(object_base("audio", 17)).join("a96/index.m3u8");
        let object = std::path::Path::new("/r").join(object("audio/a96/index.m3u8", 17));
        assert_eq!(joined, std::path::Path::new("/r/hls/1/../audio/17/a96/index.m3u8"));
        assert_eq!(object, std::path::Path::new("/r/hls/audio/17/a96/index.m3u8"));
        assert_eq!(file("audio/a96/index.m3u8"), format!("hls/{}a96/index.m3u8", file_base("audio")));
    }
}
