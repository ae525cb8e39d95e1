//! Lists of recordings by state, kept in storage next to the manifests.
//!
//! An entry is an object under its recording's state, with a copy of the manifest's short fields.
//! It follows the manifest: a reader of lists never opens one. Storage has no transactions, so a
//! crash may leave an entry missing, or one too many. The sweep of pending recordings and
//! [`build::verify`] put that right.

pub mod build;
mod copies;
pub(crate) mod entry;

#[cfg(test)]
mod tests;

pub use copies::{Copy, copy_newest, read_copies, remove_copies};
pub use entry::{ListEntry, all, expect_corrections, page, read, remove, repair, states, summary};
