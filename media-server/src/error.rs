//! Why a server cannot start.

/// A server that cannot start, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: std::net::SocketAddr,
        /// What the system says.
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
