//! Server-sent events: what happens to recordings, as it happens, for platforms and player pages.

mod hub;
mod stream;

pub use hub::Hub;
pub use stream::{Audience, answer, last_event_id};
