//! The playlists of a session, under its bandwidth cap and window.

use std::sync::Arc;

use chalkstream_store::layout;

use super::hls_filter::{self, SessionPlaylist};
use super::object_ref::ObjectRef;
use super::service::Delivery;
use crate::access::Viewing;
use crate::problem::Problem;
use crate::reason::Reason;
use crate::token::Window;

/// The multivariant playlist of the session's revision.
pub(super) async fn master(delivery: &Delivery, viewing: &Viewing) -> Result<Arc<SessionPlaylist>, Problem> {
    let key = layout::master_relative(viewing.session.revision);
    let object = delivery.find(&viewing.manifest, &key).await?;
    let object = object.ok_or_else(|| Problem::forbidden(Reason::RevisionGone))?;
    delivery.playlists.master(&object, viewing.session.max_bps, viewing.window()).await
}

/// The multivariant playlist of the session's H.265 source. `None` if there is none, or if it needs
/// more than the session's bandwidth cap.
pub(super) async fn hevc(
    delivery: &Delivery,
    viewing: &Viewing,
) -> Result<Option<Arc<SessionPlaylist>>, Problem> {
    let key = layout::hevc_relative(viewing.session.revision);
    let Some(object) = delivery.find(&viewing.manifest, &key).await? else { return Ok(None) };
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
    delivery.playlists.media(&object_ref(delivery, viewing, key).await?, viewing.window()).await
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

/// Returns the media playlist in the folder of this segment, the only one that may name it.
pub(super) fn playlist_of_segment(key: &str) -> Option<String> {
    Some(format!("{}/index.m3u8", key.rsplit_once('/')?.0))
}

/// Returns the reason why a session does not reach `key`, for the log: it would without its
/// bandwidth cap, it would without its window too, or no session does.
pub(super) async fn reason_for(delivery: &Delivery, viewing: &Viewing, key: &str) -> Reason {
    if is_named(delivery, viewing, key, viewing.window()).await {
        Reason::AboveCap
    } else if is_named(delivery, viewing, key, Window::default()).await {
        Reason::OutsideWindow
    } else {
        Reason::NotInPlaylists
    }
}

/// Whether the playlists of a session with `window` and without a bandwidth cap name `key`.
async fn is_named(delivery: &Delivery, viewing: &Viewing, key: &str, window: Window) -> bool {
    let revision = viewing.session.revision;
    for master in [layout::master_relative(revision), layout::hevc_relative(revision)] {
        let Ok(Some(object)) = delivery.find(&viewing.manifest, &master).await else { continue };
        let Ok(plan) = delivery.playlists.master(&object, None, window).await else { continue };
        if plan.named_keys.contains(key) {
            return true;
        }
        let playlist = playlist_of_segment(key).filter(|playlist| plan.named_keys.contains(playlist));
        let Some(playlist) = playlist else { continue };
        let Ok(object) = object_ref(delivery, viewing, &playlist).await else { continue };
        let plan = delivery.playlists.media(&object, window).await;
        if plan.is_ok_and(|plan| plan.named_keys.contains(key)) {
            return true;
        }
    }
    false
}

/// A resource of the session's recording.
///
/// # Errors
/// 403 if the manifest does not know it.
pub(super) async fn object_ref(
    delivery: &Delivery,
    viewing: &Viewing,
    key: &str,
) -> Result<ObjectRef, Problem> {
    let object = delivery.find(&viewing.manifest, key).await?;
    object.ok_or_else(|| Problem::forbidden(Reason::NotInManifest))
}
