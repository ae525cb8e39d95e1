//! Finds the Redis server that holds our keys: the one there is, the primary that sentinels name,
//! or the primary of our slot in a cluster.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chalkstream_config::{self as config, RedisTopology};
use redis::aio::MultiplexedConnection;
use redis::cluster::{ClusterClient, ClusterConfig};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    RedisResult, TlsCertificates, Value,
};
use tokio::sync::Mutex;

use crate::{Error, Result};

/// Time to connect to one server.
pub(crate) const CONNECT: Duration = Duration::from_secs(1);

/// Opens connections. Clones share what sentinels said.
#[derive(Clone)]
pub(crate) struct RedisClient {
    topology: Arc<Topology>,
    limit: Duration,
}

enum Topology {
    Single(Client),
    Sentinel(Mutex<SentinelClient>),
    Cluster { client: ClusterClient, route: Route },
}

/// An open connection. Clones share it.
#[derive(Clone)]
pub(crate) enum OpenConnection {
    /// To one server.
    Server(MultiplexedConnection),
    /// To a cluster. All our keys are in one slot, so every command goes to its primary.
    Cluster(Box<ClusterConnection>, Route),
}

impl RedisClient {
    /// Nothing is sent yet. The URL may hold a password, so it is in no error.
    pub(crate) fn new(settings: &config::Redis) -> Result<Self> {
        let addresses = settings
            .addresses()
            .into_iter()
            .map(|url| url.into_connection_info().map_err(|_| Error::invalid("redis.url cannot be read")));
        let addresses: Vec<ConnectionInfo> = addresses.collect::<Result<_>>()?;
        let tls = certificates(settings)?;
        // One that does not answer must not keep us from the next.
        let limit = CONNECT * (addresses.len() as u32 + 1);
        let open = |result: RedisResult<Topology>| {
            result.map_err(|_| Error::invalid("redis.url cannot be used, or the files for its TLS"))
        };
        open(match settings.topology {
            RedisTopology::Single => single(addresses, tls),
            RedisTopology::Sentinel => sentinel(settings, addresses, tls),
            RedisTopology::Cluster => cluster(settings, addresses, tls),
        })
        .map(|topology| Self { topology: Arc::new(topology), limit })
    }

    /// Longest time that [`RedisClient::connect`] should be given.
    pub(crate) fn connect_limit(&self) -> Duration {
        self.limit
    }

    /// Connects to the server that holds our keys; replies may take `answer`.
    pub(crate) async fn connect(&self, answer: Duration) -> RedisResult<OpenConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(answer));
        match &*self.topology {
            Topology::Single(client) => {
                client.get_multiplexed_async_connection_with_config(&config).await.map(OpenConnection::Server)
            }
            Topology::Sentinel(client) => {
                let primary = client.lock().await.async_get_client().await?;
                primary
                    .get_multiplexed_async_connection_with_config(&config)
                    .await
                    .map(OpenConnection::Server)
            }
            Topology::Cluster { client, route } => {
                let config =
                    ClusterConfig::new().set_connection_timeout(CONNECT).set_response_timeout(answer);
                let connection = client.get_async_connection_with_config(config).await?;
                Ok(OpenConnection::Cluster(Box::new(connection), *route))
            }
        }
    }
}

impl OpenConnection {
    /// Sends a command to the server that holds our keys.
    pub(crate) async fn send(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::Server(connection) => command.query_async(connection).await,
            Self::Cluster(connection, route) => {
                let node = SingleNodeRoutingInfo::SpecificNode(*route);
                // A server's refusal comes as a value here.
                connection
                    .route_command(command.clone(), RoutingInfo::SingleNode(node))
                    .await?
                    .extract_error()
            }
        }
    }
}

fn single(addresses: Vec<ConnectionInfo>, tls: Option<TlsCertificates>) -> RedisResult<Topology> {
    let address = addresses.into_iter().next();
    let address = address.ok_or((ErrorKind::InvalidClientConfig, "no address"))?;
    match tls {
        Some(tls) => Client::build_with_tls(address, tls),
        None => Client::open(address),
    }
    .map(Topology::Single)
}

fn cluster(
    settings: &config::Redis,
    addresses: Vec<ConnectionInfo>,
    tls: Option<TlsCertificates>,
) -> RedisResult<Topology> {
    // A slot that has moved is found by a new connection, as a new primary is: one way for all.
    let mut builder = ClusterClient::builder(addresses).retries(0);
    if let Some(tls) = tls {
        builder = builder.certs(tls);
    }
    let route = Route::with_key(base(settings), SlotAddr::Master);
    Ok(Topology::Cluster { client: builder.build()?, route })
}

fn sentinel(
    settings: &config::Redis,
    addresses: Vec<ConnectionInfo>,
    tls: Option<TlsCertificates>,
) -> RedisResult<Topology> {
    let sentinels: Vec<_> = addresses.iter().map(|address| address.addr().clone()).collect();
    let is_tls = sentinels.iter().any(|address| matches!(address, redis::ConnectionAddr::TcpTls { .. }));
    let service = &settings.sentinel_service;
    let mut builder = SentinelClientBuilder::new(sentinels, service, SentinelServerType::Master)?;
    if let Some(first) = addresses.first() {
        let server = first.redis_settings();
        builder = builder.set_client_to_redis_db(server.db()).set_client_to_redis_protocol(server.protocol());
        if let Some(username) = server.username() {
            builder = builder.set_client_to_redis_username(username);
        }
        if let Some(password) = server.password() {
            builder = builder.set_client_to_redis_password(password);
        }
    }
    if !settings.sentinel_username.is_empty() {
        builder = builder.set_client_to_sentinel_username(&settings.sentinel_username);
    }
    if !settings.sentinel_password.is_empty() {
        builder = builder.set_client_to_sentinel_password(settings.sentinel_password.expose());
    }
    if is_tls {
        builder = builder.set_client_to_redis_tls_mode(redis::TlsMode::Secure);
        if let Some(tls) = tls {
            builder = builder
                .set_client_to_redis_certificates(tls.clone())
                .set_client_to_sentinel_certificates(tls);
        }
    }
    builder.build().map(|client| Topology::Sentinel(Mutex::new(client)))
}

/// The files for TLS; `None` where the public authorities do.
fn certificates(settings: &config::Redis) -> Result<Option<TlsCertificates>> {
    let read = |path: &Path, setting: &str| match path.as_os_str().is_empty() {
        true => Ok(None),
        false => std::fs::read(path)
            .map(Some)
            .map_err(|e| Error::invalid(format!("redis.{setting} cannot be read")).with_source(e)),
    };
    let root_cert = read(&settings.ca_path, "ca_path")?;
    let client_cert = read(&settings.client_cert_path, "client_cert_path")?;
    let client_key = read(&settings.client_key_path, "client_key_path")?;
    let client_tls = client_cert
        .zip(client_key)
        .map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
    let is_given = root_cert.is_some() || client_tls.is_some();
    Ok(is_given.then_some(TlsCertificates { client_tls, root_cert }))
}

/// Prefix of every key, in a hash tag so that all lie in one slot.
pub(crate) fn base(settings: &config::Redis) -> String {
    format!("{{{}}}", settings.prefix)
}
