//! The playlists of a session, under its bandwidth cap and window.

use std::sync::Arc;

use chalkstream_store::layout;

use super::hls_filter::{self, SessionPlaylist};
use super::object_ref::ObjectRef;
use super::service::Delivery;
use crate::access::Viewing;
use crate::problem::Problem;

/// The multivariant playlist of the session's revision.
pub(super) async fn master(delivery: &Delivery, viewing: &Viewing) -> Result<Arc<SessionPlaylist>, Problem> {
    let key = layout::master_relative(viewing.session.revision);
    let object = object_ref(viewing, &key)?;
    delivery.playlists.master(&object, viewing.session.max_bps, viewing.window()).await
}

/// The multivariant playlist of the session's H.265 source. `None` if there is none, or if it needs
/// more than the session's bandwidth cap.
pub(super) async fn hevc(
    delivery: &Delivery,
    viewing: &Viewing,
) -> Result<Option<Arc<SessionPlaylist>>, Problem> {
    let key = layout::hevc_relative(viewing.session.revision);
    let Ok(object) = object_ref(viewing, &key) else { return Ok(None) };
    let plan = delivery.playlists.master(&object, viewing.session.max_bps, viewing.window()).await?;
    // A cap leaves the lowest variant in any playlist, and this one may have no other.
    let needed = hls_filter::video_variant(&plan.text)
        .and_then(|line| hls_filter::bandwidth(line, hls_filter::STREAM_INF));
    let allowed = needed.is_some_and(|bps| viewing.session.max_bps.is_none_or(|cap| bps <= cap));
    Ok(Some(plan).filter(|_| allowed))
}

/// The media playlist `key`, under the session's window.
pub(super) async fn media(
    delivery: &Delivery,
    viewing: &Viewing,
    key: &str,
) -> Result<Arc<SessionPlaylist>, Problem> {
    delivery.playlists.media(&object_ref(viewing, key)?, viewing.window()).await
}

/// The multivariant playlist of a session with absolute paths, for a player that was given a link.
///
/// # Errors
/// If there is no stream, or storage cannot be read.
pub async fn master_with_absolute_uris(delivery: &Delivery, viewing: &Viewing) -> Result<String, Problem> {
    let plan = master(delivery, viewing).await?;
    let key = layout::master_relative(viewing.session.revision);
    Ok(hls_filter::with_absolute_uris(&plan.text, &key, &viewing.base_path(&delivery.public_url)))
}

/// An object of the session's recording.
///
/// # Errors
/// 403 if the manifest does not name it.
pub(super) fn object_ref<'a>(viewing: &'a Viewing, key: &'a str) -> Result<ObjectRef<'a>, Problem> {
    let facts = viewing.manifest.objects.get(key).ok_or_else(Problem::forbidden)?;
    Ok(ObjectRef { tenant: &viewing.tenant, recording: viewing.recording(), key, facts })
}
