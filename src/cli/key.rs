//! `chalkstream key create|list|revoke`

use chalkstream_store::Target;
use clap::{Args, Subcommand};
use serde_json::json;

use super::tenant::{authority, tenant_or_only};
use crate::args::GlobalArgs;
use crate::exit::CommandResult;
use crate::ui::output;

/// Subcommands of `key`.
#[derive(Subcommand)]
pub enum KeyCommand {
    /// Create a key; its text is displayed only once.
    Create(CreateKeyArgs),
    /// List a tenant's keys.
    List {
        /// Id of the tenant [default: the only one].
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Revoke a key, on every server within five seconds.
    Revoke {
        /// Id of the API key, or kid of the signing key.
        id: String,
        /// Id of the tenant [default: the only one].
        #[arg(long)]
        tenant: Option<String>,
    },
}

/// Arguments of `key create`.
#[derive(Args)]
pub struct CreateKeyArgs {
    /// Id of the tenant [default: the only one].
    #[arg(long)]
    tenant: Option<String>,
    /// A note on its purpose.
    #[arg(long, default_value = "")]
    name: String,
    /// Create a signing key, for links that a platform signs itself, instead of an API key.
    #[arg(long)]
    signing: bool,
}

/// Runs the command.
pub async fn run(global: &GlobalArgs, command: KeyCommand) -> CommandResult {
    let authority = authority(global).await?;
    match command {
        KeyCommand::Create(create) if create.signing => {
            let key = authority.create_signing_key(&tenant_or_only(&authority, create.tenant)?).await?;
            if global.json {
                output::json(&json!({ "kid": key.kid, "secret": key.secret, "tenant": key.tenant }));
            } else {
                output::line(&format!("{} {}", key.kid, key.secret));
                output::note("This is displayed only once. Store it where the platform signs its links.");
            }
        }
        KeyCommand::Create(create) => {
            let key =
                authority.create_api_key(&tenant_or_only(&authority, create.tenant)?, &create.name).await?;
            if global.json {
                output::json(&json!({ "id": key.key.id, "api_key": *key.text, "tenant": key.key.tenant }));
            } else {
                output::line(&key.text);
                output::note("This is displayed only once: the server stores a hash.");
            }
        }
        KeyCommand::List { tenant } => {
            let tenant = tenant_or_only(&authority, tenant)?;
            let api: Vec<_> = authority.api_keys(&tenant).into_iter().map(|key| {
                json!({ "id": key.id, "name": key.name, "created_at": key.created_at, "revoked": key.revoked })
            }).collect();
            let signing: Vec<_> = authority
                .signing_keys(&tenant)
                .into_iter()
                .map(|key| json!({ "kid": key.kid, "created_at": key.created_at, "revoked": key.revoked }))
                .collect();
            if global.json {
                output::json(&json!({ "tenant": tenant, "api_keys": api, "signing_keys": signing }));
            } else {
                for key in &api {
                    output::line(&row("api", &key["id"], key));
                }
                for key in &signing {
                    output::line(&row("signing", &key["kid"], key));
                }
            }
        }
        KeyCommand::Revoke { id, tenant } => {
            let tenant = tenant_or_only(&authority, tenant)?;
            authority.revoke(&tenant, &Target::Key(id.clone()), 0).await?;
            if global.json {
                output::json(&json!({ "revoked": id }));
            } else {
                output::line(&format!("{id} is revoked"));
            }
        }
    }
    Ok(())
}

fn row(kind: &str, id: &serde_json::Value, key: &serde_json::Value) -> String {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let state = if key["revoked"] == true { "revoked" } else { "live" };
    [kind, &text(id), &text(&key["created_at"]), state, &text(&key["name"])].join("\t")
}
