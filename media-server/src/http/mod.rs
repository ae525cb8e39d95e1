//! The HTTP layer under the routes: connections, the request log, headers on every response.

mod accept;
mod addresses;
mod compress;
mod cors;
mod layers;
mod stall;

pub use accept::{ConnectionLimits, accept_loop};
pub use layers::apply;
