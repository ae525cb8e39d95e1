//! The crate's one error: what kind, may it pass again, and a sentence for a log.

use std::error::Error as StdError;
use std::fmt;

/// Kind of a failure, as far as a caller can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nothing is there.
    NotFound,
    /// The caller asked for something that can never be.
    InvalidInput,
    /// Something else is there already, or happens at the same time.
    Conflict,
    /// The lease was given away: whatever its holder does now changes nothing.
    Lost,
    /// Redis or the object storage cannot be reached, or is overloaded. Passes.
    Unavailable,
    /// The data read is not the data written.
    Corrupt,
    /// Our own mistake, or a setting's.
    Internal,
}

impl Kind {
    /// Stable lower-case name, for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::NotFound => "not_found",
            Kind::InvalidInput => "invalid_input",
            Kind::Conflict => "conflict",
            Kind::Lost => "lost",
            Kind::Unavailable => "unavailable",
            Kind::Corrupt => "corrupt",
            Kind::Internal => "internal",
        }
    }
}

/// A failed operation on something durable.
#[derive(Debug)]
pub struct Error {
    /// Kind of failure.
    pub kind: Kind,
    /// Concise, lower-case, without keys' secrets or user text.
    pub message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of a kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same error with what caused it.
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// True if the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        self.kind == Kind::Unavailable
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidInput, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    /// A dependency does not answer; it may soon.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, message)
    }

    pub(crate) fn corrupt(message: impl Into<String>) -> Self {
        Self::new(Kind::Corrupt, message)
    }

    /// Our own fault.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }

    /// A local file operation that failed.
    pub(crate) fn io(what: &str, source: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match source.kind() {
            Io::NotFound => Kind::NotFound,
            Io::AlreadyExists | Io::NotADirectory | Io::IsADirectory => Kind::Conflict,
            // A full disk passes when someone makes room.
            Io::StorageFull | Io::QuotaExceeded | Io::TimedOut | Io::Interrupted => Kind::Unavailable,
            _ => Kind::Internal,
        };
        Self::new(kind, what).with_source(source)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|s| s.as_ref() as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_retried() {
        for kind in
            [Kind::NotFound, Kind::InvalidInput, Kind::Conflict, Kind::Lost, Kind::Corrupt, Kind::Internal]
        {
            assert!(!Error::new(kind, "x").is_transient());
        }
        assert!(Error::unavailable("x").is_transient());
    }
}
