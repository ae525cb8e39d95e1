//! Servers for the tests: a real Redis (or several), and a real S3 API in this process that fails
//! on request.

mod private_ca;
mod redis_fleet;
mod redis_process;
mod redis_server;
mod s3_server;
mod tls_redis;

pub(crate) use private_ca::PrivateCa;
pub(crate) use redis_fleet::RedisFleet;
pub(crate) use redis_server::RedisServer;
pub(crate) use s3_server::S3Server;
pub(crate) use tls_redis::TlsRedis;

use std::sync::Arc;

use crate::Store;
use crate::objects::FsObjects;

/// Objects in a folder that goes with the test.
pub(crate) async fn folder() -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store: Store = Arc::new(FsObjects::open(folder.path()).await.unwrap());
    (store, folder)
}
