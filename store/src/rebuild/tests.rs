//! Nothing acknowledged is lost with Redis.
