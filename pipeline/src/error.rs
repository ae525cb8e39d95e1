//! One error type: what kind, whose fault, and a sentence that can be shown to a teacher.

pub use chalkstream_formats::Fault;

/// Result of a media operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The file is not a recording, or is broken.
    InvalidInput,
    /// A recording in a form we cannot read.
    Unsupported,
    /// The file asks for more than is allowed.
    LimitExceeded,
    /// A tool, plug-in or model is missing.
    Dependency,
    /// Stopped on request.
    Cancelled,
    /// Anything else.
    Internal,
}

/// An error with a stable code and a plain sentence.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What kind of error.
    pub kind: ErrorKind,
    /// Stable code, visible in the API.
    pub code: &'static str,
    /// One plain sentence for whoever sent the file.
    pub message: String,
    /// The cause, for the log only.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error with a stable code and a plain sentence.
    pub fn new(kind: ErrorKind, code: &'static str, message: impl Into<String>) -> Self {
        Self { kind, code, message: message.into(), source: None }
    }

    /// The file is not a recording, or is broken.
    pub fn input(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, code, message)
    }

    /// Our own fault; the text goes to the log, not to a user.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, "internal", message)
    }

    /// Stopped on request.
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "cancelled", "The work was cancelled.")
    }

    /// Adds the cause, for the log.
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self.kind {
            ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::LimitExceeded => Fault::Input,
            ErrorKind::Dependency => Fault::Dependency,
            ErrorKind::Cancelled | ErrorKind::Internal => Fault::Ours,
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::internal("reading or writing a file failed").with_source(error)
    }
}
