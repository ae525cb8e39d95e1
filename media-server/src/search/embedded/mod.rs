//! The embedded engine: a folder with one tantivy index for each tenant.
//!
//! An index is opened when it is needed, and few are open at once. The folder is a cache of what
//! storage has: it may be deleted at any time, and what cannot be read is.

mod best;
mod documents;
mod expansions;
mod near;
mod schema;
mod select;
mod similar;
mod tenant;
mod writers;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chalkstream_meaning::Vector;
use chalkstream_store::layout;
use tantivy::directory::error::{OpenDirectoryError, OpenReadError};
use tantivy::{TantivyError, Term};

use self::tenant::TenantIndex;
use self::writers::Writers;
use super::engine::{Area, EngineSearch, Error, IndexedLesson, SearchEngine};
use super::entry::PassageEntry;
use super::transcript::{SimilarPassage, SpokenLesson};

/// Indexes that are open at once. Each keeps some files mapped, and little memory.
const MAX_OPEN: usize = 64;
/// Codes of the operating system for too many open files, which have no [`ErrorKind`].
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

/// The embedded engine.
pub struct Embedded {
    folder: PathBuf,
    /// Locked as long as this process uses the folder.
    _lock: File,
    /// Open indexes, the least recently used first.
    open: Mutex<Vec<(String, Arc<TenantIndex>)>>,
    max_open: usize,
    writers: Mutex<Writers>,
    /// Tenants whose folders may have words of removed documents.
    unpurged: Mutex<HashSet<String>>,
    /// True if an index was lost since the last scan of storage began.
    lost: AtomicBool,
}

impl Embedded {
    /// Opens the indexes in `folder`. Those of another version are deleted: the feed fills them
    /// again.
    ///
    /// # Errors
    /// If the folder cannot be used, or another process uses it.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        Self::open_with(folder, MAX_OPEN)
    }

    fn open_with(folder: &Path, max_open: usize) -> Result<Self, Error> {
        let name = format!("v{}", schema::VERSION);
        std::fs::create_dir_all(folder)?;
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let old = entry.file_name().to_str().is_some_and(|n| n.starts_with('v') && n != name);
            if old && entry.file_type()?.is_dir() {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        let folder = folder.join(name);
        std::fs::create_dir_all(folder.join("tenants"))?;
        let lock = File::create(folder.join("lock"))?;
        lock.try_lock().map_err(|_| Error::InUse)?;
        let engine = Self {
            folder,
            _lock: lock,
            open: Mutex::default(),
            max_open,
            writers: Mutex::default(),
            unpurged: Mutex::default(),
            lost: AtomicBool::new(false),
        };
        let tenants = engine.tenants()?;
        for tenant in &tenants {
            if let Err(error) = engine.existing(tenant) {
                tracing::warn!(tenant_id = tenant, %error, "search index not opened");
            }
        }
        lock_of(&engine.unpurged).extend(tenants);
        Ok(engine)
    }

    fn path(&self, tenant: &str) -> Result<PathBuf, Error> {
        match layout::valid_tenant(tenant) {
            true => Ok(self.folder.join("tenants").join(tenant)),
            false => Err(Error::Tenant),
        }
    }

    /// A tenant's index; `None` if it has none.
    fn existing(&self, tenant: &str) -> Result<Option<Arc<TenantIndex>>, Error> {
        match self.path(tenant) {
            Ok(path) if path.is_dir() => self.index(tenant).map(Some),
            _ => Ok(None),
        }
    }

    /// A tenant's index, made if it has none.
    fn index(&self, tenant: &str) -> Result<Arc<TenantIndex>, Error> {
        let path = self.path(tenant)?;
        let mut open = lock_of(&self.open);
        let known = open.iter().position(|(name, _)| name == tenant);
        let entry = match known {
            Some(at) => open.remove(at),
            None => {
                let index = TenantIndex::open(&path).or_else(|error| {
                    if is_shortage(&error) {
                        return Err(error);
                    }
                    tracing::warn!(tenant_id = tenant, %error, "search index unreadable, rebuilding");
                    self.lose()?;
                    std::fs::remove_dir_all(&path)?;
                    TenantIndex::open(&path)
                })?;
                (tenant.to_owned(), Arc::new(index))
            }
        };
        let index = entry.1.clone();
        open.push(entry);
        // One that a query or a writer uses stays: there is one reader that a commit renews.
        if open.len() > self.max_open
            && let Some(unused) = open.iter().position(|(_, index)| Arc::strong_count(index) == 1)
        {
            open.remove(unused);
        }
        Ok(index)
    }

    /// Forgets the position, because changes up to it were lost. The feed then scans storage.
    fn lose(&self) -> Result<(), Error> {
        self.lost.store(true, Ordering::Release);
        remove_file(&self.folder.join("position"))
    }

    /// Works with the writers. If that fails (the disk is full, a folder was deleted), what they
    /// had not committed is lost, and all indexes are opened again.
    fn write<T>(&self, work: impl FnOnce(&mut Writers) -> Result<T, Error>) -> Result<T, Error> {
        let mut writers = lock_of(&self.writers);
        let done = work(&mut writers);
        if done.is_err() {
            *writers = Writers::default();
            drop(writers);
            lock_of(&self.open).clear();
            self.lose()?;
        }
        done
    }
}

impl SearchEngine for Embedded {
    fn replace(&self, lesson: &IndexedLesson, transcript: &SpokenLesson) -> Result<(), Error> {
        let index = self.index(&lesson.tenant)?;
        // Outside the lock: it takes most of the time.
        let docs = documents::of_lesson(index.fields, lesson, transcript);
        self.write(|writers| {
            let writer = writers.change(&lesson.tenant, &index)?;
            writer.delete_term(Term::from_field_text(index.fields.recording, &lesson.recording));
            for doc in docs {
                writer.add_document(doc)?;
            }
            Ok(())
        })
    }

    fn remove(&self, tenant: &str, recording: &str) -> Result<(), Error> {
        let Some(index) = self.existing(tenant)? else { return Ok(()) };
        self.write(|writers| {
            if writers.has_changed(tenant) || index.lesson(recording)?.is_some() {
                let writer = writers.change(tenant, &index)?;
                writer.delete_term(Term::from_field_text(index.fields.recording, recording));
            }
            Ok(())
        })
    }

    fn commit(&self) -> Result<(), Error> {
        let committed = self.write(Writers::commit)?;
        lock_of(&self.unpurged).extend(committed);
        Ok(())
    }

    fn position(&self) -> Result<Option<String>, Error> {
        match std::fs::read_to_string(self.folder.join("position")) {
            Ok(position) => Ok(Some(position)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn set_position(&self, position: Option<&str>) -> Result<(), Error> {
        let path = self.folder.join("position");
        let Some(position) = position else {
            remove_file(&path)?;
            self.lost.store(false, Ordering::Release);
            return Ok(());
        };
        // The lock of the indexes keeps a loss from coming between.
        let _open = lock_of(&self.open);
        if !self.lost.load(Ordering::Acquire) {
            let new = path.with_extension("new");
            let mut file = File::create(&new)?;
            file.write_all(position.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(new, path)?;
        }
        Ok(())
    }

    fn passages(
        &self,
        sought: &EngineSearch<'_>,
        offset: usize,
        limit: usize,
        visit: &mut dyn FnMut(PassageEntry) -> bool,
    ) -> Result<usize, Error> {
        match self.existing(&sought.area.tenant)? {
            Some(index) => index.passages(sought, offset, limit, visit),
            None => Ok(0),
        }
    }

    fn similar(
        &self,
        vector: &Vector,
        area: &Area,
        limit: usize,
    ) -> Result<Vec<(f32, SimilarPassage)>, Error> {
        match self.existing(&area.tenant)? {
            Some(index) => similar::find(&index.searcher(), index.fields, vector, area, limit),
            None => Ok(Vec::new()),
        }
    }

    fn lessons(&self, sought: &EngineSearch<'_>, limit: usize) -> Result<Vec<IndexedLesson>, Error> {
        match self.existing(&sought.area.tenant)? {
            Some(index) => index.lessons(sought, limit),
            None => Ok(Vec::new()),
        }
    }

    fn lesson(&self, tenant: &str, recording: &str) -> Result<Option<IndexedLesson>, Error> {
        let Some(index) = self.existing(tenant)? else { return Ok(None) };
        let found = index.lesson(recording)?;
        Ok(found.map(|lesson| IndexedLesson { tenant: tenant.into(), ..lesson }))
    }

    fn tenants(&self) -> Result<Vec<String>, Error> {
        let mut tenants = Vec::new();
        for entry in std::fs::read_dir(self.folder.join("tenants"))? {
            tenants.extend(entry?.file_name().into_string().ok().filter(|name| layout::valid_tenant(name)));
        }
        Ok(tenants)
    }

    fn recordings(&self, tenant: &str) -> Result<Vec<String>, Error> {
        self.existing(tenant)?.map_or(Ok(Vec::new()), |index| index.recordings())
    }

    fn languages(&self, tenant: &str) -> Result<Vec<String>, Error> {
        self.existing(tenant)?.map_or(Ok(Vec::new()), |index| index.languages())
    }

    fn has_words(&self, tenant: &str, recording: &str) -> Result<bool, Error> {
        self.existing(tenant)?.map_or(Ok(false), |index| index.has_words(recording))
    }

    /// Rewrites every segment that has removed documents, without them, and deletes the old files.
    ///
    /// tantivy itself only marks documents as removed. Their words would stay on disk until it
    /// happens to merge their segment.
    fn purge(&self) -> Result<usize, Error> {
        let mut purged = 0;
        let tenants: Vec<String> = lock_of(&self.unpurged).iter().cloned().collect();
        for tenant in tenants {
            // Before the work: what is removed meanwhile is for the next time.
            lock_of(&self.unpurged).remove(&tenant);
            match self.purge_tenant(&tenant) {
                Ok((segments, is_clean)) => {
                    purged += segments;
                    if !is_clean {
                        lock_of(&self.unpurged).insert(tenant);
                    }
                }
                // The words of others must not wait for it.
                Err(error) => {
                    tracing::warn!(tenant_id = tenant, %error, "search index not purged");
                    lock_of(&self.unpurged).insert(tenant);
                }
            }
        }
        Ok(purged)
    }
}

impl Embedded {
    /// Returns the number of segments rewritten, and whether no file has removed words any more.
    fn purge_tenant(&self, tenant: &str) -> Result<(usize, bool), Error> {
        let Some(index) = self.existing(tenant)? else { return Ok((0, true)) };
        let segments = index.segments_with_removed()?;
        if segments.is_empty() && !index.has_leftovers()? {
            return Ok((0, true));
        }
        let mut purged = 0;
        for segment in segments {
            let merge = self.write(|writers| Ok(writers.open(tenant, &index)?.merge(&[segment])))?;
            match merge.wait() {
                Ok(_) => purged += 1,
                // The engine is merging it on its own account, which purges it too.
                Err(error) => tracing::debug!(tenant_id = tenant, %error, "segment not purged"),
            }
        }
        // The reader keeps files open, and the engine deletes no open ones.
        index.reload()?;
        let collect = self.write(|writers| Ok(writers.open(tenant, &index)?.garbage_collect_files()))?;
        collect.wait()?;
        Ok((purged, index.segments_with_removed()?.is_empty() && !index.has_leftovers()?))
    }
}

/// True if the machine lacks memory, files or disk for it. The index itself may be intact.
fn is_shortage(error: &Error) -> bool {
    let error: &std::io::Error = match error {
        Error::Folder(error) => error,
        Error::Engine(TantivyError::IoError(error)) => error,
        Error::Engine(TantivyError::OpenReadError(OpenReadError::IoError { io_error, .. })) => io_error,
        Error::Engine(TantivyError::OpenDirectoryError(OpenDirectoryError::IoError { io_error, .. })) => {
            io_error
        }
        _ => return false,
    };
    let kinds = [ErrorKind::OutOfMemory, ErrorKind::StorageFull, ErrorKind::QuotaExceeded];
    kinds.contains(&error.kind()) || matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

fn lock_of<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn remove_file(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
