//! The fleet under fire: three workers, two servers, a Redis and an S3 API, and a breakable line
//! from each process to both.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Url;
use tokio::sync::{Mutex, MutexGuard};

use super::plan::TENANTS;
use crate::breakable_line::{BreakableLine, Upstream};
use crate::client::admin_url;
use crate::process::{Process, descendants, free_port};
use crate::s3::S3;
use crate::stack::Stack;
use crate::wait;

/// Workers of the fleet.
pub const WORKERS: usize = 3;
/// Servers of the fleet.
pub const SERVERS: usize = 2;
/// Size of a worker's scratch disk. A worker pauses when less than 272 MiB are free.
const SCRATCH_BYTES: u64 = 512 << 20;
/// Time limit for a process to end after SIGTERM.
const MAX_STOP: Duration = Duration::from_secs(40);

/// The program that a member runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `chalkstream worker`
    Worker,
    /// `chalkstream server`
    Server,
}

/// A process of the fleet.
pub struct Member {
    /// Its name: `worker-1`.
    pub name: String,
    role: Role,
    /// Held by the fault that changes it.
    process: Mutex<Option<Process>>,
    id: AtomicI32,
    /// Bytes of its log when it was started last.
    log_start: AtomicUsize,
    /// Its way to Redis.
    pub to_redis: BreakableLine,
    /// Its way to the S3 API.
    pub to_s3: BreakableLine,
    port: u16,
}

/// The fleet.
pub struct Fleet {
    stack: Stack,
    members: Vec<Member>,
    /// API keys, one a tenant.
    pub keys: Vec<String>,
    /// Held by the fault that changes Redis.
    pub redis_in_hand: Mutex<()>,
    /// Why the scratch disks cannot be filled, if they cannot.
    pub no_disks: Option<String>,
}

impl Member {
    /// The process, unless another fault has it in hand.
    pub fn try_take(&self) -> Option<MutexGuard<'_, Option<Process>>> {
        self.process.try_lock().ok().filter(|process| process.is_some())
    }

    /// Its process and all below it.
    pub fn processes(&self) -> Vec<i32> {
        let id = self.id.load(Ordering::Relaxed);
        std::iter::once(id).chain(descendants(id).into_iter().map(|(pid, _)| pid)).collect()
    }

    /// The children of a worker that carry out steps.
    pub fn step_children(&self) -> Vec<i32> {
        let all = descendants(self.id.load(Ordering::Relaxed)).into_iter();
        all.filter(|(_, command)| command.split(' ').nth(1) == Some("step")).map(|(pid, _)| pid).collect()
    }

    fn lines(&self) -> Vec<(String, String)> {
        vec![
            ("REDIS__URL".to_owned(), format!("redis://{}", self.to_redis.address)),
            ("STORE__S3__ENDPOINT".to_owned(), format!("http://{}", self.to_s3.address)),
        ]
    }
}

impl Fleet {
    /// Starts everything but the processes.
    ///
    /// # Panics
    /// If a service cannot be started.
    pub async fn new() -> Self {
        let mut stack = Stack::s3().await;
        for (key, value) in [
            ("WORKER__SLOTS", "1"),
            ("WORKER__STEP_STALL_MS", "20000"),
            // Less than the harness waits after SIGTERM.
            ("WORKER__DRAIN_MS", "10000"),
            // Stopped children and busy machines are no fault of a file.
            ("WORKER__INSPECT_DEADLINE_MS", "60000"),
            ("STORE__S3__REQUEST_TIMEOUT_MS", "5000"),
            ("STORE__S3__RETRY_FOR_MS", "10000"),
            ("LOG__FORMAT", "json"),
            ("LOG__LEVEL", "info,chalkstream_workers=debug,chalkstream_media_server=debug"),
        ] {
            stack.set(key, value);
        }
        let tenants = (0..TENANTS).map(tenant_name);
        let keys = tenants.map(|tenant| {
            stack.json(&["tenant", "create", &tenant]);
            stack.new_key(&tenant)
        });
        let keys = keys.collect();
        let s3 = Url::parse(&stack.s3.as_ref().unwrap().endpoint).unwrap();
        let s3 = s3.socket_addrs(|| None).unwrap()[0];
        let roles = [(Role::Worker, WORKERS), (Role::Server, SERVERS)];
        let mut members = Vec::new();
        for (role, count) in roles {
            for number in 1..=count {
                let prefix = if role == Role::Worker { "worker" } else { "server" };
                members.push(Member {
                    name: format!("{prefix}-{number}"),
                    role,
                    process: Mutex::new(None),
                    id: AtomicI32::new(0),
                    log_start: AtomicUsize::new(0),
                    to_redis: BreakableLine::start(Upstream::Unix(stack.redis.socket())).await.unwrap(),
                    to_s3: BreakableLine::start(Upstream::Tcp(s3)).await.unwrap(),
                    port: free_port(),
                });
            }
        }
        let mut fleet = Self { stack, members, keys, redis_in_hand: Mutex::default(), no_disks: None };
        let no_disks = fleet.workers().find_map(|worker| mount(&fleet.scratch(worker)).err());
        fleet.no_disks = no_disks;
        fleet
    }

    /// All processes.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter()
    }

    /// The workers.
    pub fn workers(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.role == Role::Worker)
    }

    /// The servers.
    pub fn servers(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.role == Role::Server)
    }

    /// Members of a role.
    pub fn of_role(&self, role: Role) -> Vec<&Member> {
        self.members.iter().filter(|member| member.role == role).collect()
    }

    /// Base URLs of the servers.
    pub fn urls(&self) -> Vec<String> {
        self.servers().map(|server| format!("http://127.0.0.1:{}", server.port)).collect()
    }

    /// Its Redis.
    pub fn redis(&self) -> &crate::redis::Redis {
        &self.stack.redis
    }

    /// Its S3 API.
    pub fn s3(&self) -> &S3 {
        self.stack.s3.as_ref().unwrap()
    }

    /// The folder of the run.
    pub fn folder(&self) -> &Path {
        self.stack.folder()
    }

    /// The folder with the objects.
    pub fn objects(&self) -> PathBuf {
        self.stack.objects()
    }

    /// A worker's scratch folder.
    pub fn scratch(&self, worker: &Member) -> PathBuf {
        self.stack.scratch(number(worker))
    }

    /// Keeps the run's folder on disk, or removes it at the end.
    pub fn keep_folder(&mut self, is_kept: bool) {
        self.stack.keep_folder(is_kept);
    }

    /// Starts a member into its empty `process`.
    pub fn start(&self, member: &Member, process: &mut Option<Process>) {
        let lines = member.lines();
        let log = self.folder().join(format!("{}.log", member.name));
        let log_bytes = std::fs::metadata(log).map_or(0, |facts| facts.len() as usize);
        let started = match member.role {
            Role::Worker => self.stack.start_worker(number(member), &lines),
            Role::Server => self.stack.start_server(number(member), member.port, &lines),
        };
        member.id.store(started.id(), Ordering::Relaxed);
        member.log_start.store(log_bytes, Ordering::Relaxed);
        *process = Some(started);
    }

    /// Starts every member that does not run.
    pub async fn start_all(&self) {
        for member in &self.members {
            let mut process = member.process.lock().await;
            if process.is_none() {
                self.start(member, &mut process);
            }
        }
    }

    /// Ends a member by SIGTERM.
    ///
    /// # Errors
    /// If it does not end in time, or not with success.
    pub async fn terminate(&self, member: &Member, process: &mut Option<Process>) -> Result<(), String> {
        let Some(running) = process else { return Ok(()) };
        running.signal(libc::SIGTERM);
        let deadline = std::time::Instant::now() + MAX_STOP;
        while running.running() {
            if std::time::Instant::now() > deadline {
                *process = None;
                return Err(format!("{} did not end within {MAX_STOP:?} of SIGTERM", member.name));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let status = running.ended(Duration::from_secs(1)).await;
        // SIGTERM ends a process that does not handle it yet. It has logged nothing, and has no
        // work to hand back.
        let is_early = status.signal() == Some(libc::SIGTERM)
            && running.log().len() == member.log_start.load(Ordering::Relaxed);
        *process = None;
        if status.success() || is_early {
            Ok(())
        } else {
            Err(format!("{} ended with {status}", member.name))
        }
    }

    /// Starts what ended by itself again, as a supervisor does, and returns what that was.
    pub fn restart_ended(&self) -> Vec<String> {
        let mut ended = Vec::new();
        for member in &self.members {
            if let Some(mut process) = member.try_take()
                && process.as_mut().is_some_and(|running| !running.running())
            {
                let log = process.as_ref().map(Process::log).unwrap_or_default();
                let last = log.lines().last().unwrap_or_default();
                ended.push(format!("{} ended by itself: {last}", member.name));
                self.start(member, &mut process);
            }
        }
        ended
    }

    /// Ends every process by SIGTERM, and returns what went wrong.
    pub async fn terminate_all(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for member in &self.members {
            let mut process = member.process.lock().await;
            let below = member.processes();
            problems.extend(self.terminate(member, &mut process).await.err());
            let left = || below.iter().any(|pid| crate::process::alive(*pid));
            if left() {
                problems.push(format!("a child of {} outlived it", member.name));
            }
        }
        problems
    }

    /// Waits until both servers are ready.
    pub async fn ready(&self) {
        for url in self.urls() {
            crate::stack::ready(&url).await;
        }
    }

    /// Jobs and steps that the queue still has, and jobs that failed, by the server's metrics.
    pub async fn queue_counts(&self) -> Vec<(String, u64)> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
        let address = format!("{}/metrics", admin_url(&self.urls()[0]));
        let (http, address) = (&http, &address);
        let text = wait::until("the server reports its queue", Duration::from_secs(30), || async move {
            let text = http.get(address).send().await.ok()?.text().await.ok()?;
            text.contains("chalkstream_queue_jobs{").then_some(text)
        })
        .await;
        let is_count = |line: &&str| {
            line.starts_with("chalkstream_queue_jobs{") || line.starts_with("chalkstream_queue_steps{")
        };
        let counts = text.lines().filter(is_count);
        let counts = counts.filter_map(|line| {
            let (name, count) = line.rsplit_once(' ')?;
            Some((name.to_owned(), count.parse().ok()?))
        });
        counts.collect()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for member in &self.members {
            if let Ok(mut process) = member.process.try_lock() {
                *process = None;
            }
        }
        for worker in self.workers() {
            let _ = Command::new("umount").arg("-l").arg(self.scratch(worker)).output();
        }
    }
}

/// Name of a tenant.
pub fn tenant_name(number: usize) -> String {
    format!("school-{number}")
}

fn number(member: &Member) -> &str {
    member.name.rsplit('-').next().unwrap_or_default()
}

/// Makes a small disk of its own out of a folder, so that it can be filled.
fn mount(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let size = format!("size={SCRATCH_BYTES}");
    let done = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "chaos"]).arg(folder).output();
    let done = done.map_err(|error| format!("mount: {error}"))?;
    if done.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&done.stderr).trim().to_owned())
}
