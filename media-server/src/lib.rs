//! HTTP: uploads, recordings, links, sessions, delivery, search and the player page.

pub mod search;
