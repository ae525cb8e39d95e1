//! Problems that several requests on uploads respond with.

use http::StatusCode;

use super::protocol::UPLOAD_OFFSET;
use super::state::Upload;
use crate::problem::Problem;

/// 410: the upload is over and cannot be finished.
pub fn gone() -> Problem {
    Problem::new(StatusCode::GONE, "upload_gone", "This upload is gone; start a new one.")
}

/// 423: another request writes to the upload.
pub fn locked() -> Problem {
    Problem::new(
        StatusCode::LOCKED,
        "upload_locked",
        "Another request is writing to this upload; try again shortly.",
    )
    .retry_after_s(2)
}

/// 409: the client's offset is not where the durable bytes end.
pub fn wrong_offset(upload: &Upload) -> Problem {
    Problem::new(StatusCode::CONFLICT, "upload_offset", "Upload-Offset must be where the durable bytes end.")
        .with_header(UPLOAD_OFFSET, upload.offset().into())
}
