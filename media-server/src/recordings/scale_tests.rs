//! Lists of a tenant with a hundred thousand recordings.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use chalkstream_store::{
    Error, Kind, Listed, Manifest, ObjectBody, ObjectFacts, Objects, Part, Result, State, Store, layout,
    listing, open,
};
use reqwest::Method;
use serde_json::json;

use super::Lists;
use crate::delivery::tests::session;
use crate::testing::{Server, TENANT, World, lesson};

/// Storage that counts its calls, and has lost some objects since it listed them.
pub struct Counted {
    inner: Store,
    calls: Arc<AtomicU64>,
    lost: HashSet<String>,
}

impl Counted {
    fn over(inner: Store) -> (Store, Arc<AtomicU64>) {
        let calls = Arc::<AtomicU64>::default();
        (Arc::new(Self { inner, calls: Arc::clone(&calls), lost: HashSet::new() }), calls)
    }

    pub fn without(inner: Store, lost: HashSet<String>) -> Store {
        Arc::new(Self { inner, calls: Arc::default(), lost })
    }

    fn store(&self) -> &Store {
        self.calls.fetch_add(1, Ordering::SeqCst);
        &self.inner
    }
}

#[async_trait]
impl Objects for Counted {
    async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        self.store().put(key, body).await
    }
    async fn put_file(&self, key: &str, path: &Path) -> Result<ObjectFacts> {
        self.store().put_file(key, path).await
    }
    async fn get(&self, key: &str) -> Result<Bytes> {
        if self.lost.contains(key) {
            return Err(Error::new(Kind::NotFound, "lost"));
        }
        self.store().get(key).await
    }
    async fn read(&self, key: &str, range: Option<Range<u64>>) -> Result<ObjectBody> {
        self.store().read(key, range).await
    }
    async fn head(&self, key: &str) -> Result<u64> {
        self.store().head(key).await
    }
    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>> {
        self.store().list(prefix, after, limit).await
    }
    async fn list_dirs(&self, prefix: &str) -> Result<Vec<String>> {
        self.store().list_dirs(prefix).await
    }
    async fn delete(&self, key: &str) -> Result<()> {
        self.store().delete(key).await
    }
    async fn delete_many(&self, keys: &[String]) -> Result<()> {
        self.store().delete_many(keys).await
    }
    async fn create_multipart(&self, key: &str) -> Result<String> {
        self.store().create_multipart(key).await
    }
    async fn put_part(&self, key: &str, upload: &str, number: u32, body: Bytes) -> Result<Part> {
        self.store().put_part(key, upload, number, body).await
    }
    async fn complete_multipart(&self, key: &str, upload: &str, parts: &[Part]) -> Result<()> {
        self.store().complete_multipart(key, upload, parts).await
    }
    async fn abort_multipart(&self, key: &str, upload: &str) -> Result<()> {
        self.store().abort_multipart(key, upload).await
    }
    fn min_part_bytes(&self) -> u64 {
        self.inner.min_part_bytes()
    }
    fn local_path(&self, key: &str) -> Option<PathBuf> {
        self.inner.local_path(key)
    }
    async fn probe(&self) -> Result<()> {
        self.store().probe().await
    }
}

/// Writes recordings as files, a lesson every 200 s back from now: a hundred thousand are some
/// seven months of a national programme. Every hundredth has failed.
fn generate(root: &Path, count: u64) {
    let now_ms = crate::clock::now_ms();
    let mut template = Manifest::new(TENANT, "RECORDING");
    (template.title, template.uploader) = ("Equivalent fractions, year 5".into(), "teacher-1234".into());
    template.fence = now_ms;
    let bodies: Vec<(State, String)> = [State::Ready, State::Failed]
        .into_iter()
        .map(|state| (state, serde_json::to_string(&Manifest { state, ..template.clone() }).unwrap()))
        .collect();
    let write = |key: &str, body: &str| {
        let path = root.join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, body).unwrap();
    };
    let write_one = |at: u64| {
        let made = now_ms - at * 200_000;
        let time = uuid::Timestamp::from_unix(uuid::NoContext, made / 1000, (made % 1000) as u32 * 1_000_000);
        let id = uuid::Uuid::new_v7(time).hyphenated().to_string();
        let (state, body) = &bodies[usize::from(at % 100 == 99)];
        let body = body.replace("RECORDING", &id);
        write(&layout::manifest_key(TENANT, &id, now_ms), &body);
        write(&layout::list_key(TENANT, state.as_str(), &id), &body);
    };
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let write_one = &write_one;
            scope.spawn(move || (thread..count).step_by(4).for_each(write_one));
        }
    });
}

async fn failed(lists: &Lists) -> usize {
    lists.page(TENANT, Some(State::Failed), None, 50).await.unwrap().recordings.len()
}

/// Calls and time of the first page of failed recordings, on a server that has read nothing yet.
async fn measure(what: &str, store: &Store) -> (u64, Duration) {
    let (counted, calls) = Counted::over(store.clone());
    let (lists, started) = (Lists::new(counted), Instant::now());
    let found = failed(&lists).await;
    let (first, taken) = (calls.load(Ordering::SeqCst), started.elapsed());
    let started = Instant::now();
    assert_eq!(failed(&lists).await, found);
    let second = calls.load(Ordering::SeqCst) - first;
    println!(
        "{what}: {found} failed in {first} storage calls, {taken:?}; again in {second}, {:?}",
        started.elapsed()
    );
    (first, taken)
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_recordings_of_a_hundred_thousand_are_listed_at_once() {
    let world = World::new().await;
    let objects = &world.settings.store.path;
    let started = Instant::now();
    generate(objects, 1_000);
    // Before the lists are built it is as it was in earlier builds.
    let (before, _) = measure("1,000 recordings, from manifests", &world.store).await;
    assert!(before > 2_000);
    std::fs::remove_dir_all(objects.join(TENANT)).unwrap();
    generate(objects, 100_000);
    println!("generated in {:?}", started.elapsed());
    for state in listing::states() {
        listing::copy_newest(&world.store, TENANT, state).await.unwrap();
    }
    let built = json!({ "at_ms": crate::clock::now_ms() }).to_string();
    world.store.put(&layout::lists_built_key(TENANT), Bytes::from(built)).await.unwrap();

    let (calls, taken) = measure("100,000 recordings, from lists", &world.store).await;
    assert!(calls <= 20 && taken <= Duration::from_millis(50), "{calls} calls, {taken:?}");

    let lesson = lesson(&world.store, TENANT).await;
    let started = Instant::now();
    let server = world.server("a").await;
    let base = session(&server, json!({ "recording": lesson.id })).await;
    let segment =
        server.open(Method::GET, &format!("{base}hls/video/9/v240/00001.m4s")).send().await.unwrap();
    assert!(segment.status().is_success());
    let delivers = started.elapsed();
    println!("a new server delivers after {delivers:?}");
    assert!(delivers <= Duration::from_secs(2));
    let first = request(&server, "/v1/recordings?state=failed").await;
    // The best of five: meanwhile the new server reads all entries for its search index.
    let mut second = request(&server, "/v1/recordings?state=failed").await;
    for _ in 0..4 {
        second = second.min(request(&server, "/v1/recordings?state=failed").await);
    }
    let all = request(&server, "/v1/recordings").await;
    println!("over HTTP: failed {first:?}, again {second:?}, all {all:?}");
    assert!(second <= Duration::from_millis(50));
}

async fn request(server: &Server, path: &str) -> Duration {
    let started = Instant::now();
    let response = server.request(Method::GET, path).send().await.unwrap();
    let body: serde_json::Value = response.json().await.unwrap();
    assert_eq!(body["recordings"].as_array().unwrap().len(), 50);
    started.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_recordings_in_a_bucket_take_as_few_requests() {
    let (world, _s3) = World::on_s3().await;
    // Few, because the test's S3 API walks through all of the bucket for each listing.
    generate(&world.folder.path().join("s3/lessons"), 2_000);
    listing::copy_newest(&world.store, TENANT, State::Failed).await.unwrap();
    let built = json!({ "at_ms": crate::clock::now_ms() }).to_string();
    world.store.put(&layout::lists_built_key(TENANT), Bytes::from(built)).await.unwrap();
    let (calls, _) =
        measure("2,000 recordings in a bucket, from lists", &open(&world.settings.store).await.unwrap())
            .await;
    assert!(calls <= 20, "{calls}");
}
