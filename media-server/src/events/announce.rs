//! Publishing events.

use chalkstream_store::{EventKind, Events};

/// Publishes an event. A lost event costs nothing: readers find the same facts in storage.
pub async fn announce(
    events: &Events,
    tenant: &str,
    recording: &str,
    kind: EventKind,
    data: serde_json::Value,
) {
    if let Err(error) = events.publish(tenant, recording, kind, data).await {
        tracing::debug!(tenant_id = tenant, recording_id = recording, %error, "event not published");
    }
}
