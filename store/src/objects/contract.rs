//! The contract every backend keeps.
