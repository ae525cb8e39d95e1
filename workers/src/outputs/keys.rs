//! Keys of a step's outputs relative to the recording, and how playlists refer to them.

/// Groups whose files are streamed.
const STREAMED: &[&str] = &["video", "audio", "iframes", "subtitles", "source"];

/// Key, relative to the recording, of an output of the attempt with this fence. The fence keeps two
/// attempts at one step from ever writing to the same key.
pub fn object(path: &str, fence: u64) -> String {
    let (group, rest) = path.split_once('/').unwrap_or(("work", path));
    if STREAMED.contains(&group) {
        format!("hls/{group}/{fence}/{rest}")
    } else {
        format!("{group}/{fence}/{rest}")
    }
}

/// Path of an output below the folder that `process` fills.
pub fn file(path: &str) -> String {
    let group = path.split('/').next().unwrap_or_default();
    if STREAMED.contains(&group) { format!("hls/{path}") } else { path.to_owned() }
}

/// Prefix of a group's URIs in the multivariant playlist of a revision (`hls/1/master.m3u8`).
pub fn object_base(group: &str, fence: u64) -> String {
    format!("../{group}/{fence}/")
}

/// Prefix of a group's URIs in the multivariant playlist that `process` writes (`hls/master.m3u8`).
pub fn file_base(group: &str) -> String {
    format!("{group}/")
}

/// The fence in an attempt's key (`hls/video/17/…`, `stills/17/…`); `None` if it has none.
pub fn fence_of(key: &str) -> Option<u64> {
    let mut parts = key.split('/');
    let first = parts.next()?;
    let second = parts.next()?;
    let number = match first {
        "hls" if STREAMED.contains(&second) => parts.next()?,
        "stills" | "transcript" | "work" | "index" => second,
        _ => return None,
    };
    // The rest names a file below the attempt's folder.
    parts.next().or((first != "hls").then_some(""))?;
    number.parse().ok()
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
            assert_eq!(fence_of(&object(path, 17)), Some(17), "{path}");
        }
        for key in ["hls/1/master.m3u8", "source/original.mp4", "manifest/00000000000000000017.json"] {
            assert_eq!(fence_of(key), None, "{key}");
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
