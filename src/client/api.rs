//! Requests to the server's HTTP API.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use crate::exit::{CommandError, CommandResult};

/// A client of one server.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    /// No read timeout, because the response comes only after the last byte of a long body.
    http_upload: reqwest::Client,
    server: String,
    key: String,
}

/// Maximum time without a byte on a connection.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

impl Api {
    /// A client of the server at `server`.
    pub fn new(server: &str, key: &str) -> CommandResult<Self> {
        let builder = || {
            reqwest::Client::builder()
                .connect_timeout(Duration::from_secs(10))
                .user_agent(concat!("chalkstream/", env!("CARGO_PKG_VERSION")))
        };
        let http = builder().read_timeout(READ_TIMEOUT).build().map_err(unreachable)?;
        let http_upload = builder().build().map_err(unreachable)?;
        Ok(Self { http, http_upload, server: server.trim_end_matches('/').to_owned(), key: key.to_owned() })
    }

    /// Builds a request with the key; `path` starts with a slash.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.server)).bearer_auth(&self.key)
    }

    /// Builds a request whose body may take long to send; the caller watches its progress.
    pub fn upload(&self, method: Method, path: &str) -> RequestBuilder {
        self.http_upload.request(method, format!("{}{path}", self.server)).bearer_auth(&self.key)
    }

    /// Sends a request and returns the JSON of its response.
    pub async fn json(&self, request: RequestBuilder) -> CommandResult<Value> {
        let response = expect_success(request.send().await.map_err(unreachable)?).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        response.json().await.map_err(unreachable)
    }

    /// Gets JSON.
    pub async fn get(&self, path: &str) -> CommandResult<Value> {
        self.json(self.request(Method::GET, path)).await
    }

    /// Gets JSON with a query.
    pub async fn get_with_query(&self, path: &str, query: &[(&str, &str)]) -> CommandResult<Value> {
        let url = reqwest::Url::parse_with_params(&format!("{}{path}", self.server), query)
            .map_err(|error| CommandError::usage(format!("{} is not an address: {error}", self.server)))?;
        self.json(self.http.get(url).bearer_auth(&self.key)).await
    }
}

/// The error of a request without a response.
pub fn unreachable(error: reqwest::Error) -> CommandError {
    // The URL may hold a signed link.
    CommandError::failed(
        "unreachable",
        format!("the server cannot be reached: {:#}", anyhow::Error::from(error.without_url())),
    )
}

/// Returns a successful response, or the server's problem as an error.
pub async fn expect_success(response: Response) -> CommandResult<Response> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let problem: Value = response.json().await.unwrap_or_default();
    let code = problem["code"].as_str().unwrap_or("http").to_owned();
    let sentence = problem["detail"].as_str().or(problem["title"].as_str()).map(str::to_owned);
    let message = sentence.unwrap_or_else(|| format!("the server responded with {status}"));
    Err(match status {
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
            CommandError::input(code, message)
        }
        _ => CommandError::failed(code, message),
    })
}
