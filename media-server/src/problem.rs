//! RFC 9457 problem details: what a client gets if a request fails. They never contain the text of
//! an internal error.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use chalkstream_store as store;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::reason::Reason;
use crate::token::RefusalReason;

/// A refusal or failure as the client sees it.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Only for the log.
    reason: Reason,
    /// Only for the log.
    cause: Option<String>,
    /// Only for the log, where the address does not have it.
    recording: Option<String>,
}

/// The part of a problem that is logged. Its response carries it to the layer that logs requests.
#[derive(Clone, Debug)]
pub struct ProblemRecord {
    code: &'static str,
    reason: Reason,
    cause: Option<String>,
    recording: Option<String>,
}

impl ProblemRecord {
    /// Logs the failure or refusal of a request with the response's `status`. `recording` is the
    /// one that the address names.
    pub fn log(&self, status: StatusCode, route: &str, recording: Option<&str>) {
        let Self { code, reason, cause, .. } = self;
        let recording_id = self.recording.as_deref().or(recording);
        let (status, error) = (status.as_u16(), cause.as_deref());
        if status >= 500 && cause.is_some() {
            tracing::error!(code, recording_id, route, status, error, "request failed");
        } else {
            let reason = reason.as_str();
            tracing::debug!(code, reason, recording_id, route, status, error, "request refused");
        }
    }
}

/// The body of a problem.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// `urn:chalkstream:problem:{code}`.
    #[serde(rename = "type")]
    kind: String,
    /// The HTTP status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// One plain sentence.
    detail: String,
    /// Stable, for programs.
    code: &'static str,
}

impl Problem {
    /// A problem with a stable `code` and one plain sentence.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            headers: Vec::new(),
            reason: Reason::SeeCode,
            cause: None,
            recording: None,
        }
    }

    /// 400.
    pub fn invalid(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 401, with the accepted scheme.
    pub fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "An API key is needed: Authorization: Bearer cs_…",
        )
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 404. Its reason is an unknown id, unless [`Problem::because`] gives another.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing at this address.")
            .because(Reason::UnknownId)
    }

    /// 403 for a session that asks for something that is not its own. The response does not say
    /// whether it exists; the log has the reason.
    pub fn forbidden(reason: Reason) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "This link or session does not give access to this.")
            .because(reason)
    }

    /// 503: try again in some seconds.
    pub fn unavailable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_after_s(2)
    }

    /// 500; only the log gets `cause`.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        Self {
            cause: Some(cause.to_string()),
            ..Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Something went wrong on our side; it has been logged.",
            )
        }
    }

    /// Sets the reason that is logged.
    #[must_use]
    pub fn because(self, reason: Reason) -> Self {
        Self { reason, ..self }
    }

    /// Sets the recording that is logged, for an address that does not have it.
    #[must_use]
    pub fn with_recording(self, recording: &str) -> Self {
        Self { recording: Some(recording.to_owned()), ..self }
    }

    /// Adds a header to the response.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Adds `Retry-After`, in seconds.
    #[must_use]
    pub fn retry_after_s(self, seconds: u32) -> Self {
        self.with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// True if the same request may succeed later, because a service behind this server is away.
    pub fn is_transient(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The part that is logged, for the extensions of a response.
    pub fn record(&self) -> ProblemRecord {
        ProblemRecord {
            code: self.code,
            reason: self.reason,
            cause: self.cause.clone(),
            recording: self.recording.clone(),
        }
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        use store::Kind;
        let (status, code, detail) = match error.kind {
            Kind::NotFound => {
                let problem = Self::not_found().because(Reason::NotInStorage);
                return Self { cause: Some(error.to_string()), ..problem };
            }
            Kind::InvalidInput => (StatusCode::BAD_REQUEST, "invalid_input", "The request is not valid."),
            Kind::Conflict | Kind::Lost => {
                (StatusCode::CONFLICT, "conflict", "The recording's current state does not allow this.")
            }
            Kind::Unavailable => {
                let mut problem =
                    Self::unavailable("A service behind this server does not answer; try again shortly.");
                problem.cause = Some(error.to_string());
                return problem;
            }
            Kind::Corrupt | Kind::Internal => return Self::internal(error),
        };
        Self { cause: Some(error.to_string()), ..Self::new(status, code, detail) }
    }
}

impl From<RefusalReason> for Problem {
    fn from(refused: RefusalReason) -> Self {
        let (code, detail) = match refused {
            RefusalReason::Invalid => ("token_invalid", "This link is not valid."),
            RefusalReason::Expired => ("token_expired", "This link has expired; ask for a new one."),
            RefusalReason::Revoked => ("token_revoked", "This link has been withdrawn."),
            RefusalReason::LivesTooLong => (
                "token_lives_too_long",
                "This link is made to live longer than this server allows (playback.link_ttl_max_s).",
            ),
            RefusalReason::OldVersion => (
                "token_version",
                "This link has version 1, which is no longer accepted; links are made with version 2.",
            ),
            RefusalReason::IssuedInFuture => (
                "token_issued_in_future",
                "This link states that it was issued in the future; the clock of its maker is ahead.",
            ),
            RefusalReason::TimeInMs => (
                "token_time_in_ms",
                "A time in this link is in milliseconds; issued_at and expires_at are in seconds.",
            ),
        };
        Self::new(StatusCode::FORBIDDEN, code, detail).because(refused.into())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let record = self.record();
        let body = ProblemBody {
            kind: format!("urn:chalkstream:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: self.detail.into_owned(),
            code: self.code,
        };
        let mut response = (self.status, axum::Json(body)).into_response();
        response.extensions_mut().insert(record);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        response
    }
}
