//! The GStreamer graphs of a failed step, kept for debugging, within bounds.

use std::io;
use std::path::{Path, PathBuf};

/// Graphs kept of one step.
const GRAPHS: usize = 3;
/// Largest graph kept, in bytes.
const MAX_GRAPH_BYTES: u64 = 2 << 20;
/// Failed steps whose graphs are kept.
const FAILURES: usize = 20;

/// Moves the last graphs that a child dumped from `dumped` to `kept/{name}/`; returns the folder
/// where there were any. The oldest failures make room.
pub fn keep(dumped: &Path, kept: &Path, name: &str) -> io::Result<Option<PathBuf>> {
    let mut graphs: Vec<_> = match std::fs::read_dir(dumped) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    graphs.retain(|path| {
        path.extension().is_some_and(|extension| extension == "dot")
            && path.symlink_metadata().is_ok_and(|facts| facts.is_file() && facts.len() <= MAX_GRAPH_BYTES)
    });
    // A graph's name begins with the time since the start, so the last ones sort last.
    graphs.sort();
    if graphs.is_empty() {
        return Ok(None);
    }
    let to = kept.join(name);
    std::fs::create_dir_all(&to)?;
    for (number, graph) in graphs.iter().rev().take(GRAPHS).enumerate() {
        std::fs::copy(graph, to.join(format!("{number}.dot")))?;
    }
    make_room(kept)?;
    Ok(Some(to))
}

fn make_room(kept: &Path) -> io::Result<()> {
    let mut folders: Vec<_> = std::fs::read_dir(kept)?
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    folders.sort();
    let excess = folders.len().saturating_sub(FAILURES);
    for (_, folder) in folders.into_iter().take(excess) {
        std::fs::remove_dir_all(folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_last_graphs_of_the_last_failures_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (dumped, kept) = (folder.path().join("graphs"), folder.path().join("failed"));
        assert_eq!(keep(&dumped, &kept, "none").unwrap(), None);
        std::fs::create_dir(&dumped).unwrap();
        for second in 0..5 {
            std::fs::write(dumped.join(format!("0.00.0{second}.error.dot")), b"digraph {}").unwrap();
        }
        for failure in 0..FAILURES + 3 {
            keep(&dumped, &kept, &format!("{failure}")).unwrap().unwrap();
        }
        assert_eq!(std::fs::read_dir(&kept).unwrap().count(), FAILURES);
        let last = kept.join(format!("{}", FAILURES + 2));
        assert_eq!(std::fs::read_dir(last).unwrap().count(), GRAPHS);
    }
}
