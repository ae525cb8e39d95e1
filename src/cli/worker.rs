//! `chalkstream worker`

use super::Common;
use crate::exit::{Failure, Outcome};
use crate::{logs, place, signals};

/// Runs the command.
pub async fn run(common: &Common) -> Outcome {
    let settings = place::given(common)?;
    logs::begin(&settings.log);
    let stop = signals::stop()?;
    chalkstream_workers::run(settings, stop).await.map_err(|error| match error {
        chalkstream_workers::Error::Sandbox(_) => {
            Failure::dependency("sandbox_unavailable", error.to_string())
        }
        _ => Failure::failed("worker", error.to_string()),
    })
}
