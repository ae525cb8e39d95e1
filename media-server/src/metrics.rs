//! The server's metrics. No label names a recording, a viewer, a token or a tenant.

use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chalkstream_store::{CLASSES, QueueStats, WorkerView};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

/// Labels of a finished request.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct RequestLabels {
    /// The matched route, never the path.
    pub route: String,
    /// The method.
    pub method: String,
    /// The status.
    pub status: u16,
}

/// Labels of a response time: fewer, because each has an entire histogram.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct RouteLabels {
    /// The matched route.
    pub route: String,
}

/// The reason of a refusal.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ReasonLabels {
    /// A stable code.
    pub reason: &'static str,
}

/// The state of jobs or steps in the queue.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct StateLabels {
    /// A stable code.
    pub state: &'static str,
}

/// The class of steps in the queue.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ClassLabels {
    /// Its name.
    pub class: &'static str,
}

/// A cache of the server.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct CacheLabels {
    /// Its name.
    pub cache: &'static str,
}

/// Jobs or steps by their state.
type CountByState = Family<StateLabels, Gauge<u64, AtomicU64>>;

/// Labels of a number of workers.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct WorkerLabels {
    /// `working` or `paused`.
    pub state: &'static str,
    /// Code of the failure that paused it; empty while it works.
    pub code: String,
}

/// All the server's metrics.
pub struct Metrics {
    registry: Registry,
    /// Held while the text is made: it sets what is read from the queue.
    render: Mutex<()>,
    /// Requests responded to.
    pub requests: Family<RequestLabels, Counter>,
    /// Time to the first byte of a response, in seconds.
    pub request_seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    /// Tokens refused.
    pub tokens_refused: Family<ReasonLabels, Counter>,
    /// Bytes of uploads received.
    pub uploaded_bytes: Counter,
    /// Uploads acknowledged.
    pub uploads_finished: Counter,
    /// Bytes of media sent.
    pub delivered_bytes: Counter,
    /// Event streams open.
    pub event_streams: Gauge,
    /// Sessions made of links.
    pub sessions: Counter,
    /// Revocations that this server holds.
    pub revocations: Gauge,
    /// Jobs in the queue, read when the metrics are.
    queue_jobs: CountByState,
    /// Steps in the queue, read when the metrics are.
    queue_steps: CountByState,
    /// Steps of a class that can run, read when the metrics are.
    queue_ready_steps: Family<ClassLabels, Gauge<u64, AtomicU64>>,
    /// How long they have waited, read when the metrics are.
    queue_wait_seconds: Family<ClassLabels, Gauge<f64, AtomicU64>>,
    /// Leases lost with their worker, read when the metrics are.
    queue_lost_leases: Counter,
    /// Whether the queue answered.
    redis_up: Gauge,
    /// Age of keys and revocations, read when the metrics are.
    pub keys_age_seconds: Gauge<f64, AtomicU64>,
    caches: CacheMetrics,
    /// Workers that the queue knows, read when the metrics are.
    workers: Family<WorkerLabels, Gauge>,
    /// Deletions.
    pub deletions: DeletionMetrics,
}

/// The state of a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Entries.
    pub entries: u64,
    /// Their approximate size in bytes.
    pub bytes: u64,
    /// Lookups that found their entry.
    pub hits: u64,
    /// Lookups that did not.
    pub misses: u64,
}

impl CacheStats {
    /// The state of a cache.
    pub fn from_cache<K, V, W>(cache: &Cache<K, V, W>) -> Self
    where
        K: Eq + Hash,
        V: Clone,
        W: Weighter<K, V> + Clone,
    {
        Self {
            entries: cache.len() as u64,
            bytes: cache.weight(),
            hits: cache.hits(),
            misses: cache.misses(),
        }
    }
}

/// Metrics of caches, read when the metrics are.
#[derive(Default)]
struct CacheMetrics {
    entries: Family<CacheLabels, Gauge<u64, AtomicU64>>,
    bytes: Family<CacheLabels, Gauge<u64, AtomicU64>>,
    hits: Family<CacheLabels, Counter>,
    misses: Family<CacheLabels, Counter>,
}

/// Metrics of deletions.
#[derive(Clone, Default)]
pub struct DeletionMetrics {
    /// Deletions that this server was asked for.
    pub requested: Counter,
    /// Deletions that this server ended.
    pub erased: Counter,
    /// Deletions under way, whichever server works on them.
    pub open: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        fn seconds() -> Histogram {
            Histogram::new([0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0])
        }
        let mut metrics = Self {
            registry: Registry::with_prefix("chalkstream"),
            render: Mutex::default(),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            tokens_refused: Family::default(),
            uploaded_bytes: Counter::default(),
            uploads_finished: Counter::default(),
            delivered_bytes: Counter::default(),
            event_streams: Gauge::default(),
            sessions: Counter::default(),
            revocations: Gauge::default(),
            queue_jobs: Family::default(),
            queue_steps: Family::default(),
            queue_ready_steps: Family::default(),
            queue_wait_seconds: Family::default(),
            queue_lost_leases: Counter::default(),
            redis_up: Gauge::default(),
            keys_age_seconds: Gauge::default(),
            caches: CacheMetrics::default(),
            deletions: DeletionMetrics::default(),
            workers: Family::default(),
        };
        let r = &mut metrics.registry;
        r.register("http_requests", "Requests finished", metrics.requests.clone());
        r.register_with_unit(
            "http_request",
            "Time to the first byte of a response",
            Unit::Seconds,
            metrics.request_seconds.clone(),
        );
        r.register("tokens_refused", "Links and sessions refused", metrics.tokens_refused.clone());
        r.register_with_unit(
            "uploaded",
            "Upload bytes received",
            Unit::Bytes,
            metrics.uploaded_bytes.clone(),
        );
        r.register("uploads_finished", "Uploads acknowledged", metrics.uploads_finished.clone());
        r.register_with_unit("delivered", "Media bytes sent", Unit::Bytes, metrics.delivered_bytes.clone());
        r.register("event_streams", "Event streams open", metrics.event_streams.clone());
        r.register("sessions", "Sessions made of links", metrics.sessions.clone());
        r.register("revocations", "Revocations in memory, of all tenants", metrics.revocations.clone());
        r.register("queue_jobs", "Jobs that are not over, or failed", metrics.queue_jobs.clone());
        r.register("queue_steps", "Steps that can run, run, or wait to retry", metrics.queue_steps.clone());
        r.register("queue_ready_steps", "Steps that can run, by class", metrics.queue_ready_steps.clone());
        r.register_with_unit(
            "queue_wait",
            "Time that the next step of a class has waited, the longest of all tenants",
            Unit::Seconds,
            metrics.queue_wait_seconds.clone(),
        );
        r.register("queue_lost_leases", "Leases lost with their worker", metrics.queue_lost_leases.clone());
        r.register("redis_up", "Whether the queue answers this server", metrics.redis_up.clone());
        r.register_with_unit(
            "keys_age",
            "Time since this server read keys and revocations",
            Unit::Seconds,
            metrics.keys_age_seconds.clone(),
        );
        let caches = &metrics.caches;
        r.register("cache_entries", "Entries of a cache", caches.entries.clone());
        r.register_with_unit("cache", "Size of a cache", Unit::Bytes, caches.bytes.clone());
        r.register("cache_hits", "Lookups that found their entry", caches.hits.clone());
        r.register("cache_misses", "Lookups that did not", caches.misses.clone());
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        r.register("build", "The version that runs", build);
        let deletions = &metrics.deletions;
        r.register("deletions_requested", "Deletions requested", deletions.requested.clone());
        r.register("deletions_erased", "Deletions of which nothing is left", deletions.erased.clone());
        r.register("deletions_open", "Deletions under way", deletions.open.clone());
        r.register("workers", "Workers that the queue knows, by state", metrics.workers.clone());
        metrics
    }
}

impl Metrics {
    /// Counts one response.
    pub fn observe(&self, route: &str, method: &str, status: u16, elapsed: Duration) {
        self.request_seconds
            .get_or_create(&RouteLabels { route: route.into() })
            .observe(elapsed.as_secs_f64());
        self.requests
            .get_or_create(&RequestLabels { route: route.into(), method: method.into(), status })
            .inc();
    }

    /// The text a scraper reads (OpenMetrics). Without `queue`, as while Redis is away, the queue's
    /// metrics are left out: old numbers would hide the outage.
    pub fn render(&self, queue: Option<(&[WorkerView], QueueStats)>) -> Result<String, std::fmt::Error> {
        let _render = self.render.lock().unwrap_or_else(PoisonError::into_inner);
        self.redis_up.set(queue.is_some().into());
        self.workers.clear();
        if let Some((workers, stats)) = queue {
            self.set_workers(workers);
            self.set_classes(&stats);
            let set = |family: &CountByState, state: &'static str, count: u64| {
                family.get_or_create(&StateLabels { state }).set(count);
            };
            set(&self.queue_jobs, "open", stats.open);
            set(&self.queue_jobs, "failed", stats.dead);
            set(&self.queue_steps, "ready", stats.ready);
            set(&self.queue_steps, "leased", stats.leased);
            set(&self.queue_steps, "delayed", stats.delayed);
        } else {
            self.queue_jobs.clear();
            self.queue_steps.clear();
            self.queue_ready_steps.clear();
            self.queue_wait_seconds.clear();
        }
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }

    /// Sets the metrics of a cache.
    pub fn set_cache(&self, cache: &'static str, stats: CacheStats) {
        let labels = CacheLabels { cache };
        self.caches.entries.get_or_create(&labels).set(stats.entries);
        self.caches.bytes.get_or_create(&labels).set(stats.bytes);
        self.caches.hits.get_or_create(&labels).inner().store(stats.hits, Ordering::Relaxed);
        self.caches.misses.get_or_create(&labels).inner().store(stats.misses, Ordering::Relaxed);
    }

    fn set_classes(&self, stats: &QueueStats) {
        for (class, counted) in CLASSES.into_iter().zip(stats.classes) {
            let labels = ClassLabels { class };
            self.queue_ready_steps.get_or_create(&labels).set(counted.ready);
            self.queue_wait_seconds.get_or_create(&labels).set(counted.waited_ms as f64 / 1000.0);
        }
        self.queue_lost_leases.inner().store(stats.lost, Ordering::Relaxed);
    }

    fn set_workers(&self, workers: &[WorkerView]) {
        self.workers.get_or_create(&WorkerLabels { state: "working", code: String::new() }).set(0);
        for worker in workers {
            let labels = match &worker.pause {
                Some(pause) => WorkerLabels { state: "paused", code: pause.code.clone() },
                None => WorkerLabels { state: "working", code: String::new() },
            };
            self.workers.get_or_create(&labels).inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use chalkstream_store::Pause;

    use super::*;

    #[test]
    fn a_paused_worker_shows_with_the_code_that_paused_it() {
        let worker = |name: &str, pause| WorkerView { name: name.into(), failures: 0, done: 0, pause };
        let pause = Pause { for_ms: 5_000, code: "disk_full".into() };
        let workers = [worker("a", None), worker("b", Some(pause)), worker("c", None)];
        let metrics = Metrics::default();
        let text = metrics.render(Some((&workers, QueueStats::default()))).unwrap();
        for line in [
            "chalkstream_workers{state=\"working\",code=\"\"} 2",
            "chalkstream_workers{state=\"paused\",code=\"disk_full\"} 1",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        // Scrapes at the same time.
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let text = metrics.render(Some((&workers, QueueStats::default()))).unwrap();
                        let mut lines = text.lines().filter(|line| line.contains("state=\"working\",code"));
                        assert_eq!(lines.next(), Some("chalkstream_workers{state=\"working\",code=\"\"} 2"));
                    }
                });
            }
        });
        // Redis is away: no number rather than an old one.
        assert!(!metrics.render(None).unwrap().contains("chalkstream_workers{"));
    }
}
