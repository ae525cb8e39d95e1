//! Deleting recordings. A tombstone makes a recording unreachable at once; a background task then
//! erases everything of it, even if its client goes away or this server stops.

mod erase;
mod local;
mod receipt;
mod routes;
mod service;

#[cfg(test)]
mod tests;

pub use erase::Eraser;
pub use local::LocalCopies;
pub use routes::routes;
pub use service::Deletions;
