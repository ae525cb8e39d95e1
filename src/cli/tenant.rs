//! `chalkstream tenant create|list|names|vocabulary`

use chalkstream_store::Authority;
use clap::Subcommand;
use serde_json::json;

use super::names::{self, NamesCommand};
use super::vocabulary::{self, VocabularyCommand};
use crate::args::GlobalArgs;
use crate::exit::{CommandError, CommandResult};
use crate::settings_source;
use crate::ui::output;

/// Subcommands of `tenant`.
#[derive(Subcommand)]
pub enum TenantCommand {
    /// Create a tenant and its first signing key, which the API needs to sign links.
    Create {
        /// Id: 1 to 40 characters of a-z, 0-9 and -.
        id: String,
        /// Name for people [default: the id].
        #[arg(long)]
        name: Option<String>,
    },
    /// List the tenants.
    List,
    /// Manage the names that are removed from a tenant's text, and silenced in its audio.
    Names {
        #[command(subcommand)]
        command: NamesCommand,
        /// Id of the tenant [default: the only one].
        #[arg(long, global = true)]
        tenant: Option<String>,
    },
    /// Manage the words and names that transcription should know how to spell.
    Vocabulary {
        #[command(subcommand)]
        command: VocabularyCommand,
        /// Id of the tenant [default: the only one].
        #[arg(long, global = true)]
        tenant: Option<String>,
    },
}

/// Runs the command.
pub async fn run(global: &GlobalArgs, command: TenantCommand) -> CommandResult {
    let authority = authority(global).await?;
    match command {
        TenantCommand::Create { id, name } => {
            let tenant = authority.create_tenant(&id, name.as_deref().unwrap_or(&id)).await?;
            let signing = authority.create_signing_key(&tenant.id).await?;
            if global.json {
                output::json(&json!({ "tenant": tenant, "kid": signing.kid }));
            } else {
                output::line(&tenant.id);
            }
        }
        TenantCommand::Names { command, tenant } => {
            names::run(global, &tenant_or_only(&authority, tenant)?, command).await?;
        }
        TenantCommand::Vocabulary { command, tenant } => {
            vocabulary::run(global, &tenant_or_only(&authority, tenant)?, command).await?;
        }
        TenantCommand::List => {
            let tenants = authority.tenants();
            if global.json {
                output::json(&json!({ "tenants": tenants }));
            } else {
                tenants.iter().for_each(|tenant| output::line(&format!("{}\t{}", tenant.id, tenant.name)));
            }
        }
    }
    Ok(())
}

/// Loads tenants and keys from the command's storage.
pub async fn authority(global: &GlobalArgs) -> CommandResult<Authority> {
    let settings = settings_source::load_for_command(global)?;
    let store = chalkstream_store::open(&settings.store).await?;
    // Storage is the truth; if Redis is available, changes only arrive sooner.
    Ok(Authority::load(store, Some(&settings.redis)).await?)
}

/// The tenant that was given, or the only one there is.
///
/// # Errors
/// If there is no such tenant.
pub fn tenant_or_only(authority: &Authority, given: Option<String>) -> CommandResult<String> {
    match (given, authority.tenants().as_slice()) {
        (Some(given), tenants) if tenants.iter().any(|tenant| tenant.id == given) => Ok(given),
        (Some(given), _) => {
            Err(CommandError::usage(format!("there is no tenant {given}: chalkstream tenant list")))
        }
        (None, [only]) => Ok(only.id.clone()),
        (None, []) => Err(CommandError::usage("there is no tenant yet: chalkstream tenant create ID")),
        (None, _) => Err(CommandError::usage("there are several tenants: name one with --tenant")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chalkstream_config::Store;

    use super::*;

    #[tokio::test]
    async fn a_tenant_that_does_not_exist_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Store { path: folder.path().to_owned(), ..Store::default() };
        let store = chalkstream_store::open(&settings).await.unwrap();
        let authority = Authority::load(store, None).await.unwrap();
        tenant_or_only(&authority, None).unwrap_err();
        authority.create_tenant("school", "School").await.unwrap();
        assert_eq!(tenant_or_only(&authority, None).unwrap(), "school");
        assert_eq!(tenant_or_only(&authority, Some("school".into())).unwrap(), "school");
        tenant_or_only(&authority, Some("shcool".into())).unwrap_err();
    }
}
