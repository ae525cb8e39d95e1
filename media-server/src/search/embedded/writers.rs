//! The writers of all tenants' indexes: few at once, within one budget of memory.

use std::sync::Arc;

use tantivy::IndexWriter;

use super::super::engine::Error;
use super::tenant::TenantIndex;

/// Memory of all writers before they write to disk.
const MEMORY_BYTES: usize = 32 << 20;
/// Writers at once. The feed reads one tenant after the other, so it needs few.
const MAX_WRITERS: usize = 2;

/// The open writers. After an error they do not work any more: new ones begin with what is
/// committed.
#[derive(Default)]
pub struct Writers {
    /// The least recently used first.
    open: Vec<TenantWriter>,
    /// Tenants of which something was committed since the last `commit`.
    committed: Vec<String>,
}

struct TenantWriter {
    tenant: String,
    index: Arc<TenantIndex>,
    writer: IndexWriter,
    /// True if it has changes that are not committed.
    changed: bool,
}

impl Writers {
    /// A tenant's writer, for a change.
    pub fn change(&mut self, tenant: &str, index: &Arc<TenantIndex>) -> Result<&mut IndexWriter, Error> {
        self.writer(tenant, index).map(|writer| {
            writer.changed = true;
            &mut writer.writer
        })
    }

    /// A tenant's writer, for work on what is committed.
    pub fn open(&mut self, tenant: &str, index: &Arc<TenantIndex>) -> Result<&mut IndexWriter, Error> {
        self.writer(tenant, index).map(|writer| &mut writer.writer)
    }

    /// True if a tenant has changes that are not committed.
    pub fn has_changed(&self, tenant: &str) -> bool {
        self.open.iter().any(|writer| writer.tenant == tenant && writer.changed)
    }

    /// Commits all changes. Returns the tenants that had some.
    pub fn commit(&mut self) -> Result<Vec<String>, Error> {
        for at in 0..self.open.len() {
            self.commit_one(at)?;
        }
        Ok(std::mem::take(&mut self.committed))
    }

    fn commit_one(&mut self, at: usize) -> Result<(), Error> {
        let entry = &mut self.open[at];
        if !entry.changed {
            return Ok(());
        }
        entry.writer.commit()?;
        entry.changed = false;
        self.committed.push(entry.tenant.clone());
        entry.index.reload()
    }

    fn writer(&mut self, tenant: &str, index: &Arc<TenantIndex>) -> Result<&mut TenantWriter, Error> {
        let entry = match self.open.iter().position(|writer| writer.tenant == tenant) {
            Some(at) => self.open.remove(at),
            None => {
                if self.open.len() >= MAX_WRITERS {
                    self.close_oldest()?;
                }
                let writer = index.writer(MEMORY_BYTES / MAX_WRITERS)?;
                TenantWriter { tenant: tenant.into(), index: index.clone(), writer, changed: false }
            }
        };
        self.open.push(entry);
        let last = self.open.len() - 1;
        Ok(&mut self.open[last])
    }

    /// Commits and closes the writer that was used least recently. Its merges end first: cut off
    /// again and again, large ones would never be done.
    fn close_oldest(&mut self) -> Result<(), Error> {
        self.commit_one(0)?;
        self.open.remove(0).writer.wait_merging_threads()?;
        Ok(())
    }
}
