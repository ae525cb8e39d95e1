//! Tenants, API keys and signing keys.

use jiff::Timestamp;

use super::Authority;
use super::snapshot::Record;
use crate::keys::split_api_key;
use crate::{ApiKey, Error, Kind, NewApiKey, Result, SigningKey, Tenant, layout};

impl Authority {
    /// Makes a tenant. [`Kind::Conflict`] where there is one of that id.
    pub async fn create_tenant(&self, id: &str, name: &str) -> Result<Tenant> {
        if !layout::valid_tenant(id) {
            return Err(Error::invalid("a tenant's id is 1 to 40 of a-z, 0-9 and -"));
        }
        let key = layout::tenant_key(id);
        match self.shared.store.head(&key).await {
            Ok(_) => return Err(Error::new(Kind::Conflict, "there is a tenant of that id")),
            Err(error) if error.kind == Kind::NotFound => {}
            Err(error) => return Err(error),
        }
        let tenant = Tenant { id: id.into(), name: name.into(), created_at: Timestamp::now() };
        self.write(key, &tenant, Record::Tenant(tenant.clone())).await?;
        Ok(tenant)
    }

    /// A tenant by id.
    pub fn tenant(&self, id: &str) -> Option<Tenant> {
        match self.copy().record(&layout::tenant_key(id))? {
            Record::Tenant(tenant) => Some(tenant.clone()),
            _ => None,
        }
    }

    /// All tenants, by id.
    pub fn tenants(&self) -> Vec<Tenant> {
        let copy = self.copy();
        let mut tenants: Vec<Tenant> = copy
            .records()
            .filter_map(
                |record| if let Record::Tenant(tenant) = record { Some(tenant.clone()) } else { None },
            )
            .collect();
        tenants.sort_by(|a, b| a.id.cmp(&b.id));
        tenants
    }

    async fn must_be_tenant(&self, id: &str) -> Result<()> {
        if self.tenant(id).is_none() {
            self.refresh().await?;
        }
        self.tenant(id).map(drop).ok_or_else(|| Error::not_found("no such tenant"))
    }

    /// Makes an API key for a tenant.
    pub async fn create_api_key(&self, tenant: &str, name: &str) -> Result<NewApiKey> {
        self.must_be_tenant(tenant).await?;
        let new = NewApiKey::make(tenant, name)?;
        self.write(layout::api_key_key(&new.key.id), &new.key, Record::Api(new.key.clone())).await?;
        Ok(new)
    }

    /// The key behind a text `cs_{id}_{secret}`, unless unknown, wrong or revoked. Compared in
    /// constant time.
    pub fn verify_api_key(&self, text: &str) -> Option<ApiKey> {
        let (id, secret) = split_api_key(text)?;
        let copy = self.copy();
        let Record::Api(key) = copy.record(&layout::api_key_key(id))? else { return None };
        let revoked = copy.is_key_revoked(&key.tenant, &key.id);
        (key.opens_with(secret) && !revoked).then(|| key.clone())
    }

    /// A tenant's API keys, newest first, revoked ones too.
    pub fn api_keys(&self, tenant: &str) -> Vec<ApiKey> {
        let copy = self.copy();
        let mut keys: Vec<ApiKey> = copy
            .records()
            .filter_map(|record| if let Record::Api(key) = record { Some(key.clone()) } else { None })
            .filter(|key| key.tenant == tenant)
            .map(|key| ApiKey { revoked: copy.is_key_revoked(tenant, &key.id), ..key })
            .collect();
        keys.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        keys
    }

    /// Makes a signing key for a tenant, with a random secret of 32 bytes.
    pub async fn create_signing_key(&self, tenant: &str) -> Result<SigningKey> {
        self.must_be_tenant(tenant).await?;
        let key = SigningKey::make(tenant)?;
        self.write(layout::signing_key_key(&key.kid), &key, Record::Signing(key.clone())).await?;
        Ok(key)
    }

    /// A signing key by its `kid`, unless unknown or revoked.
    pub fn signing_key(&self, kid: &str) -> Option<SigningKey> {
        let copy = self.copy();
        let Record::Signing(key) = copy.record(&layout::signing_key_key(kid))? else { return None };
        let revoked = copy.is_key_revoked(&key.tenant, &key.kid);
        (!revoked).then(|| key.clone())
    }

    /// A tenant's signing keys, newest first, revoked ones too.
    pub fn signing_keys(&self, tenant: &str) -> Vec<SigningKey> {
        let copy = self.copy();
        let mut keys: Vec<SigningKey> = copy
            .records()
            .filter_map(|record| if let Record::Signing(key) = record { Some(key.clone()) } else { None })
            .filter(|key| key.tenant == tenant)
            .map(|key| SigningKey { revoked: copy.is_key_revoked(tenant, &key.kid), ..key })
            .collect();
        keys.sort_by(|a, b| (b.created_at, &b.kid).cmp(&(a.created_at, &a.kid)));
        keys
    }

    /// A tenant's newest signing key that is not revoked.
    pub fn newest_signing_key(&self, tenant: &str) -> Option<SigningKey> {
        self.copy().newest_signing_key(tenant).cloned()
    }
}
