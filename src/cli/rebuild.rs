//! `chalkstream rebuild`

use chalkstream_store::{Authority, Queue, rebuild};
use serde_json::json;

use super::Common;
use crate::exit::Outcome;
use crate::{output, place};

/// Runs the command.
pub async fn run(common: &Common) -> Outcome {
    let settings = place::here(common)?;
    let store = chalkstream_store::open(&settings.store).await?;
    // Keys and revocations first: nobody may be let in by their absence.
    Authority::load(store.clone(), Some(&settings.redis)).await?;
    let queue = Queue::connect(&settings.redis).await?;
    let rebuilt = rebuild::pending(&store, &queue).await?;
    let enqueued: Vec<_> = rebuilt.enqueued.iter().map(|(_, recording)| recording.as_str()).collect();
    if common.json {
        output::json(&json!({ "seen": rebuilt.seen, "enqueued": enqueued }));
    } else {
        output::line(&format!("{} not done, {} queued again", rebuilt.seen, enqueued.len()));
    }
    Ok(())
}
