//! `chalkstream tenant vocabulary set|show|remove`

use std::path::PathBuf;

use chalkstream_store::vocabulary::{self, Vocabulary};
use clap::Subcommand;
use serde_json::json;

use super::names::read;
use crate::args::GlobalArgs;
use crate::exit::{CommandError, CommandResult};
use crate::settings_source;
use crate::ui::output;

/// Subcommands of `tenant vocabulary`.
#[derive(Subcommand)]
pub enum VocabularyCommand {
    /// Replace the vocabulary: a file with terms, with commas or line breaks between them.
    Set {
        /// The file [default: standard input].
        #[arg(default_value = "-", hide_default_value = true)]
        file: PathBuf,
    },
    /// Print the terms, one a line.
    Show,
    /// Remove the vocabulary.
    Remove,
}

/// Runs the command for a tenant.
pub async fn run(global: &GlobalArgs, tenant: &str, command: VocabularyCommand) -> CommandResult {
    let settings = settings_source::load_for_command(global)?;
    let store = chalkstream_store::open(&settings.store).await?;
    let terms = match command {
        VocabularyCommand::Set { file } => {
            let terms = Vocabulary::parse(&read(&file)?);
            let terms = terms.map_err(|error| CommandError::input("vocabulary", error.to_string()))?;
            vocabulary::write(&store, tenant, terms.clone()).await?;
            terms
        }
        VocabularyCommand::Show => vocabulary::read(&store, tenant).await?,
        VocabularyCommand::Remove => {
            vocabulary::remove(&store, tenant).await?;
            Vocabulary::default()
        }
    };
    if global.json {
        output::json(&json!({ "tenant": tenant, "terms": terms }));
    } else {
        terms.iter().for_each(output::line);
    }
    Ok(())
}
