//! Links to recordings, for one viewer of a response.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chalkstream_store::{Manifest, State as RecordingState};
use futures_util::{StreamExt, stream};

use crate::manifests::Manifests;
use crate::playback::{LinkRequest, Links, MintedLink};
use crate::problem::Problem;

/// Recordings read at once for the links of a response.
const PREFETCHED_AT_ONCE: usize = 16;

/// Addresses of recordings for one viewer.
pub struct Addresses<'a> {
    links: &'a Links,
    manifests: &'a Manifests,
    tenant: &'a str,
    viewer: &'a str,
    known: HashMap<String, Option<Arc<Address>>>,
}

/// How a viewer reaches one recording.
pub struct Address {
    /// The link to the page.
    pub link: MintedLink,
    /// `{public_url}/s/{session}/{recording}/`, for the still.
    pub base: String,
    /// Its manifest.
    pub manifest: Arc<Manifest>,
}

impl<'a> Addresses<'a> {
    /// Addresses that are made when they are needed.
    pub fn new(links: &'a Links, manifests: &'a Manifests, tenant: &'a str, viewer: &'a str) -> Self {
        Self { links, manifests, tenant, viewer, known: HashMap::new() }
    }

    fn request(&self, recording: &str) -> LinkRequest {
        LinkRequest { recording: recording.into(), viewer: self.viewer.into(), ..LinkRequest::default() }
    }

    /// Refuses an invalid viewer.
    pub fn check(&self) -> Result<(), Problem> {
        self.links.mint(self.tenant, &self.request(&uuid::Uuid::nil().to_string())).map(drop)
    }

    /// Reads the recordings at once into the cache; a failure shows when one is needed.
    pub async fn prefetch(&self, recordings: BTreeSet<String>) {
        let reads = stream::iter(recordings)
            .map(|recording| async move { drop(self.manifests.get(self.tenant, &recording).await) });
        reads.buffer_unordered(PREFETCHED_AT_ONCE).collect::<()>().await;
    }

    /// Returns a recording's address, made once. `None` if the recording is gone.
    pub async fn of_recording(&mut self, recording: &str) -> Result<Option<Arc<Address>>, Problem> {
        if let Some(address) = self.known.get(recording) {
            return Ok(address.clone());
        }
        let manifest = self.manifests.get(self.tenant, recording).await?;
        let address = match manifest.filter(|manifest| manifest.state != RecordingState::Deleted) {
            Some(manifest) => {
                let link = self.links.mint(self.tenant, &self.request(recording))?;
                let base = self.links.still_base(&link.id, self.viewer, &manifest)?;
                Some(Arc::new(Address { link, base, manifest }))
            }
            None => None,
        };
        self.known.insert(recording.into(), address.clone());
        Ok(address)
    }
}
