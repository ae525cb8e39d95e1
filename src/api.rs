//! The server's HTTP API, as the commands use it.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use crate::exit::{Failure, Outcome};

/// A client of one server.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    /// Without a limit on the time to an answer: it comes after the last byte of a long body.
    patient: reqwest::Client,
    server: String,
    key: String,
}

/// Longest silence on a connection.
const SILENCE: Duration = Duration::from_secs(60);

impl Api {
    /// A client of the server at `server`.
    pub fn new(server: &str, key: &str) -> Outcome<Self> {
        let builder = || {
            reqwest::Client::builder()
                .connect_timeout(Duration::from_secs(10))
                .user_agent(concat!("chalkstream/", env!("CARGO_PKG_VERSION")))
        };
        let http = builder().read_timeout(SILENCE).build().map_err(unreachable)?;
        let patient = builder().build().map_err(unreachable)?;
        Ok(Self { http, patient, server: server.trim_end_matches('/').to_owned(), key: key.to_owned() })
    }

    /// A request with the key; `path` begins with a slash.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.server)).bearer_auth(&self.key)
    }

    /// A request with a body that may take long to send; the caller watches over its progress.
    pub fn upload(&self, method: Method, path: &str) -> RequestBuilder {
        self.patient.request(method, format!("{}{path}", self.server)).bearer_auth(&self.key)
    }

    /// Answers JSON.
    pub async fn json(&self, request: RequestBuilder) -> Outcome<Value> {
        let answer = expect(request.send().await.map_err(unreachable)?).await?;
        if answer.status() == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        answer.json().await.map_err(unreachable)
    }

    /// GET of JSON.
    pub async fn get(&self, path: &str) -> Outcome<Value> {
        self.json(self.request(Method::GET, path)).await
    }

    /// GET of JSON with a query.
    pub async fn find(&self, path: &str, query: &[(&str, &str)]) -> Outcome<Value> {
        let url = reqwest::Url::parse_with_params(&format!("{}{path}", self.server), query)
            .map_err(|error| Failure::usage(format!("{} is not an address: {error}", self.server)))?;
        self.json(self.http.get(url).bearer_auth(&self.key)).await
    }
}

/// A request that got no answer.
pub fn unreachable(error: reqwest::Error) -> Failure {
    // The URL may hold a signed link.
    Failure::failed(
        "unreachable",
        format!("the server cannot be reached: {:#}", anyhow::Error::from(error.without_url())),
    )
}

/// Turns a refusal into its own sentence.
pub async fn expect(answer: Response) -> Outcome<Response> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let problem: Value = answer.json().await.unwrap_or_default();
    let code = problem["code"].as_str().unwrap_or("http").to_owned();
    let said = problem["detail"].as_str().or(problem["title"].as_str()).map(str::to_owned);
    let message = said.unwrap_or_else(|| format!("the server answered {status}"));
    Err(match status {
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => Failure::input(code, message),
        _ => Failure::failed(code, message),
    })
}
