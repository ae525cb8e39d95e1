//! `chalkstream config check|print|schema`

use clap::Subcommand;
use serde_json::json;

use crate::args::GlobalArgs;
use crate::exit::{CommandError, CommandResult};
use crate::settings_source;
use crate::ui::output;

/// Subcommands of `config`.
#[derive(Subcommand)]
pub enum ConfigCommand {
    /// Report every problem in the settings.
    Check,
    /// Print the settings in force, without secrets.
    Print,
    /// Print the JSON schema of the settings file.
    Schema,
}

/// Runs the command.
pub fn run(global: &GlobalArgs, command: &ConfigCommand) -> CommandResult {
    match command {
        ConfigCommand::Check => {
            settings_source::load_given(global)?;
            if global.json {
                output::json(&json!({ "problems": [] }));
            } else {
                output::line("the settings are valid");
            }
        }
        ConfigCommand::Print => {
            let settings = settings_source::load_given(global)?;
            if global.json {
                let value = serde_json::to_value(&settings);
                output::json(&value.map_err(|error| CommandError::failed("config", error.to_string()))?);
            } else {
                output::text(&chalkstream_config::print(&settings));
            }
        }
        ConfigCommand::Schema => output::text(&chalkstream_config::schema()),
    }
    Ok(())
}
