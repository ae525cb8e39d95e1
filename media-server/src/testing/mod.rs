//! A real server on a real folder and a real Redis, for this crate's tests.
#![allow(clippy::unwrap_used)]

mod lesson;
mod redis;
mod s3;

use std::net::SocketAddr;
use std::time::Duration;

use chalkstream_config::{AdminListen, Secret, Settings, StoreKind};
use chalkstream_store::{Authority, Store, open};
use reqwest::{Client, Method, RequestBuilder};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use lesson::{Lesson, lesson, lesson_of_an_earlier_build};
pub use redis::Redis;
pub use s3::S3;

/// Storage, Redis and two tenants, without a server yet.
pub struct World {
    pub folder: TempDir,
    pub redis: Redis,
    pub settings: Settings,
    pub store: Store,
    /// The first tenant's key.
    pub key: String,
    /// The second tenant's key.
    pub other_key: String,
}

pub const TENANT: &str = "district";
pub const OTHER: &str = "elsewhere";

impl World {
    pub async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let mut settings = Settings::default();
        settings.store.path = folder.path().join("objects");
        Self::with(folder, settings).await
    }

    /// The same with its objects behind an S3 API.
    pub async fn on_s3() -> (Self, S3) {
        let folder = TempDir::new().unwrap();
        let s3 = S3::start(&folder.path().join("s3")).await;
        let mut settings = Settings::default();
        settings.store.kind = StoreKind::S3;
        settings.store.s3 = s3.settings();
        (Self::with(folder, settings).await, s3)
    }

    async fn with(folder: TempDir, mut settings: Settings) -> Self {
        let redis = Redis::start(folder.path()).await;
        settings.redis.url = Secret::new(redis.url());
        // No model that this machine may have.
        settings.speech.model_path = folder.path().join("models");
        let store = open(&settings.store).await.unwrap();
        let authority = Authority::load(store.clone(), Some(&settings.redis)).await.unwrap();
        let mut keys = Vec::new();
        for tenant in [TENANT, OTHER] {
            authority.create_tenant(tenant, tenant).await.unwrap();
            authority.create_signing_key(tenant).await.unwrap();
            keys.push(authority.create_api_key(tenant, "test").await.unwrap().text.to_string());
        }
        let other_key = keys.pop().unwrap();
        Self { folder, redis, settings, store, key: keys.pop().unwrap(), other_key }
    }

    pub async fn server(&self, name: &str) -> Server {
        let mut settings = self.settings.clone();
        settings.server.index_path = self.folder.path().join(name);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // The same port of another loopback address, which nothing else takes.
        let admin = SocketAddr::from(([127, 0, 0, 2], address.port()));
        settings.server.admin_listen = AdminListen(Some(admin));
        let stop = CancellationToken::new();
        let task = tokio::spawn(crate::serve_on(listener, settings, stop.clone()));
        let server = Server {
            address,
            admin,
            stop,
            task: Some(task),
            client: Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap(),
            key: self.key.clone(),
        };
        until("the server has read its keys", || async {
            let response = server.client.get(server.url("/openapi.json")).send().await.ok()?;
            response.status().is_success().then_some(())
        })
        .await;
        server
    }
}

/// A server of this process, stopped when dropped.
pub struct Server {
    pub address: SocketAddr,
    /// The operators' address.
    pub admin: SocketAddr,
    pub stop: CancellationToken,
    /// The server's result.
    pub task: Option<JoinHandle<Result<(), crate::Error>>>,
    pub client: Client,
    pub key: String,
}

impl Server {
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A request with the first tenant's key.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path)).bearer_auth(&self.key)
    }

    /// A viewer's request: no key.
    pub fn open(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// The metrics as text.
    pub async fn metrics(&self) -> String {
        let response = self.client.get(format!("http://{}/metrics", self.admin)).send().await.unwrap();
        response.text().await.unwrap()
    }

    /// Waits until the search index has every transcript.
    pub async fn searches(&self) {
        until("search is ready", || async {
            let response = self.open(Method::GET, "/readyz").send().await.ok()?;
            let body: serde_json::Value = response.json().await.ok()?;
            (body["search"] == true).then_some(())
        })
        .await;
    }

    pub fn tus(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).header("tus-resumable", "1.0.0")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Repeats `ask` until it returns something, for at most 20 s.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, ask: impl Fn() -> F) -> T {
    let asked = async {
        loop {
            if let Some(response) = ask().await {
                return response;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asked).await.unwrap_or_else(|_| panic!("never: {what}"))
}
