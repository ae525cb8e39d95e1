//! What the event stream promises.
