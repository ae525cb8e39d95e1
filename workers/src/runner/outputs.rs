//! Checks announced outputs: a path must stay inside the child's folder and name a plain file of
//! the announced size.

use std::io;
use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;

use crate::failure::StepFailure;

/// Folders a step may write to.
const GROUPS: &[&str] =
    &["video", "audio", "iframes", "subtitles", "stills", "transcript", "index", "source", "work"];

/// A complete file made by a step.
#[derive(Clone, Debug)]
pub struct Output {
    /// Path relative to the step's folder: `video/v240/00001.m4s`.
    pub path: String,
    /// The file itself; deleted as soon as it is taken.
    pub file: PathBuf,
    /// Size, in bytes.
    pub size_bytes: u64,
}

/// Takes a step's outputs away.
pub trait OutputSink: Send + Sync {
    /// Takes one output: when this returns, the file's bytes are safe elsewhere (or it is moved).
    fn take(&self, output: Output) -> BoxFuture<'_, Result<(), StepFailure>>;

    /// Takes the duration of a segment that was announced just before.
    fn segment(&self, _segment: Segment) {}
}

/// A segment of a rendition that is being made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Path of the rendition's media playlist.
    pub playlist: String,
    /// Its name, relative to that.
    pub uri: String,
    /// How long it lasts, in ticks.
    pub duration_ticks: u64,
    /// Ticks per second.
    pub timescale: u32,
}

/// Drops everything.
pub struct NoOutputs;

impl OutputSink for NoOutputs {
    fn take(&self, _output: Output) -> BoxFuture<'_, Result<(), StepFailure>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Checks an announced output.
pub fn check(folder: &Path, path: &str, size_bytes: u64) -> io::Result<Output> {
    let refuse = |why: &str| Err(io::Error::other(format!("an announced output {why}")));
    if !is_plain(path) {
        return refuse("has a path that is not allowed");
    }
    let file = folder.join(path);
    let parent = file.parent().unwrap_or(folder);
    // A link anywhere on the way would lead out.
    if parent.canonicalize()?
        != folder.canonicalize()?.join(Path::new(path).parent().unwrap_or(Path::new("")))
    {
        return refuse("lies behind a link");
    }
    let facts = std::fs::symlink_metadata(&file)?;
    if !facts.is_file() || facts.len() != size_bytes {
        return refuse("is not the file that was announced");
    }
    Ok(Output { path: path.to_owned(), file, size_bytes })
}

/// `group/name` or `group/folder/name`, of letters, digits, `.`, `_` and `-`, no part beginning
/// with a dot.
fn is_plain(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let plain = |part: &&str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.len() <= 80
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    (2..=3).contains(&parts.len()) && GROUPS.contains(&parts[0]) && parts.iter().all(plain)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn paths_that_lead_out_are_refused() {
        for good in ["video/v240/00001.m4s", "stills/storyboard.vtt", "transcript/captions.en-GB.vtt"] {
            assert!(is_plain(good), "{good}");
        }
        for bad in [
            "",
            "video",
            "video/",
            "video//x",
            "video/../x",
            "/etc/passwd",
            "other/x",
            "video/a/b/c",
            "video/.x",
            "video/a b",
        ] {
            assert!(!is_plain(bad), "{bad}");
        }
    }

    #[test]
    fn links_and_wrong_sizes_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let stills = folder.path().join("stills");
        std::fs::create_dir(&stills).unwrap();
        std::fs::write(stills.join("poster.jpg"), b"1234").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", stills.join("link.jpg")).unwrap();
        std::os::unix::fs::symlink(&stills, folder.path().join("video")).unwrap();
        assert_eq!(check(folder.path(), "stills/poster.jpg", 4).unwrap().size_bytes, 4);
        assert!(check(folder.path(), "stills/poster.jpg", 5).is_err());
        let size = std::fs::metadata("/etc/passwd").unwrap().len();
        assert!(check(folder.path(), "stills/link.jpg", size).is_err());
        assert!(check(folder.path(), "video/poster.jpg", 4).is_err());
        assert!(check(folder.path(), "stills/none.jpg", 4).is_err());
    }
}
