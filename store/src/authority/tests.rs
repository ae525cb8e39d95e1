//! Keys and revocations are in force in time.
