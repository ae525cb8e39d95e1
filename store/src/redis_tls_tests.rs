//! Redis behind TLS, with certificates of a private authority.

use std::time::{Duration, Instant};

use chalkstream_config::{Redis, Secret};

use crate::testing::{PrivateCa, TlsRedis};
use crate::{Leases, Queue};

#[tokio::test]
async fn a_private_authority_is_trusted_if_it_is_set_and_not_otherwise() {
    let ca = PrivateCa::new();
    let server = TlsRedis::start(&ca, false);
    let trusting = Redis { ca_path: ca.ca_path(), ..server.settings() };
    let queue = patiently(&trusting).await;
    assert_eq!(queue.eviction_policy().await.unwrap().as_deref(), Some("noeviction"));
    let leases = Leases::connect(&trusting).unwrap();
    assert!(leases.take("upload", "s1", Duration::from_secs(60)).await.unwrap());

    assert!(Queue::connect(&server.settings()).await.is_err(), "nobody we trust has signed it");
    let other = Redis { ca_path: PrivateCa::new().ca_path(), ..server.settings() };
    assert!(Queue::connect(&other).await.is_err(), "another authority");
    let wrong_name = server.settings().url.expose().replace("127.0.0.1", "localhost");
    let wrong_name = Redis { url: Secret::new(wrong_name), ..trusting.clone() };
    assert!(Queue::connect(&wrong_name).await.is_err(), "the certificate is of another name");
    let missing = Redis { ca_path: "/nowhere/ca.pem".into(), ..trusting };
    assert!(Queue::connect_lazy(&missing).is_err());
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_gets_ours() {
    let ca = PrivateCa::new();
    let server = TlsRedis::start(&ca, true);
    let without = Redis { ca_path: ca.ca_path(), ..server.settings() };
    let with = Redis { client_cert_path: ca.cert_path(), client_key_path: ca.key_path(), ..without.clone() };
    patiently(&with).await;
    assert!(Queue::connect(&without).await.is_err());
}

/// Connects as soon as the server is up.
async fn patiently(settings: &Redis) -> Queue {
    let limit = Instant::now() + Duration::from_secs(30);
    loop {
        match Queue::connect(settings).await {
            Ok(queue) => return queue,
            Err(error) => assert!(Instant::now() < limit, "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
