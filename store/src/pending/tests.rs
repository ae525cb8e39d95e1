//! One upload, one job.
