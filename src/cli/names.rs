//! `chalkstream tenant names set|count|remove`. It prints how many names there are, and none of
//! them.

use std::io::Read;
use std::path::{Path, PathBuf};

use chalkstream_store::names::{self, NameList};
use clap::Subcommand;
use serde_json::json;

use crate::args::GlobalArgs;
use crate::exit::{CommandError, CommandResult};
use crate::settings_source;
use crate::ui::output;

/// Subcommands of `tenant names`.
#[derive(Subcommand)]
pub enum NamesCommand {
    /// Replace the list: a file with a name a line.
    Set {
        /// The file [default: standard input].
        #[arg(default_value = "-", hide_default_value = true)]
        file: PathBuf,
        /// Silence the names in the audio of recordings that come from now on, or no longer
        /// [default: as before].
        #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
        silence: Option<bool>,
    },
    /// Print how many names the list has.
    Count,
    /// Remove the list.
    Remove,
}

/// Runs the command for a tenant.
pub async fn run(global: &GlobalArgs, tenant: &str, command: NamesCommand) -> CommandResult {
    let settings = settings_source::load_for_command(global)?;
    let store = chalkstream_store::open(&settings.store).await?;
    let count = match command {
        NamesCommand::Set { file, silence } => {
            let list = NameList::from_lines(&read(&file)?);
            let list = list.map_err(|error| CommandError::input("names", error.to_string()))?;
            let count = list.len();
            let silence = match silence {
                Some(silence) => silence,
                None => names::is_silencing(&store, tenant).await?,
            };
            names::write(&store, tenant, list, silence).await?;
            count
        }
        NamesCommand::Count => names::read(&store, tenant).await?.map_or(0, |list| list.len()),
        NamesCommand::Remove => {
            names::remove(&store, tenant).await?;
            0
        }
    };
    if global.json {
        let silence = names::is_silencing(&store, tenant).await?;
        output::json(&json!({ "tenant": tenant, "count": count, "silence": silence }));
    } else {
        output::line(&count.to_string());
    }
    Ok(())
}

/// Reads a file of text, or standard input (`-`).
pub fn read(file: &Path) -> CommandResult<String> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    read.map_err(|error| CommandError::input("file", format!("{}: {error}", file.display())))?;
    String::from_utf8(bytes).map_err(|_| CommandError::input("encoding", "The list is not UTF-8."))
}
