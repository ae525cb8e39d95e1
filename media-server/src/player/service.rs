//! The part of the server that makes the player page.

use std::sync::Arc;

use chalkstream_store::Queue;

use crate::delivery::Delivery;
use crate::manifests::Manifests;
use crate::playback::Links;
use crate::url::PublicUrl;

/// Makes the player page and describes its lesson.
#[derive(Clone)]
pub struct Player {
    /// Asked for the live progress.
    pub queue: Queue,
    /// Asked for the newest revision.
    pub manifests: Manifests,
    /// Signs sessions at the newest revision.
    pub links: Links,
    /// Reads playlists.
    pub delivery: Delivery,
    /// The address of the page.
    pub public_url: PublicUrl,
    /// Sites that may embed the page.
    pub embedders: Arc<[String]>,
}
