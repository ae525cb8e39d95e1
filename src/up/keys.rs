//! The first tenant and its keys.

use std::path::Path;

use chalkstream_config::Settings;
use chalkstream_store::{Authority, Kind};

use crate::credentials::{Credentials, SavedSigningKey};
use crate::exit::CommandResult;

/// The first tenant's id.
const TENANT: &str = "default";

/// Makes the first tenant and keys unless working ones exist, and saves them in the data folder.
pub async fn ensure_first_keys(data: &Path, settings: &Settings, url: &str) -> CommandResult {
    let store = chalkstream_store::open(&settings.store).await?;
    let authority = Authority::load(store, Some(&settings.redis)).await?;
    if let Some(mut saved) = Credentials::read(data)? {
        let works = authority.verify_api_key(&saved.api_key).is_some()
            && authority.signing_key(&saved.signing_key.kid).is_some();
        if works {
            if saved.server != url {
                saved.server = url.to_owned();
                saved.write(data)?;
            }
            return Ok(());
        }
    }
    match authority.create_tenant(TENANT, "Default").await {
        Err(error) if error.kind != Kind::Conflict => return Err(error.into()),
        _ => {}
    }
    let api = authority.create_api_key(TENANT, "chalkstream up").await?;
    let signing = authority.create_signing_key(TENANT).await?;
    let credentials = Credentials {
        server: url.to_owned(),
        tenant: TENANT.to_owned(),
        api_key: api.text.to_string(),
        signing_key: SavedSigningKey { kid: signing.kid, secret: signing.secret },
    };
    credentials.write(data)
}
