//! Errors that keep the server from starting.

/// An error at start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The requested address.
        address: std::net::SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// Storage or Redis settings are wrong, or storage cannot be read.
    #[error("{0}")]
    Store(#[from] chalkstream_store::Error),
    /// The search index cannot be opened.
    #[error("cannot open the search index: {0}")]
    Search(#[from] crate::search::Error),
    /// Asked to stop before it could start.
    #[error("stopped before it could start")]
    Stopped,
}
