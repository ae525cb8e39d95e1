//! The lists in storage. Each use reads the list again, so a name that was added counts at once.

use chalkstream_formats::names::{NameList, Names};
use chalkstream_store::{Error, Store, names};
use http::StatusCode;

use crate::problem::Problem;

/// Reads and writes the lists of names.
#[derive(Clone)]
pub struct NameLists {
    store: Store,
}

impl NameLists {
    /// Lists in `store`.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Returns the list of a tenant; an empty one if it has none.
    ///
    /// # Errors
    /// 503 if it cannot be read.
    pub async fn list(&self, tenant: &str) -> Result<NameList, Problem> {
        Ok(self.read(tenant).await?.unwrap_or_default())
    }

    /// Whether the names of a tenant are silenced in audio too.
    ///
    /// # Errors
    /// 503 if it cannot be read.
    pub async fn is_silencing(&self, tenant: &str) -> Result<bool, Problem> {
        names::is_silencing(&self.store, tenant).await.map_err(|error| unreadable(tenant, &error))
    }

    /// Writes the list of a tenant. It is durable when this returns.
    ///
    /// # Errors
    /// 503 if storage does not answer.
    pub async fn write(&self, tenant: &str, list: NameList, silence: bool) -> Result<(), Problem> {
        Ok(names::write(&self.store, tenant, list, silence).await?)
    }

    /// Removes the list of a tenant.
    ///
    /// # Errors
    /// 503 if storage does not answer.
    pub async fn remove(&self, tenant: &str) -> Result<(), Problem> {
        Ok(names::remove(&self.store, tenant).await?)
    }

    /// Returns what `redact` makes of a text that a person wrote; the text itself if the tenant has
    /// no names.
    ///
    /// # Errors
    /// 503 if the list cannot be read. Then nothing may be stored.
    pub async fn redacted<T: Send + 'static>(
        &self,
        tenant: &str,
        text: T,
        redact: impl FnOnce(&Names, T) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        match self.read(tenant).await?.filter(|list| !list.is_empty()) {
            None => Ok(text),
            // Thousands of names must not keep other requests waiting.
            Some(list) => tokio::task::spawn_blocking(move || redact(&Names::new(&list), text))
                .await
                .map_err(|_| Problem::internal("names were not removed")),
        }
    }

    async fn read(&self, tenant: &str) -> Result<Option<NameList>, Problem> {
        names::read(&self.store, tenant).await.map_err(|error| unreadable(tenant, &error))
    }
}

fn unreadable(tenant: &str, error: &Error) -> Problem {
    let detail = "The list of names cannot be read, so nothing was stored.";
    tracing::error!(tenant_id = tenant, kind = error.kind.as_str(), "list of names cannot be read");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "names_unreadable", detail).retry_after_s(5)
}
