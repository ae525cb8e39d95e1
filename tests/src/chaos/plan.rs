//! Everything that a seed decides before a run begins: faults, lessons and what is done to them.

use std::time::Duration;

/// Tenants of a run.
pub const TENANTS: usize = 4;
/// Mean time between two faults.
const FAULT_INTERVAL: Duration = Duration::from_millis(2500);

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// A worker gets SIGKILL, and is started again.
    WorkerKilled,
    /// A worker and its children get SIGSTOP, and SIGCONT later.
    WorkerStopped,
    /// A worker gets SIGTERM, as in a rolling upgrade, and is started again.
    WorkerTerminated,
    /// A step's child gets SIGKILL.
    ChildKilled,
    /// A step's child gets SIGSTOP, and SIGCONT later.
    ChildStopped,
    /// A server gets SIGKILL, and is started again.
    ServerKilled,
    /// A server gets SIGSTOP, and SIGCONT later.
    ServerStopped,
    /// A server gets SIGTERM, and is started again.
    ServerTerminated,
    /// Redis gets SIGKILL, and is started again on its files.
    RedisKilled,
    /// Redis gets SIGKILL, and a replica that has everything takes over.
    RedisFailedOver,
    /// Redis loses everything.
    RedisEmptied,
    /// Redis has no memory left.
    RedisFull,
    /// One process, or all, cannot reach Redis.
    RedisCut,
    /// Redis does not answer one process, or all.
    RedisSilent,
    /// The S3 API is slow.
    S3Slow,
    /// The S3 API answers 500.
    S3Failing,
    /// The S3 API hangs up in the middle of responses.
    S3CutOff,
    /// One process, or all, cannot reach the S3 API.
    S3Cut,
    /// A worker's scratch disk is full.
    DiskFull,
}

impl FaultKind {
    /// All kinds, each with its share of the faults and its longest duration in ms.
    pub const ALL: &[(FaultKind, usize, u64)] = &[
        (FaultKind::WorkerKilled, 3, 3_000),
        (FaultKind::WorkerStopped, 3, 8_000),
        (FaultKind::WorkerTerminated, 2, 2_000),
        (FaultKind::ChildKilled, 3, 0),
        (FaultKind::ChildStopped, 3, 4_000),
        (FaultKind::ServerKilled, 3, 3_000),
        (FaultKind::ServerStopped, 2, 8_000),
        (FaultKind::ServerTerminated, 2, 2_000),
        (FaultKind::RedisKilled, 2, 4_000),
        (FaultKind::RedisFailedOver, 2, 0),
        (FaultKind::RedisEmptied, 1, 0),
        (FaultKind::RedisFull, 2, 6_000),
        (FaultKind::RedisCut, 3, 8_000),
        (FaultKind::RedisSilent, 2, 8_000),
        (FaultKind::S3Slow, 2, 8_000),
        (FaultKind::S3Failing, 2, 8_000),
        (FaultKind::S3CutOff, 3, 5_000),
        (FaultKind::S3Cut, 2, 8_000),
        (FaultKind::DiskFull, 2, 6_000),
    ];

    /// Whether what Redis acknowledged may be gone after it.
    pub fn loses_redis_data(self) -> bool {
        self == FaultKind::RedisEmptied
    }
}

/// A fault to inject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its number, from 1.
    pub number: usize,
    /// When, counted from the start.
    pub at: Duration,
    /// Its kind.
    pub kind: FaultKind,
    /// How long it lasts.
    pub lasts: Duration,
    /// Decides which process it hits, and the like.
    pub seed: u64,
}

/// Something a client does with a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Deletes it.
    Delete,
    /// Cancels its processing.
    Cancel,
    /// Retries it.
    Retry,
    /// Uploads the same file again.
    UploadAgain,
}

/// How a client uploads its lesson.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Once.
    Once,
    /// Twice at the same time, as after a double click.
    Twice,
    /// Half of it, and then it is deleted.
    Abandoned,
}

/// A lesson, and what its client does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LessonPlan {
    /// Its number, from 0.
    pub number: usize,
    /// Number of its tenant.
    pub tenant: usize,
    /// When its upload begins, counted from the start.
    pub at: Duration,
    /// Which clip it is made of.
    pub clip: u64,
    /// How it is uploaded.
    pub start: Start,
    /// What follows the upload, each after a wait.
    pub actions: Vec<(Duration, Action)>,
    /// Decides the server it talks to, and the pieces it sends.
    pub seed: u64,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The faults, in order of time.
    pub faults: Vec<Fault>,
    /// The lessons.
    pub lessons: Vec<LessonPlan>,
}

impl Plan {
    /// The plan of a seed.
    pub fn new(seed: u64, faults: usize, lessons: usize) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let span = FAULT_INTERVAL * u32::try_from(faults.max(1)).unwrap_or(u32::MAX);
        let moment = |random: &mut fastrand::Rng, share: f64| span.mul_f64(random.f64() * share);
        let mut times: Vec<Duration> = (0..faults).map(|_| moment(&mut random, 1.0)).collect();
        times.sort_unstable();
        let kinds = kinds(&mut random, faults);
        let faults = times.into_iter().zip(kinds).enumerate();
        let faults = faults.map(|(n, (at, (kind, longest_ms)))| Fault {
            number: n + 1,
            at: at + Duration::from_secs(2),
            kind,
            lasts: Duration::from_millis(random.u64(longest_ms / 8..=longest_ms)),
            seed: random.u64(..),
        });
        let faults = faults.collect();
        let lessons = (0..lessons).map(|number| {
            let start = match random.u32(0..12) {
                0 => Start::Abandoned,
                1..=2 => Start::Twice,
                _ => Start::Once,
            };
            LessonPlan {
                number,
                tenant: number % TENANTS,
                at: moment(&mut random, 0.7),
                clip: random.u64(..),
                start,
                actions: actions(&mut random, start),
                seed: random.u64(..1 << 32),
            }
        });
        Self { faults, lessons: lessons.collect() }
    }
}

/// As many kinds as there are faults. Each comes by its share; few faults are of different kinds.
fn kinds(random: &mut fastrand::Rng, count: usize) -> Vec<(FaultKind, u64)> {
    let mut all: Vec<_> = FaultKind::ALL.iter().map(|(kind, _, longest_ms)| (*kind, *longest_ms)).collect();
    random.shuffle(&mut all);
    while all.len() < count {
        let shares = FaultKind::ALL.iter();
        let mut more: Vec<_> =
            shares.flat_map(|(kind, share, ms)| std::iter::repeat_n((*kind, *ms), *share)).collect();
        random.shuffle(&mut more);
        all.extend(more);
    }
    all.truncate(count);
    random.shuffle(&mut all);
    all
}

fn actions(random: &mut fastrand::Rng, start: Start) -> Vec<(Duration, Action)> {
    use Action::{Cancel, Delete, Retry, UploadAgain};
    let script: &[Action] = match random.u32(0..20) {
        _ if start == Start::Abandoned => &[UploadAgain],
        0..=7 => &[],
        8..=9 => &[Delete],
        10..=11 => &[Cancel],
        12..=13 => &[Cancel, Retry],
        14 => &[Cancel, Delete],
        15 => &[Cancel, Retry, Delete],
        16 => &[Cancel, UploadAgain],
        17..=18 => &[Delete, UploadAgain],
        _ => &[UploadAgain],
    };
    script.iter().map(|action| (Duration::from_millis(random.u64(0..12_000)), *action)).collect()
}
