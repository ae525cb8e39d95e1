//! Why a worker cannot start.

/// A worker that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address of metrics cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The requested address.
        address: std::net::SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// Storage or Redis settings are wrong.
    #[error("{0}")]
    Store(#[from] chalkstream_store::Error),
    /// The scratch folder cannot be used, or a thread cannot be started.
    #[error("the scratch folder cannot be used: {0}")]
    Scratch(#[from] std::io::Error),
    /// The kernel offers no sandbox, and the settings do not allow to go on without.
    #[error(
        "the sandbox does not hold on this machine ({0}); see `chalkstream doctor` and worker.allow_unsandboxed"
    )]
    Sandbox(String),
    /// GStreamer does not start.
    #[error("the media tools cannot be started: {0}")]
    Media(String),
}
