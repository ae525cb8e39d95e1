//! `chalkstream tenant create|list`

use chalkstream_store::Authority;
use clap::Subcommand;
use serde_json::json;

use super::Common;
use crate::exit::Outcome;
use crate::{output, place};

/// Tenants.
#[derive(Subcommand)]
pub enum Tenant {
    /// Make a tenant, with a first signing key, so that its links can be made over the API.
    Create {
        /// Its id: 1 to 40 of a-z, 0-9 and -.
        id: String,
        /// Its name, for people.
        #[arg(long)]
        name: Option<String>,
    },
    /// List the tenants.
    List,
}

/// Runs the command.
pub async fn run(common: &Common, command: Tenant) -> Outcome {
    let authority = authority(common).await?;
    match command {
        Tenant::Create { id, name } => {
            let tenant = authority.create_tenant(&id, name.as_deref().unwrap_or(&id)).await?;
            let signing = authority.create_signing_key(&tenant.id).await?;
            if common.json {
                output::json(&json!({ "tenant": tenant, "kid": signing.kid }));
            } else {
                output::line(&tenant.id);
            }
        }
        Tenant::List => {
            let tenants = authority.tenants();
            if common.json {
                output::json(&json!({ "tenants": tenants }));
            } else {
                tenants.iter().for_each(|tenant| output::line(&format!("{}\t{}", tenant.id, tenant.name)));
            }
        }
    }
    Ok(())
}

/// Tenants and keys, in the storage meant here.
pub async fn authority(common: &Common) -> Outcome<Authority> {
    let settings = place::here(common)?;
    let store = chalkstream_store::open(&settings.store).await?;
    // Storage is the truth; Redis, where it answers, only makes changes arrive sooner.
    Ok(Authority::load(store, Some(&settings.redis)).await?)
}
