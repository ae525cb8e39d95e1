//! One connection to Redis that comes back.
