//! Checks that types cannot express: ranges, and values that depend on each other.

use std::collections::BTreeSet;

use crate::names::{PathPart, SettingPath};
use crate::secret::REDACTED;
use crate::{
    Media, Playback, Redis, RedisTopology, Search, SearchEngineKind, Server, Settings, Speech, Store,
    StoreKind, Worker,
};

/// A value that cannot work, and why.
pub(crate) struct Finding {
    /// The setting.
    pub(crate) path: SettingPath,
    /// The setting that makes this one matter; its origin is reported if this one was not given.
    pub(crate) because: Option<SettingPath>,
    /// The fault, and what is allowed.
    pub(crate) message: String,
}

/// Smallest part of an S3 upload except the last one.
const MIN_PART_BYTES: u64 = 5 << 20;
/// Largest part: the tail of an upload may be as large, and is read back completely.
const MAX_PART_BYTES: u64 = 64 << 20;
/// Most parts of an S3 object.
const MAX_PARTS: u64 = 10_000;
/// Our own preset, and those of x264.
const PRESETS: [&str; 11] = [
    "lesson",
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
];
/// Levels of a log filter.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Returns every value in `settings` that cannot work.
pub(crate) fn check(settings: &Settings) -> Vec<Finding> {
    let mut report = Report(Vec::new());
    store(&settings.store, settings.server.max_upload_bytes, &mut report);
    redis(&settings.redis, &mut report);
    server(&settings.server, &mut report);
    search(&settings.search, &mut report);
    playback(&settings.playback, &mut report);
    worker(&settings.worker, &mut report);
    let distance_ms = settings.source_rendition.max_keyframe_distance_ms;
    report.range("source_rendition.max_keyframe_distance_ms", distance_ms, 1000, 20_000);
    media(&settings.media, &mut report);
    speech(&settings.speech, &mut report);
    report.range("retention.refused_days", settings.retention.refused_days.into(), 0, 36_500);
    report.expect(level_ok(&settings.log.level), "log.level", || {
        "is not a filter: use a level (off, error, warn, info, debug, trace) or target=level, \
         separated by commas"
            .into()
    });
    report.0
}

struct Report(Vec<Finding>);

impl Report {
    fn expect(&mut self, right: bool, key: &str, message: impl FnOnce() -> String) {
        self.at(right, SettingPath::dotted(key), None, message);
    }

    fn at(
        &mut self,
        right: bool,
        path: SettingPath,
        because: Option<&str>,
        message: impl FnOnce() -> String,
    ) {
        if !right {
            self.0.push(Finding { path, because: because.map(SettingPath::dotted), message: message() });
        }
    }

    fn range(&mut self, key: &str, value: u64, min: u64, max: u64) {
        self.expect((min..=max).contains(&value), key, || format!("is {value}, and must be {min} to {max}"));
    }
}

fn store(store: &Store, max_upload_bytes: u64, report: &mut Report) {
    match store.kind {
        StoreKind::Fs => report.at(
            !store.path.as_os_str().is_empty(),
            SettingPath::dotted("store.path"),
            Some("store.kind"),
            || "is required: the folder of the \"fs\" kind".into(),
        ),
        StoreKind::S3 => {
            let s3 = &store.s3;
            report.at(
                !s3.bucket.is_empty(),
                SettingPath::dotted("store.s3.bucket"),
                Some("store.kind"),
                || "is required if store.kind is \"s3\"".into(),
            );
            let parts = max_upload_bytes.div_ceil(s3.part_bytes.max(1));
            report.expect(parts <= MAX_PARTS, "store.s3.part_bytes", || {
                format!(
                    "needs {parts} parts for the largest upload (server.max_upload_bytes); \
                     S3 allows {MAX_PARTS}"
                )
            });
        }
    }
    let s3 = &store.s3;
    report.expect(s3.endpoint.is_empty() || is_http(&s3.endpoint), "store.s3.endpoint", || {
        "is not an http:// or https:// address".into()
    });
    report.expect(!s3.region.is_empty(), "store.s3.region", || "is empty".into());
    let keys_paired = s3.access_key_id.is_empty() == s3.secret_access_key.is_empty();
    report.at(
        keys_paired,
        SettingPath::dotted("store.s3.secret_access_key"),
        Some("store.s3.access_key_id"),
        || "and store.s3.access_key_id must be set together".into(),
    );
    report.expect(s3.secret_access_key.expose() != REDACTED, "store.s3.secret_access_key", redacted);
    report.expect(s3.session_token.expose() != REDACTED, "store.s3.session_token", redacted);
    let slashed = s3.prefix.starts_with('/') || s3.prefix.ends_with('/') || s3.prefix.contains("//");
    report.expect(!slashed, "store.s3.prefix", || {
        "must not begin or end with a slash, or contain two in a row".into()
    });
    report.range("store.s3.part_bytes", s3.part_bytes, MIN_PART_BYTES, MAX_PART_BYTES);
    report.range("store.s3.request_timeout_ms", s3.request_timeout_ms, 100, 3_600_000);
    report.range("store.s3.retry_for_ms", s3.retry_for_ms, 0, 3_600_000);
}

fn search(search: &Search, report: &mut Report) {
    let cluster = &search.opensearch;
    report.at(
        !cluster.url.is_empty() || search.engine != SearchEngineKind::OpenSearch,
        SettingPath::dotted("search.opensearch.url"),
        Some("search.engine"),
        || "is required if search.engine is \"opensearch\"".into(),
    );
    // An address is printed, and credentials in it would be too.
    let is_plain = is_http(&cluster.url) && !cluster.url.contains(['@', '?', '#']);
    report.expect(cluster.url.is_empty() || is_plain, "search.opensearch.url", || {
        "is not an http:// or https:// address without user and password".into()
    });
    report.expect(cluster.password.expose() != REDACTED, "search.opensearch.password", redacted);
    report.at(
        cluster.username.is_empty() == cluster.password.is_empty(),
        SettingPath::dotted("search.opensearch.password"),
        Some("search.opensearch.username"),
        || "and search.opensearch.username must be set together".into(),
    );
    let prefix = &cluster.index_prefix;
    let is_name = prefix.starts_with(|first: char| first.is_ascii_lowercase())
        && prefix.len() <= 40
        && prefix.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    report.expect(is_name, "search.opensearch.index_prefix", || {
        "must be at most 40 small letters, digits and -, and begin with a letter".into()
    });
    report.range("search.opensearch.request_timeout_ms", cluster.request_timeout_ms, 100, 60_000);
}

fn redacted() -> String {
    format!("is {REDACTED}: this file was printed, and printing omits secrets")
}

fn redis(redis: &Redis, report: &mut Report) {
    let url = redis.address();
    if url == REDACTED {
        report.expect(false, "redis.url", redacted);
    } else {
        let known = ["redis://", "rediss://", "redis+unix://", "unix://"];
        report.expect(known.iter().any(|scheme| url.starts_with(scheme)), "redis.url", || {
            "is not a redis://, rediss:// or redis+unix:// address".into()
        });
        let is_tcp = url.starts_with("redis://") || url.starts_with("rediss://");
        let is_single = redis.topology == RedisTopology::Single;
        report.at(is_tcp || is_single, SettingPath::dotted("redis.url"), Some("redis.topology"), || {
            "must name hosts for sentinels and clusters, not a socket".into()
        });
        report.expect(!is_single || redis.addresses().len() == 1, "redis.url", || {
            "names several hosts, which needs redis.topology".into()
        });
    }
    let is_named = redis.topology != RedisTopology::Sentinel || !redis.sentinel_service.is_empty();
    report.expect(is_named, "redis.sentinel_service", || "is empty".into());
    report.expect(redis.sentinel_password.expose() != REDACTED, "redis.sentinel_password", redacted);
    let is_paired =
        redis.client_cert_path.as_os_str().is_empty() == redis.client_key_path.as_os_str().is_empty();
    report.at(
        is_paired,
        SettingPath::dotted("redis.client_key_path"),
        Some("redis.client_cert_path"),
        || "and redis.client_cert_path must be set together".into(),
    );
    let plain = redis.prefix.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.:".contains(letter));
    report.expect(plain && !redis.prefix.is_empty(), "redis.prefix", || {
        "must have at least one character, and only letters, digits and - _ . :".into()
    });
    report.range("redis.events_kept", redis.events_kept, 1_000, 100_000_000);
}

fn server(server: &Server, report: &mut Report) {
    let url = &server.public_url;
    report.expect(url.is_empty() || is_http(url) && !url.ends_with('/'), "server.public_url", || {
        "must be an http:// or https:// address without a slash at its end".into()
    });
    report.expect(!server.index_path.as_os_str().is_empty(), "server.index_path", || "is empty".into());
    report.range("server.max_upload_bytes", server.max_upload_bytes, 1, 5 << 40);
    report.range("server.max_open_uploads", server.max_open_uploads.into(), 1, 1_000_000);
    report.range(
        "server.max_open_uploads_per_uploader",
        server.max_open_uploads_per_uploader.into(),
        1,
        1_000_000,
    );
    // Storage folders keep parts of open uploads for five days more than the longest time allowed
    // here.
    report.range("server.upload_ttl_s", server.upload_ttl_s, 60, 30 * 86_400);
    report.range("server.max_connections", server.max_connections.into(), 1, 1_000_000);
    report.range(
        "server.max_connections_per_address",
        server.max_connections_per_address.into(),
        0,
        1_000_000,
    );
    report.range("server.header_timeout_ms", server.header_timeout_ms, 100, 600_000);
    for (index, origin) in server.cors_origins.iter().enumerate() {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        let right = origin == "*" || host.is_some_and(|host| !host.is_empty() && !host.contains('/'));
        let path = SettingPath::dotted("server.cors_origins").join(PathPart::Index(index));
        report.at(right, path, None, || "is not \"*\" or an origin such as https://school.example".into());
    }
}

fn playback(playback: &Playback, report: &mut Report) {
    report.range("playback.link_ttl_max_s", playback.link_ttl_max_s, 1, 366 * 86_400);
    report.range("playback.session_extra_s", playback.session_extra_s, 0, 7 * 86_400);
    report.range("playback.revocations_per_minute", playback.revocations_per_minute.into(), 1, 1_000_000);
    report.range("playback.revocations_max", playback.revocations_max as u64, 1, 10_000_000);
    report.at(
        (1..=playback.link_ttl_max_s).contains(&playback.link_ttl_s),
        SettingPath::dotted("playback.link_ttl_s"),
        Some("playback.link_ttl_max_s"),
        || format!("is {}, and must be 1 to playback.link_ttl_max_s", playback.link_ttl_s),
    );
}

fn worker(worker: &Worker, report: &mut Report) {
    report.range("worker.slots", worker.slots.into(), 0, 1_024);
    report.expect(
        worker.memory_bytes == 0 || (512 << 20..=1 << 50).contains(&worker.memory_bytes),
        "worker.memory_bytes",
        || format!("is {}, and must be 0 or at least 536870912", worker.memory_bytes),
    );
    report.range("worker.tenant_steps_max", worker.tenant_steps_max.into(), 0, 100_000);
    report.expect(!worker.scratch_path.as_os_str().is_empty(), "worker.scratch_path", || "is empty".into());
    report.range("worker.lease_ms", worker.lease_ms, 1_000, 3_600_000);
    report.range("worker.poll_ms", worker.poll_ms, 1, 60_000);
    // GStreamer with its plug-ins maps about 200 MiB before it reads a byte.
    report.range("worker.step_memory_bytes", worker.step_memory_bytes, 256 << 20, 1 << 40);
    report.range("worker.step_file_bytes", worker.step_file_bytes, 1 << 20, 1 << 44);
    report.range("worker.step_output_bytes", worker.step_output_bytes, 1 << 20, 1 << 44);
    report.range("worker.step_deadline_base_ms", worker.step_deadline_base_ms, 1_000, 86_400_000);
    let factor = worker.step_deadline_per_media;
    report.expect((0.0..=10_000.0).contains(&factor), "worker.step_deadline_per_media", || {
        format!("is {factor}, and must be 0 to 10000")
    });
    report.range("worker.outage_wait_ms", worker.outage_wait_ms, 0, 30 * 86_400_000);
    report.range("worker.drain_ms", worker.drain_ms, 0, 86_400_000);
    report.range("worker.step_stall_ms", worker.step_stall_ms, 1_000, 86_400_000);
    report.range("worker.inspect_deadline_ms", worker.inspect_deadline_ms, 100, 600_000);
    report.range("worker.attempts", worker.attempts.into(), 1, 100);
    report.range("worker.losses", worker.losses.into(), 2, 1_000);
}

fn media(media: &Media, report: &mut Report) {
    report.range("media.max_pixels", media.max_pixels, 4_096, 1 << 28);
    report.range("media.max_duration_ms", media.max_duration_ms, 1_000, 48 * 3_600_000);
    report.range("media.max_tracks", media.max_tracks.into(), 1, 1_000);
    report.expect(PRESETS.contains(&media.preset.as_str()), "media.preset", || {
        format!("is not one of {}", PRESETS.join(", "))
    });
    report.range("media.quality", media.quality.into(), 0, 50);
    report.expect(!media.ladder.is_empty(), "media.ladder", || "has no rendition".into());
    let mut names = BTreeSet::new();
    let mut above = u64::MAX;
    for (index, rung) in media.ladder.iter().enumerate() {
        let path = |key: &str| {
            SettingPath::dotted("media.ladder")
                .join(PathPart::Index(index))
                .join(PathPart::Key(key.to_owned()))
        };
        let plain = !rung.name.is_empty()
            && rung.name.len() <= 16
            && rung.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        report.at(plain, path("name"), None, || "must be 1 to 16 lower-case letters and digits".into());
        report.at(names.insert(&rung.name), path("name"), None, || {
            format!("\"{}\" is in the ladder twice", rung.name)
        });
        for (key, pixels) in [("width", rung.width), ("height", rung.height)] {
            let right = (16..=16_384).contains(&pixels) && pixels.is_multiple_of(2);
            report.at(right, path(key), None, || {
                format!("is {pixels}, and must be an even number from 16 to 16384")
            });
        }
        report.at((1..=120).contains(&rung.max_frame_rate), path("max_frame_rate"), None, || {
            format!("is {}, and must be 1 to 120", rung.max_frame_rate)
        });
        report.at((10_000..=100_000_000).contains(&rung.bitrate_bps), path("bitrate_bps"), None, || {
            format!("is {}, and must be 10000 to 100000000", rung.bitrate_bps)
        });
        let pixels = u64::from(rung.width) * u64::from(rung.height);
        report.at(pixels < above, path("height"), None, || {
            "must be smaller than the rendition before it: the largest comes first".into()
        });
        above = pixels;
    }
}

fn speech(speech: &Speech, report: &mut Report) {
    let named = !speech.model.is_empty()
        && speech.model.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    report.expect(named, "speech.model", || "is not a model's name, such as base".into());
    let language = &speech.language;
    let code = (2..=3).contains(&language.len()) && language.bytes().all(|byte| byte.is_ascii_lowercase());
    report.expect(code || language == "auto", "speech.language", || {
        "is not \"auto\" or a language code such as en".into()
    });
    report.range("speech.threads", speech.threads.into(), 1, 256);
}

fn is_http(url: &str) -> bool {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    host.is_some_and(|host| !host.is_empty() && !host.starts_with('/') && !host.contains(char::is_whitespace))
}

/// A bare word must be a level: `tracing` takes a misspelt one ("inof") for a target and then logs
/// nothing.
fn level_ok(filter: &str) -> bool {
    filter.split(',').all(|directive| {
        let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level);
        LEVELS.contains(&level.trim().to_ascii_lowercase().as_str())
    })
}
