//! The pipeline's error: its kind, its fault, and a sentence for teachers.

pub use chalkstream_formats::Fault;

/// Result of a media operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Kind of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The file is not a recording, or is damaged.
    InvalidInput,
    /// The recording is in a form that cannot be read.
    Unsupported,
    /// The file exceeds a limit.
    LimitExceeded,
    /// A tool, plug-in or model is missing.
    Dependency,
    /// The work was stopped on request.
    Cancelled,
    /// Anything else.
    Internal,
}

/// An error with a stable code and a plain sentence.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Kind of the error.
    pub kind: ErrorKind,
    /// Stable code, visible in the API.
    pub code: &'static str,
    /// One plain sentence for the person who sent the file.
    pub message: String,
    /// The cause, for the log only.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// Creates an error with a stable code and a plain sentence.
    pub fn new(kind: ErrorKind, code: &'static str, message: impl Into<String>) -> Self {
        Self { kind, code, message: message.into(), source: None }
    }

    /// Creates an error of kind [`ErrorKind::InvalidInput`].
    pub fn input(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, code, message)
    }

    /// The file is damaged beyond use.
    pub fn damaged_file() -> Self {
        Self::input("decode_failed", "The file is damaged, so it can't be played.")
    }

    /// Creates an error that is our own fault; its text goes to the log, not to a user.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, "internal", message)
    }

    /// The work was stopped on request.
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "cancelled", "The work was cancelled.")
    }

    /// Adds the cause, for the log.
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns whose fault the error is.
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
