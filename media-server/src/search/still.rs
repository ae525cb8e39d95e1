//! The still of a moment: the storyboard's tile of that second, or the poster.

use std::sync::Arc;

use chalkstream_store::{Error, Kind, Manifest, Store, layout};
use quick_cache::sync::Cache;

use crate::webvtt::parse_time_ms;

/// Storyboards in the cache; one of a 90-minute lesson is about 40 kB.
const MAX_ENTRIES: usize = 256;
/// Size limit of a storyboard.
const MAX_BYTES: u64 = 1 << 20;

/// One tile of a storyboard.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tile {
    start_ms: u64,
    /// `storyboard-000.jpg#xywh=0,0,160,90`
    image: String,
}

/// A cache of parsed storyboards. Its keys are those of immutable objects, so no entry is ever
/// stale.
pub(super) struct Storyboards {
    store: Store,
    read: Cache<String, Arc<Vec<Tile>>>,
}

impl Storyboards {
    pub(super) fn new(store: Store) -> Self {
        Self { store, read: Cache::new(MAX_ENTRIES) }
    }

    /// Drops everything of a recording.
    pub(super) fn forget(&self, tenant: &str, recording: &str) {
        let prefix = layout::recording_prefix(tenant, recording);
        self.read.retain(|key, _| !key.starts_with(&prefix));
    }

    /// The still of a moment, relative to `/s/{session}/{recording}/`; `None` if the recording has
    /// no images (yet).
    pub(super) async fn still(&self, manifest: &Manifest, at_ms: u64) -> Option<String> {
        if let Some(image) = self.tile(manifest, at_ms).await {
            return Some(image);
        }
        manifest.files.contains_key("poster").then(|| "poster.jpg".to_owned())
    }

    async fn tile(&self, manifest: &Manifest, at_ms: u64) -> Option<String> {
        let relative = manifest.files.get("storyboard.vtt")?;
        let key = layout::object_key(&manifest.tenant, &manifest.recording, relative);
        let tiles = self
            .read
            .get_or_insert_async(&key, async {
                if self.store.head(&key).await? > MAX_BYTES {
                    return Err(Error::new(Kind::Corrupt, "a storyboard is too large"));
                }
                let body = self.store.get(&key).await?;
                Ok(Arc::new(parse(&String::from_utf8_lossy(&body))))
            })
            .await
            .ok()?;
        let at = tiles.partition_point(|tile| tile.start_ms <= at_ms);
        Some(tiles.get(at.saturating_sub(1))?.image.clone())
    }
}

/// The tiles of a storyboard, in order. We wrote the file, so a malformed tile is skipped.
fn parse(vtt: &str) -> Vec<Tile> {
    let mut tiles = Vec::new();
    let mut lines = vtt.lines();
    while let Some(line) = lines.next() {
        let Some(start_ms) = line.split_once(" --> ").and_then(|(start, _)| parse_time_ms(start)) else {
            continue;
        };
        let image = lines.next().unwrap_or_default().trim();
        let safe = image.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._#=,".contains(&b));
        if safe && image.starts_with("storyboard") {
            tiles.push(Tile { start_ms, image: image.to_owned() });
        }
    }
    tiles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_read_and_nothing_else() {
        let vtt = "WEBVTT\n\n00:00:00.000 --> 00:00:05.000\nstoryboard-000.jpg#xywh=0,0,160,90\n\n\
            01:00:05.500 --> 01:00:10.000\nstoryboard-007.jpg#xywh=160,0,160,90\n\n\
            02:00:00.000 --> 02:00:01.000\nhttps://elsewhere/x.jpg\n";
        let tiles = parse(vtt);
        assert_eq!(tiles.iter().map(|t| t.start_ms).collect::<Vec<_>>(), [0, 3_605_500]);
        assert_eq!(tiles[1].image, "storyboard-007.jpg#xywh=160,0,160,90");
    }
}
