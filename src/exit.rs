//! How a command ends: 0 done, 1 failed, 2 usage, 3 the input's fault, 4 a dependency is missing.

use std::process::ExitCode;

use serde_json::json;

use crate::output;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub struct Failure {
    exit: u8,
    code: String,
    message: String,
}

/// The result of a command.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// It did not work.
    pub fn failed(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { exit: 1, code: code.into(), message: message.into() }
    }

    /// It was asked for in a way that makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: 2, code: "usage".into(), message: message.into() }
    }

    /// The file is at fault.
    pub fn input(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { exit: 3, code: code.into(), message: message.into() }
    }

    /// Something is missing that can be installed or fetched.
    pub fn dependency(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { exit: 4, code: code.into(), message: message.into() }
    }

    /// Nothing more to say: the result is printed, and only the exit code differs.
    #[cfg_attr(not(feature = "worker"), allow(dead_code))]
    pub fn silent(exit: u8) -> Self {
        Self { exit, code: String::new(), message: String::new() }
    }

    /// Tells it: a sentence, or with `as_json` the one document.
    pub fn tell(&self, as_json: bool) -> ExitCode {
        if self.code.is_empty() {
            return ExitCode::from(self.exit);
        }
        if as_json {
            output::json(&json!({ "code": self.code, "message": self.message }));
        }
        output::note(&format!("chalkstream: {}", self.message));
        ExitCode::from(self.exit)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::failed("failed", format!("{error:#}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::failed("io", error.to_string())
    }
}

impl From<chalkstream_store::Error> for Failure {
    fn from(error: chalkstream_store::Error) -> Self {
        Self::failed(error.kind.as_str(), error.to_string())
    }
}

impl From<chalkstream_config::Problems> for Failure {
    fn from(problems: chalkstream_config::Problems) -> Self {
        let lines: Vec<_> = problems.0.iter().map(|problem| format!("\n  {problem}")).collect();
        Self::usage(format!("the settings are not right:{}", lines.concat()))
    }
}
