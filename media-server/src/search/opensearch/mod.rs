//! The engine for servers that share a cluster: an OpenSearch index for each tenant, behind an
//! alias. It gets our own tokens, never text to analyze, and only proposes passages.
//!
//! Every server feeds the same indexes, each from its own position. Documents are named by their
//! content, so that two servers that index the same lesson write the same.

mod client;
mod documents;
mod pending;
mod position;
mod read;
mod schema;
mod select;
mod write;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chalkstream_config::OpenSearch as Settings;
use chalkstream_meaning::Vector;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use self::client::{Client, Effort, existing};
use self::documents::LessonDocuments;
use self::pending::Pending;
use self::position::StoredPosition;
use self::read::TenantIndex;
use self::schema::Names;
use super::engine::{Area, EngineSearch, Error, IndexedLesson, SearchEngine};
use super::entry::PassageEntry;
use super::transcript::{SimilarPassage, SpokenLesson};

/// The engine on a cluster.
pub struct OpenSearch {
    client: Client,
    names: Names,
    /// This server's name, under which its position is stored.
    server: String,
    pending: Mutex<Pending>,
    /// Held by a commit from its beginning to its end, so that no other says that it is done.
    commit: Mutex<()>,
    /// Tenants known to have an index, and the index of positions if it is there.
    created: Mutex<HashSet<String>>,
    /// Tenants whose indexes may have words of removed documents; `None` until they are listed.
    unpurged: Mutex<Option<HashSet<String>>>,
}

impl OpenSearch {
    /// An engine on the cluster of these settings. The folder has this server's name. The cluster
    /// need not answer yet.
    ///
    /// # Errors
    /// If the folder or the certificates cannot be used.
    pub fn open(settings: &Settings, folder: &Path, runtime: Handle) -> Result<Self, Error> {
        Ok(Self {
            client: Client::new(settings, runtime)?,
            names: Names::new(&settings.index_prefix),
            server: position::name_of_server(folder)?,
            pending: Mutex::default(),
            commit: Mutex::default(),
            created: Mutex::default(),
            unpurged: Mutex::default(),
        })
    }

    /// The version of the cluster, and whether it has vectors.
    ///
    /// # Errors
    /// If it does not answer, or refuses.
    pub async fn probe(settings: &Settings) -> Result<(String, bool), Error> {
        let client = Client::new(settings, Handle::current())?;
        let about = client.get("").await?;
        let version = about["version"]["number"].as_str().ok_or(Error::Entry)?.to_owned();
        let plugins = client.get("_cat/plugins?format=json&h=component").await.unwrap_or_default();
        let has_vectors =
            plugins.as_array().into_iter().flatten().any(|p| p["component"] == "opensearch-knn");
        Ok((version, has_vectors))
    }

    /// A tenant's index; `None` if the name is none.
    fn index(&self, tenant: &str) -> Option<TenantIndex<'_>> {
        let alias = self.names.alias(tenant).ok()?;
        Some(TenantIndex { client: &self.client, alias })
    }

    fn get(&self, path: &str) -> Result<Option<Value>, Error> {
        existing(self.client.send(Method::GET, path, &Value::Null, Effort::Read))
    }

    /// Makes a tenant's index if it is not known to have one. Returns its alias.
    fn created(&self, tenant: &str) -> Result<String, Error> {
        let alias = self.names.alias(tenant)?;
        if !lock_of(&self.created).contains(tenant) {
            write::create(&self.client, &alias)?;
            lock_of(&self.created).insert(tenant.to_owned());
        }
        Ok(alias)
    }

    /// Sends changes. If that fails, all that wait are dropped: the feed reads their events again.
    fn change<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        work().inspect_err(|_| {
            lock_of(&self.pending).lose();
            // An index may have been deleted.
            lock_of(&self.created).clear();
        })
    }

    /// The unique ids of all tenants' indexes.
    fn indexes(&self) -> Result<BTreeMap<String, String>, Error> {
        let settings = self.get(&format!("{}/_settings/index.uuid", self.names.all()))?.unwrap_or_default();
        let indexes = settings.as_object().into_iter().flatten().filter_map(|(name, index)| {
            Some((name.clone(), index["settings"]["index"]["uuid"].as_str()?.to_owned()))
        });
        Ok(indexes.collect())
    }

    fn position_path(&self) -> String {
        format!("{}/_doc/{}", self.names.positions(), self.server)
    }
}

impl SearchEngine for OpenSearch {
    fn replace(&self, lesson: &IndexedLesson, transcript: &SpokenLesson) -> Result<(), Error> {
        self.names.alias(&lesson.tenant)?;
        let documents = LessonDocuments::new(lesson, transcript);
        // A commit by another thread must have all of a lesson or nothing.
        let _commit = lock_of(&self.commit);
        let full = lock_of(&self.pending).replace(&lesson.tenant, &lesson.recording, documents);
        if full.is_empty() {
            return Ok(());
        }
        self.change(|| write::send(&self.client, &self.created(&lesson.tenant)?, full))
    }

    fn remove(&self, tenant: &str, recording: &str) -> Result<(), Error> {
        if self.names.alias(tenant).is_ok() {
            lock_of(&self.pending).remove(tenant, recording);
        }
        Ok(())
    }

    fn commit(&self) -> Result<(), Error> {
        let _commit = lock_of(&self.commit);
        let changes = lock_of(&self.pending).take();
        self.change(|| {
            for (tenant, changes) in changes {
                let alias = match changes.has_lessons() {
                    true => self.created(&tenant)?,
                    // A removal makes no index.
                    false => self.names.alias(&tenant)?,
                };
                write::apply(&self.client, &alias, changes)?;
                if let Some(unpurged) = lock_of(&self.unpurged).as_mut() {
                    unpurged.insert(tenant);
                }
            }
            Ok(())
        })
    }

    /// Also says that changes which were dropped until now are asked for again.
    fn position(&self) -> Result<Option<String>, Error> {
        lock_of(&self.pending).is_lost = false;
        let Some(stored) = self.get(&self.position_path())? else { return Ok(None) };
        let Ok(stored) = serde_json::from_value::<StoredPosition>(stored["_source"].clone()) else {
            return Ok(None);
        };
        let indexes = self.indexes()?;
        let is_complete = stored.indexes.iter().all(|(name, id)| indexes.get(name) == Some(id));
        Ok(is_complete.then_some(stored.position))
    }

    fn set_position(&self, position: Option<&str>) -> Result<(), Error> {
        let path = self.position_path();
        let Some(position) = position else {
            lock_of(&self.pending).is_lost = false;
            return existing(self.client.send(Method::DELETE, &path, &Value::Null, Effort::Write)).map(drop);
        };
        let stored = StoredPosition { position: position.into(), indexes: self.indexes()? };
        if lock_of(&self.pending).is_lost {
            return Err(Error::Unavailable("changes before this position were lost".into()));
        }
        let index = self.names.positions();
        if lock_of(&self.created).insert(index.clone()) {
            write::make(&self.client, &index, &schema::positions())?;
        }
        self.client.send(Method::PUT, &path, &json!(stored), Effort::Write).map(drop)
    }

    fn passages(
        &self,
        sought: &EngineSearch<'_>,
        offset: usize,
        limit: usize,
        visit: &mut dyn FnMut(PassageEntry) -> bool,
    ) -> Result<usize, Error> {
        let index = self.index(&sought.area.tenant);
        index.map_or(Ok(0), |index| index.passages(sought, offset, limit, visit))
    }

    fn similar(
        &self,
        vector: &Vector,
        area: &Area,
        limit: usize,
    ) -> Result<Vec<(f32, SimilarPassage)>, Error> {
        self.index(&area.tenant).map_or(Ok(Vec::new()), |index| index.similar(vector, area, limit))
    }

    fn lessons(&self, sought: &EngineSearch<'_>, limit: usize) -> Result<Vec<IndexedLesson>, Error> {
        let index = self.index(&sought.area.tenant);
        index.map_or(Ok(Vec::new()), |index| index.lessons(sought, limit))
    }

    fn lesson(&self, tenant: &str, recording: &str) -> Result<Option<IndexedLesson>, Error> {
        let found = self.index(tenant).map_or(Ok(None), |index| index.lesson(recording))?;
        Ok(found.map(|lesson| IndexedLesson { tenant: tenant.into(), ..lesson }))
    }

    fn tenants(&self) -> Result<Vec<String>, Error> {
        let found = self.get(&format!("_alias/{}", self.names.all()))?.unwrap_or_default();
        let aliases = found.as_object().into_iter().flatten();
        let aliases = aliases.filter_map(|(_, index)| index["aliases"].as_object()).flatten();
        Ok(aliases.filter_map(|(alias, _)| self.names.tenant(alias).map(str::to_owned)).collect())
    }

    fn recordings(&self, tenant: &str) -> Result<Vec<String>, Error> {
        self.index(tenant).map_or(Ok(Vec::new()), |index| index.recordings())
    }

    fn languages(&self, tenant: &str) -> Result<Vec<String>, Error> {
        self.index(tenant).map_or(Ok(Vec::new()), |index| index.languages())
    }

    /// The cluster does not say whose words a removed document had. So any that is left counts.
    fn has_words(&self, tenant: &str, recording: &str) -> Result<bool, Error> {
        let Some(index) = self.index(tenant) else { return Ok(false) };
        Ok(index.has(recording)? || write::removed(&self.client, &index.alias)? > 0)
    }

    fn purge(&self) -> Result<usize, Error> {
        if lock_of(&self.unpurged).is_none() {
            // Any of them may have had removals before this server was started.
            let tenants = self.tenants()?;
            lock_of(&self.unpurged).get_or_insert_default().extend(tenants);
        }
        let tenants: Vec<String> = lock_of(&self.unpurged).iter().flatten().cloned().collect();
        let mut purged = 0;
        for tenant in tenants {
            // Before the work: what is removed meanwhile is for the next time.
            lock_of(&self.unpurged).get_or_insert_default().remove(&tenant);
            let alias = self.names.alias(&tenant)?;
            let left = match write::purge(&self.client, &alias) {
                Ok((erased, left)) => {
                    purged += erased as usize;
                    left > 0
                }
                Err(error) if error.is_outage() => {
                    lock_of(&self.unpurged).get_or_insert_default().insert(tenant);
                    return Err(error);
                }
                // The words of others must not wait for it.
                Err(error) => {
                    tracing::warn!(tenant_id = tenant, %error, "search index not purged");
                    true
                }
            };
            if left {
                lock_of(&self.unpurged).get_or_insert_default().insert(tenant);
            }
        }
        Ok(purged)
    }
}

fn lock_of<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
