//! Log lines, on standard error.

use chalkstream_config::{Log, LogFormat};
use tracing_subscriber::EnvFilter;

/// Starts logging. A second call changes nothing.
pub fn init(settings: &Log) {
    let filter = EnvFilter::try_new(&settings.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match settings.format {
        LogFormat::Json => lines.json().try_init(),
        LogFormat::Text => lines.with_ansi(crate::ui::output::is_terminal()).try_init(),
    };
    drop(started);
}
