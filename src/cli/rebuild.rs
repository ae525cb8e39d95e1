//! `chalkstream rebuild`

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
    Authority::load(store.clone(), Some(&settings.redis)).await?;
    let queue = Queue::connect(&settings.redis).await?;
    let rebuilt = rebuild::pending(&store, &queue).await?;
    let enqueued: Vec<_> = rebuilt.enqueued.iter().map(|(_, recording)| recording.as_str()).collect();
    if global.json {
        output::json(&json!({ "seen": rebuilt.seen, "enqueued": enqueued }));
    } else {
        output::line(&format!("{} recordings not done, {} queued again", rebuilt.seen, enqueued.len()));
    }
    Ok(())
}
