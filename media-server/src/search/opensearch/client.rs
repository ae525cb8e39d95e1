//! Requests to an OpenSearch cluster. Each has a deadline, and each failure a kind.

use std::time::Duration;

use chalkstream_config::{OpenSearch as Settings, Secret};
use reqwest::{Certificate, Method, StatusCode, redirect};
use serde_json::Value;
use tokio::runtime::Handle;

use super::super::engine::Error;

/// Time for a change of many documents.
const WRITE_TIMEOUT: Duration = Duration::from_secs(120);
/// Time for a merge. One that takes longer goes on without us.
const MERGE_TIMEOUT: Duration = Duration::from_secs(600);
/// Longest kind of a failure that is kept.
const MAX_KIND_CHARS: usize = 80;

/// A client of one cluster. Its methods block.
pub struct Client {
    http: reqwest::Client,
    runtime: Handle,
    url: String,
    username: String,
    password: Secret,
    read_timeout: Duration,
}

/// What a request takes, and so how long it may.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    Read,
    Write,
    Merge,
}

impl Client {
    /// A client with the settings' address and credentials. Sends nothing yet.
    ///
    /// # Errors
    /// If the certificates cannot be read.
    pub fn new(settings: &Settings, runtime: Handle) -> Result<Self, Error> {
        let read_timeout = Duration::from_millis(settings.request_timeout_ms);
        let mut http = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(read_timeout);
        if !settings.ca_path.as_os_str().is_empty() {
            let pem = std::fs::read(&settings.ca_path)?;
            http = http.tls_certs_only(Certificate::from_pem_bundle(&pem).map_err(invalid)?);
        }
        Ok(Self {
            http: http.build().map_err(invalid)?,
            runtime,
            url: settings.url.trim_end_matches('/').to_owned(),
            username: settings.username.clone(),
            password: settings.password.clone(),
            read_timeout,
        })
    }

    /// Sends a request with a body of JSON.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the cluster does not answer, [`Error::Refused`] if it refuses.
    pub fn send(&self, method: Method, path: &str, body: &Value, effort: Effort) -> Result<Value, Error> {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.runtime.block_on(self.request(method, path, body, "application/json", effort))
    }

    /// Asks without a body.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn get(&self, path: &str) -> Result<Value, Error> {
        self.request(Method::GET, path, Vec::new(), "application/json", Effort::Read).await
    }

    /// Sends changes of documents. Succeeds if all of them do.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn bulk(&self, path: &str, lines: Vec<u8>) -> Result<(), Error> {
        let request = self.request(Method::POST, path, lines, "application/x-ndjson", Effort::Write);
        let done = self.runtime.block_on(request)?;
        if done["errors"] == Value::Bool(false) {
            return Ok(());
        }
        let items = done["items"].as_array().into_iter().flatten();
        let results = items.filter_map(|item| item.as_object()?.values().next());
        let failed: Vec<_> = results
            .filter(|result| !result["error"].is_null())
            .map(|result| failure(result["status"].as_u64().unwrap_or(0) as u16, result))
            .collect();
        // One that is refused would be refused again.
        let (outages, refusals): (Vec<_>, Vec<_>) = failed.into_iter().partition(Error::is_outage);
        let worst = refusals.into_iter().chain(outages).next();
        Err(worst.unwrap_or_else(|| Error::Unavailable("incomplete answer".into())))
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        content_type: &str,
        effort: Effort,
    ) -> Result<Value, Error> {
        let timeout = match effort {
            Effort::Read => self.read_timeout,
            Effort::Write => WRITE_TIMEOUT.max(self.read_timeout),
            Effort::Merge => MERGE_TIMEOUT.max(self.read_timeout),
        };
        let mut request = self.http.request(method, format!("{}/{path}", self.url)).timeout(timeout);
        if !self.username.is_empty() {
            request = request.basic_auth(&self.username, Some(self.password.expose()));
        }
        if !body.is_empty() {
            request = request.header("content-type", content_type).body(body);
        }
        let response = request.send().await.map_err(unavailable)?;
        let status = response.status();
        let body = response.bytes().await.map_err(unavailable)?;
        let body: Result<Value, _> = serde_json::from_slice(&body);
        if !status.is_success() {
            return Err(failure(status.as_u16(), &body.unwrap_or_default()));
        }
        // A proxy may answer for the cluster.
        body.map_err(|_| Error::Unavailable("answer not readable".into()))
    }
}

/// The response; `None` if what it is about does not exist.
pub fn existing(answer: Result<Value, Error>) -> Result<Option<Value>, Error> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(Error::Refused { status: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn unavailable(error: reqwest::Error) -> Error {
    let what = match &error {
        error if error.is_timeout() => "timed out",
        error if error.is_connect() => "cannot connect",
        _ => "connection lost",
    };
    Error::Unavailable(what.into())
}

fn invalid(error: reqwest::Error) -> Error {
    Error::Folder(std::io::Error::new(std::io::ErrorKind::InvalidInput, error.without_url()))
}

fn failure(status: u16, body: &Value) -> Error {
    let error = &body["error"];
    let kind = error["type"].as_str().or(error.as_str()).unwrap_or("unknown");
    let kind: String = kind.chars().filter(|c| c.is_ascii_graphic()).take(MAX_KIND_CHARS).collect();
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let is_passing = code.is_server_error()
        || matches!(code, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
        // A disk that is nearly full makes indexes read-only, until there is room.
        || kind == "cluster_block_exception";
    match is_passing {
        true => Error::Unavailable(format!("{status} {kind}")),
        false => Error::Refused { status, kind },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_failure_passes_or_is_a_refusal_and_quotes_no_words() {
        let said = |status, kind: &str| {
            failure(status, &json!({ "error": { "type": kind, "reason": "[secret words]" } }))
        };
        for passing in [said(503, "x"), said(429, "rejected"), said(403, "cluster_block_exception")] {
            assert!(passing.is_outage(), "{passing}");
        }
        let refused = said(400, "parsing_exception");
        assert!(!refused.is_outage());
        assert_eq!(refused.to_string(), "search cluster refused a request: 400 parsing_exception");
        assert!(failure(502, &Value::Null).is_outage());
        assert!(existing(Err(said(404, "index_not_found_exception"))).is_ok_and(|found| found.is_none()));
    }
}
