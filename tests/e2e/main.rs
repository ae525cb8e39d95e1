//! End to end: a lesson goes in, a stream comes out, whatever is killed, cut or wrong on the way.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod apple;
mod cancel;
mod chaos;
mod conformance;
mod corrections;
mod deletion;
mod drain;
mod failover;
mod kill;
mod lesson;
mod metrics;
mod names;
mod outage;
mod playback;
mod player;
mod refusals;
mod shaper;
mod upgrade;
mod upload_clients;
mod upload_cuts;
mod uploads;
mod variants;
mod weak_line;

use std::time::Duration;

/// Long enough for a short clip on a busy machine.
const CLIP: Duration = Duration::from_secs(300);
