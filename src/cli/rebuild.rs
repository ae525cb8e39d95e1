//! `chalkstream rebuild`

use chalkstream_store::listing::build;
use chalkstream_store::{Authority, Queue, rebuild};
use serde_json::json;

use crate::args::GlobalArgs;
use crate::exit::CommandResult;
use crate::settings_source;
use crate::ui::output;

/// Runs the command.
pub async fn run(global: &GlobalArgs) -> CommandResult {
    let settings = settings_source::load_for_command(global)?;
    let store = chalkstream_store::open(&settings.store).await?;
    // Keys and revocations first: a missing revocation must not let anyone in.
    let authority = Authority::load(store.clone(), Some(&settings.redis)).await?;
    let queue = Queue::connect(&settings.redis).await?;
    let rebuilt = rebuild::pending(&store, &queue).await?;
    let enqueued: Vec<_> = rebuilt.enqueued.iter().map(|(_, recording)| recording.as_str()).collect();
    let unreadable: Vec<_> = rebuilt.unreadable.iter().map(|(_, recording)| recording.as_str()).collect();
    let mut lists = build::Verified::default();
    for tenant in authority.tenants() {
        let verified = build::verify(&store, &tenant.id).await?;
        lists.recordings += verified.recordings;
        lists.repaired += verified.repaired;
    }
    if global.json {
        let lists = json!({ "recordings": lists.recordings, "repaired": lists.repaired });
        output::json(&json!({
            "seen": rebuilt.seen,
            "enqueued": enqueued,
            "healed": rebuilt.healed.len(),
            "unreadable": unreadable,
            "lists": lists,
        }));
    } else {
        output::line(&format!("{} recordings not done, {} queued again", rebuilt.seen, enqueued.len()));
        for recording in &unreadable {
            output::line(&format!("{recording} cannot be read and is not queued: restore or delete it"));
        }
        output::line(&format!("{} recordings in lists, {} repaired", lists.recordings, lists.repaired));
    }
    Ok(())
}
