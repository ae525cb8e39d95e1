//! The settings, one struct per concern. `default.toml` next to this crate is the commented
//! reference.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AdminListen, Redis, Search, Secret};

/// All settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Object storage.
    pub store: Store,
    /// The job queue and event stream.
    pub redis: Redis,
    /// The HTTP server.
    pub server: Server,
    /// Search.
    pub search: Search,
    /// Links and sessions.
    pub playback: Playback,
    /// The worker process.
    pub worker: Worker,
    /// The uploaded file as a rendition.
    pub source_rendition: SourceRendition,
    /// Limits of a recording, and the ladder made of it.
    pub media: Media,
    /// Transcription.
    pub speech: Speech,
    /// How long things are kept.
    pub retention: Retention,
    /// Logging.
    pub log: Log,
}

/// How far the clock of a platform that signs links may be ahead, in seconds.
pub const MAX_CLOCK_SKEW_S: u64 = 60;

impl Settings {
    /// The longest life of a session, in seconds: the longest lesson and some hours.
    pub fn max_session_s(&self) -> u64 {
        self.media.max_duration_ms.div_ceil(1_000) + self.playback.session_extra_s
    }

    /// How long something that was issued can be good, in seconds: a link, and a session made of it
    /// in its last second. A revocation is kept for so long.
    pub fn revocation_life_s(&self) -> u64 {
        self.playback.link_ttl_max_s + self.max_session_s() + MAX_CLOCK_SKEW_S
    }
}

/// Which kind of object storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// A folder on this machine.
    #[default]
    Fs,
    /// A bucket behind the S3 API.
    S3,
}

/// Object storage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// `fs` or `s3`.
    pub kind: StoreKind,
    /// The folder of the `fs` kind.
    pub path: PathBuf,
    /// The bucket of the `s3` kind.
    pub s3: S3,
}

impl Default for Store {
    fn default() -> Self {
        Self { kind: StoreKind::Fs, path: "data/objects".into(), s3: S3::default() }
    }
}

/// Vendor of the S3 server: they differ in checksums, addressing and errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum S3Flavor {
    /// Amazon S3 itself.
    Aws,
    /// Any other server that speaks the S3 API.
    #[default]
    Generic,
    /// Garage.
    Garage,
    /// Ceph's RADOS gateway.
    Ceph,
}

/// A bucket behind the S3 API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct S3 {
    /// Base URL of the server; empty for Amazon's own.
    pub endpoint: String,
    /// Region name.
    pub region: String,
    /// Bucket name.
    pub bucket: String,
    /// Vendor flavour.
    pub flavor: S3Flavor,
    /// Access key id; empty for the credentials of the environment, a profile or a role.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: Secret,
    /// Session token of temporary keys; empty for none.
    pub session_token: Secret,
    /// PEM file of the authorities that an `https://` endpoint is trusted by; empty for the system's.
    pub ca_path: PathBuf,
    /// Key prefix inside the bucket, without slashes at its ends; empty for none.
    pub prefix: String,
    /// Size of one part of a multipart upload, in bytes (at least 5 MiB).
    pub part_bytes: u64,
    /// Longest time one request may take, in ms.
    pub request_timeout_ms: u64,
    /// Longest time to go on retrying one operation while the server fails, in ms.
    pub retry_for_ms: u64,
}

impl Default for S3 {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            region: "us-east-1".into(),
            bucket: String::new(),
            flavor: S3Flavor::default(),
            access_key_id: String::new(),
            secret_access_key: Secret::default(),
            session_token: Secret::default(),
            ca_path: PathBuf::new(),
            prefix: String::new(),
            part_bytes: 8 << 20,
            request_timeout_ms: 30_000,
            retry_for_ms: 60_000,
        }
    }
}

/// The HTTP server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Address of metrics and health checks; empty means none.
    pub admin_listen: AdminListen,
    /// Base URL under which viewers reach this server; empty means `http://` + listen.
    pub public_url: String,
    /// Folder of this server's own search index (a cache).
    pub index_path: PathBuf,
    /// Largest upload, in bytes.
    pub max_upload_bytes: u64,
    /// Most uploads in progress per tenant.
    pub max_open_uploads: u32,
    /// Most of them per uploader.
    pub max_open_uploads_per_uploader: u32,
    /// An upload that receives no byte for this long expires, in seconds.
    pub upload_ttl_s: u64,
    /// Origins that may embed the player and fetch streams; `*` for any.
    pub cors_origins: Vec<String>,
    /// Whether caches shared by viewers may store segments. Only for one that asks `/authorize`.
    pub shared_cache: bool,
    /// Most connections open at once.
    pub max_connections: u32,
    /// Most of them from one address; 0 means any number.
    pub max_connections_per_address: u32,
    /// Time to read a request's headers, in ms.
    pub header_timeout_ms: u64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8480)),
            admin_listen: AdminListen::default(),
            public_url: String::new(),
            index_path: "data/index".into(),
            max_upload_bytes: 16 << 30,
            max_open_uploads: 200,
            max_open_uploads_per_uploader: 50,
            upload_ttl_s: 7 * 86_400,
            cors_origins: vec!["*".into()],
            shared_cache: false,
            max_connections: 4096,
            max_connections_per_address: 0,
            header_timeout_ms: 10_000,
        }
    }
}

/// Links and sessions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Playback {
    /// How long a link without an expiry is valid, in seconds.
    pub link_ttl_s: u64,
    /// The longest expiry a link may ask for, in seconds.
    pub link_ttl_max_s: u64,
    /// A session lives for the lesson's length and this many seconds more.
    pub session_extra_s: u64,
    /// Revocations that a tenant may make in a minute, at one server.
    pub revocations_per_minute: u32,
    /// Revocations of a tenant that may be in force at the same time.
    pub revocations_max: usize,
}

impl Default for Playback {
    fn default() -> Self {
        Self {
            link_ttl_s: 900,
            link_ttl_max_s: 7 * 86_400,
            session_extra_s: 4 * 3600,
            revocations_per_minute: 1_000,
            revocations_max: 1_000_000,
        }
    }
}

/// The worker process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Worker {
    /// Address of metrics and the health check; empty means none.
    pub admin_listen: AdminListen,
    /// Most steps run at once; 0 means as many as keep the cores busy.
    pub slots: u32,
    /// Memory that this worker and its steps may take, in bytes; 0 means what the machine or its
    /// container has.
    pub memory_bytes: u64,
    /// Steps of one tenant that run at once, on all workers; 0 means any number.
    pub tenant_steps_max: u32,
    /// Folder for temporary files.
    pub scratch_path: PathBuf,
    /// A lease not renewed for this long is given to another worker, in ms.
    pub lease_ms: u64,
    /// How often an idle worker asks for work, in ms.
    pub poll_ms: u64,
    /// How long running steps may go on when the worker is asked to stop, in ms.
    pub drain_ms: u64,
    /// How long a running step waits while storage is away, in ms.
    pub outage_wait_ms: u64,
    /// Memory one step's child may take, in bytes.
    pub step_memory_bytes: u64,
    /// Largest single file a step's child may write, in bytes.
    pub step_file_bytes: u64,
    /// All files together that one step may make, in bytes.
    pub step_output_bytes: u64,
    /// A step may take this long, plus `step_deadline_per_media` times the recording's length, in
    /// ms.
    pub step_deadline_base_ms: u64,
    /// See `step_deadline_base_ms`.
    pub step_deadline_per_media: f64,
    /// A step that reports no progress for this long is stopped, in ms.
    pub step_stall_ms: u64,
    /// Longest time to look at a file before it is refused, in ms.
    pub inspect_deadline_ms: u64,
    /// Renditions whose shorter side is above this, in pixels, wait until nothing else is to be
    /// done; 0 defers none.
    pub defer_above_height: u32,
    /// Times a step is tried if the fault may be transient.
    pub attempts: u32,
    /// Workers that may be lost with a step; that costs it no attempt.
    pub losses: u32,
    /// Start even if the kernel offers no sandbox.
    pub allow_unsandboxed: bool,
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            admin_listen: AdminListen::default(),
            slots: 0,
            memory_bytes: 0,
            tenant_steps_max: 0,
            scratch_path: "data/scratch".into(),
            lease_ms: 15_000,
            poll_ms: 250,
            drain_ms: 50_000,
            outage_wait_ms: 3_600_000,
            step_memory_bytes: 2 << 30,
            step_file_bytes: 256 << 20,
            step_output_bytes: 32 << 30,
            step_deadline_base_ms: 120_000,
            step_deadline_per_media: 20.0,
            step_stall_ms: 60_000,
            inspect_deadline_ms: 9_000,
            defer_above_height: 0,
            attempts: 5,
            losses: 10,
            allow_unsandboxed: false,
        }
    }
}

/// The uploaded file as a rendition.
///
/// A file that browsers can play (H.264) can be watched within seconds, and no rendition of its own
/// size is made. H.265 is offered to browsers that play it, next to all renditions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SourceRendition {
    /// Whether to use it at all.
    pub enabled: bool,
    /// A file with a higher mean bitrate, in bits per second, is played too, but a rendition of its
    /// size is made as well.
    pub max_bps: u64,
    /// A file whose keyframes are further apart than this, in ms, is not used: seeking would be
    /// slow.
    pub max_keyframe_distance_ms: u64,
}

impl Default for SourceRendition {
    fn default() -> Self {
        Self { enabled: true, max_bps: 12_000_000, max_keyframe_distance_ms: 6_000 }
    }
}

/// Limits of a recording, and the ladder made of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Media {
    /// Most pixels in one frame.
    pub max_pixels: u64,
    /// Longest recording, in ms.
    pub max_duration_ms: u64,
    /// Most tracks in one file.
    pub max_tracks: u32,
    /// Preset of the renditions: `lesson`, or one of x264's.
    pub preset: String,
    /// Constant quality (x264's rate factor, 1 to 50, lower is better), held below each rendition's
    /// bitrate; 0 makes the bitrate constant.
    pub quality: u32,
    /// Whether to drop renditions that add no visible detail, or cost as much as the next larger
    /// one.
    pub drop_redundant: bool,
    /// The renditions, largest first; those above the source are left out.
    pub ladder: Vec<RungSettings>,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            max_pixels: 8192 * 4352,
            max_duration_ms: 6 * 3600 * 1000,
            max_tracks: 32,
            preset: "lesson".into(),
            quality: 23,
            drop_redundant: true,
            ladder: default_ladder(),
        }
    }
}

/// The ladder of `default.toml`, which is the one place that spells it.
fn default_ladder() -> Vec<RungSettings> {
    static LADDER: LazyLock<Vec<RungSettings>> = LazyLock::new(|| {
        let table: toml::Table = include_str!("../default.toml").parse().unwrap_or_default();
        let rungs = table.get("media").and_then(|media| media.get("ladder")).cloned();
        rungs.and_then(|rungs| rungs.try_into().ok()).unwrap_or_default()
    });
    LADDER.clone()
}

/// One rendition of the ladder. Every field is needed; one left out is 0 or empty, which the checks
/// refuse with the rung's place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RungSettings {
    /// Its name, as in storage and playlists.
    pub name: String,
    /// Width of the box that landscape video is fitted into, in pixels.
    pub width: u32,
    /// Height of that box, in pixels.
    pub height: u32,
    /// Most frames per second.
    pub max_frame_rate: u32,
    /// Bits per second of the video: the maximum at constant quality, the mean otherwise.
    pub bitrate_bps: u64,
}

/// Transcription.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Speech {
    /// Whether to make transcripts.
    pub enabled: bool,
    /// Name of the model: `base`, `tiny.en`, …
    pub model: String,
    /// Folder of the model files, of workers and servers; empty means `$CHALKSTREAM_MODELS`, else
    /// `chalkstream/models` in the user's cache folder.
    pub model_path: PathBuf,
    /// Language spoken (`en`), or `auto`.
    pub language: String,
    /// How much is searched for the best words.
    pub effort: SpeechEffort,
    /// Threads of one transcription.
    pub threads: u32,
}

impl Default for Speech {
    fn default() -> Self {
        Self {
            enabled: true,
            model: "base".into(),
            model_path: PathBuf::new(),
            language: "auto".into(),
            effort: SpeechEffort::Careful,
            threads: 1,
        }
    }
}

impl Speech {
    /// The folder of the models: the one that is set, else `$CHALKSTREAM_MODELS`, else one in the
    /// user's cache folder.
    pub fn models_folder(&self) -> PathBuf {
        if !self.model_path.as_os_str().is_empty() {
            return self.model_path.clone();
        }
        let from = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        from("CHALKSTREAM_MODELS")
            .or_else(|| from("XDG_CACHE_HOME").map(|dir| dir.join("chalkstream/models")))
            .or_else(|| from("HOME").map(|dir| dir.join(".cache/chalkstream/models")))
            .unwrap_or_else(|| PathBuf::from("models"))
    }
}

/// How much a transcription searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SpeechEffort {
    /// The likeliest word each time.
    Fast,
    /// Several sentences at once, and again where they fail: fewer errors for more CPU time.
    Careful,
}

/// How long things are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Source of a recording that was refused, in days.
    pub refused_days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { refused_days: 30 }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For a person.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Logging.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `text` or `json`.
    pub format: LogFormat,
    /// Filter, as in `info` or `info,chalkstream_workers=debug`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".into() }
    }
}
