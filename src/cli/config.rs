//! `chalkstream config check|print|schema`

use clap::Subcommand;
use serde_json::json;

use super::Common;
use crate::exit::{Failure, Outcome};
use crate::{output, place};

/// Settings.
#[derive(Subcommand)]
pub enum Config {
    /// Say everything that is wrong with the settings, at once.
    Check,
    /// Show the settings in force, without secrets.
    Print,
    /// Print a JSON schema of the settings file.
    Schema,
}

/// Runs the command.
pub fn run(common: &Common, command: &Config) -> Outcome {
    match command {
        Config::Check => {
            place::given(common)?;
            if common.json {
                output::json(&json!({ "problems": [] }));
            } else {
                output::line("the settings are right");
            }
        }
        Config::Print => {
            let settings = place::given(common)?;
            if common.json {
                let shown = serde_json::to_value(&settings);
                output::json(&shown.map_err(|error| Failure::failed("config", error.to_string()))?);
            } else {
                output::text(&chalkstream_config::print(&settings));
            }
        }
        Config::Schema => output::text(&chalkstream_config::schema()),
    }
    Ok(())
}
