//! Log lines, on standard error.

use chalkstream_config::{Log, LogFormat};
use tracing_subscriber::EnvFilter;

/// Begins logging. A second call changes nothing.
pub fn begin(settings: &Log) {
    let filter = EnvFilter::try_new(&settings.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let begun = match settings.format {
        LogFormat::Json => lines.json().try_init(),
        LogFormat::Text => lines.with_ansi(crate::output::watched()).try_init(),
    };
    drop(begun);
}
