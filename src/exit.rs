//! How a command ends: 0 done, 1 failed, 2 usage, 3 the input's fault, 4 a dependency is missing.

use std::process::ExitCode;

use serde_json::json;

use crate::ui::output;

/// A failed command: its exit code, a stable code and a sentence.
#[derive(Debug)]
pub struct CommandError {
    exit: u8,
    code: String,
    message: String,
}

/// The result of a command.
pub type CommandResult<T = ()> = Result<T, CommandError>;

impl CommandError {
    /// The command failed (exit code 1).
    pub fn failed(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { exit: 1, code: code.into(), message: message.into() }
    }

    /// The command line or the settings are wrong (exit code 2).
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: 2, code: "usage".into(), message: message.into() }
    }

    /// The input file is at fault (exit code 3).
    pub fn input(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { exit: 3, code: code.into(), message: message.into() }
    }

    /// A dependency is missing that can be installed or fetched (exit code 4).
    pub fn dependency(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { exit: 4, code: code.into(), message: message.into() }
    }

    /// An exit code without a message, because the result is already printed.
    #[cfg_attr(not(feature = "worker"), allow(dead_code))]
    pub fn silent(exit: u8) -> Self {
        Self { exit, code: String::new(), message: String::new() }
    }

    /// Prints the error as a sentence, with `as_json` also as the JSON document.
    pub fn report(&self, as_json: bool) -> ExitCode {
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

impl From<anyhow::Error> for CommandError {
    fn from(error: anyhow::Error) -> Self {
        Self::failed("failed", format!("{error:#}"))
    }
}

impl From<std::io::Error> for CommandError {
    fn from(error: std::io::Error) -> Self {
        Self::failed("io", error.to_string())
    }
}

impl From<chalkstream_store::Error> for CommandError {
    fn from(error: chalkstream_store::Error) -> Self {
        Self::failed(error.kind.as_str(), error.to_string())
    }
}

impl From<chalkstream_config::Problems> for CommandError {
    fn from(problems: chalkstream_config::Problems) -> Self {
        let lines: Vec<_> = problems.0.iter().map(|problem| format!("\n  {problem}")).collect();
        Self::usage(format!("the settings are invalid:{}", lines.concat()))
    }
}
