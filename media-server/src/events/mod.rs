//! Server-sent events: what happens to recordings, for platforms and player pages.

mod announce;
mod hub;
mod stream;

#[cfg(test)]
mod tests;

pub use announce::announce;
pub use hub::{Hub, News};
pub use stream::{Audience, Streams, last_event_id};
