//! `up`: server, worker and a private Redis as children of one process, with everything in one
//! folder.

mod child;
mod keys;
mod supervise;

use std::fs::{DirBuilder, File, Permissions, TryLockError};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use chalkstream_config::Settings;
use chalkstream_store::Queue;

use crate::args::GlobalArgs;
use crate::exit::{CommandError, CommandResult};
use crate::settings_source::{self, CREDENTIALS, EffectiveSettings};
use crate::ui::output;
use crate::{logs, signals};

use child::{ChildSpec, OWN_EXECUTABLE};
use supervise::{StopOrder, Supervisor};

/// How long Redis may take to load its files.
const REDIS_START_TIMEOUT: Duration = Duration::from_secs(60);

/// Starts everything and keeps it running until SIGINT or SIGTERM.
///
/// This future must run on the main thread, as `block_on` does. The kernel kills a child when the
/// thread that started it ends, and the main thread ends with the process.
pub async fn run(global: &GlobalArgs, listen: Option<SocketAddr>) -> CommandResult {
    let data = settings_source::data_folder(global);
    DirBuilder::new().recursive(true).mode(0o700).create(&data)?;
    let data = data.canonicalize()?;
    let _lock = lock(&data)?;
    let signals = signals::watch()?;
    let stop = &signals.stop;

    let mut effective = settings_source::load_for_data_folder(global, &data)?;
    logs::init(&effective.settings.log);
    // These folders hold keys and lessons, so only their owner may enter, even below an open
    // folder.
    for (_, folder) in
        effective.supplied.iter().filter(|(name, _)| name.ends_with("_path") || name == "store.path")
    {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        std::fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    }
    let address = free_address(listen.unwrap_or(effective.settings.server.listen))?;
    effective.settings.server.listen = address;
    effective.supplied.push(("server.listen".into(), address.to_string()));

    let mut supervisor = Supervisor::default();
    if effective.needs_private_redis {
        supervisor.start(StopOrder::Last, redis_spec(&data)?)?;
    }
    tokio::select! {
        ready = wait_for_redis(&effective.settings) => ready?,
        () = supervisor.first_exit() => {
            let log = data.join("redis/redis.log");
            let message = format!(
                "redis-server exited; see {}. You can remove its folder: everything in it is rebuilt from storage.",
                log.display()
            );
            return Err(CommandError::failed("redis", message));
        }
        () = stop.cancelled() => {
            supervisor.stop(&signals.now).await;
            return Ok(());
        }
    }
    // Commands on this machine use the local address, not the public one.
    keys::ensure_first_keys(&data, &effective.settings, &local_url(address)).await?;

    supervisor.start(StopOrder::First, role_spec("server", global, &effective)?)?;
    supervisor.start(StopOrder::First, role_spec("worker", global, &effective)?)?;
    output::note(&format!("keys are in {}", data.join(CREDENTIALS).display()));
    let announcement = tokio::spawn(announce(local_url(address), public_url_note(&effective.settings)));
    supervisor.run_until(stop).await;
    announcement.abort();
    supervisor.stop(&signals.now).await;
    Ok(())
}

/// Locks the folder for this process. The kernel releases the lock when the process ends.
fn lock(data: &Path) -> CommandResult<File> {
    let file = File::options().create(true).write(true).truncate(false).open(data.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(CommandError::failed(
            "in_use",
            format!("{} is in use by another `chalkstream up`.", data.display()),
        )),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Returns the address; port 0 becomes a free port.
fn free_address(address: SocketAddr) -> CommandResult<SocketAddr> {
    let bound = std::net::TcpListener::bind(address).and_then(|listener| listener.local_addr());
    bound.map_err(|error| CommandError::failed("listen", format!("cannot listen on {address}: {error}")))
}

/// Returns the server's URL on this machine.
fn local_url(listen: SocketAddr) -> String {
    match listen.ip() {
        ip if ip.is_unspecified() && ip.is_ipv4() => format!("http://127.0.0.1:{}", listen.port()),
        ip if ip.is_unspecified() => format!("http://[::1]:{}", listen.port()),
        _ => format!("http://{listen}"),
    }
}

/// Says which address links have, and how to change it.
fn public_url_note(settings: &Settings) -> String {
    match settings.server.public_url.trim_end_matches('/') {
        "" if settings.server.listen.ip().is_unspecified() => {
            "links work on this machine only; set server.public_url to share them".into()
        }
        "" => "links use this address; set server.public_url to use another".into(),
        given => format!("links start with {given}"),
    }
}

/// Prints the server's address as soon as it is ready.
async fn announce(local_url: String, public_url_note: String) {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).no_proxy().build();
    let Ok(http) = client else { return };
    let ready = format!("{local_url}/readyz");
    while !http.get(&ready).send().await.is_ok_and(|answer| answer.status().is_success()) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    output::note(&format!("serving at {local_url}; {public_url_note}"));
}

/// Waits until Redis responds: it may still be loading its files.
async fn wait_for_redis(settings: &Settings) -> CommandResult {
    let deadline = tokio::time::Instant::now() + REDIS_START_TIMEOUT;
    loop {
        match Queue::connect(&settings.redis).await {
            Ok(_) => return Ok(()),
            Err(error) if tokio::time::Instant::now() > deadline => {
                return Err(CommandError::failed("redis", format!("Redis does not answer: {error}")));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// The private Redis: reachable only by its socket, and durable across a power cut.
fn redis_spec(data: &Path) -> CommandResult<ChildSpec> {
    let program = settings_source::find_program("redis-server").ok_or_else(|| {
        CommandError::dependency(
            "redis_missing",
            "redis-server is not installed: apt-get install redis-server",
        )
    })?;
    let folder = data.join("redis");
    let socket = settings_source::redis_socket(data);
    for folder in [Some(folder.as_path()), socket.parent()].into_iter().flatten() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let text = |path: &Path| path.display().to_string();
    let log = text(&folder.join("redis.log"));
    let (socket, folder) = (text(&socket), text(&folder));
    let settings = [
        ["--port", "0"],
        ["--unixsocket", &socket],
        ["--unixsocketperm", "700"],
        ["--dir", &folder],
        ["--logfile", &log],
        ["--loglevel", "warning"],
        ["--appendonly", "yes"],
        ["--appendfsync", "always"],
        ["--save", ""],
        ["--maxmemory-policy", "noeviction"],
        ["--daemonize", "no"],
    ];
    let arguments = settings.concat().into_iter().map(str::to_owned).collect();
    Ok(ChildSpec { name: "redis", program, arguments, environment: Vec::new(), grace: Duration::ZERO })
}

/// This program in one of its two roles. Settings from the data folder go through the environment,
/// because every user of the machine can read a command line, and addresses hold passwords.
fn role_spec(
    name: &'static str,
    global: &GlobalArgs,
    effective: &EffectiveSettings,
) -> CommandResult<ChildSpec> {
    let mut arguments = vec![name.to_owned()];
    if let Some(config) = &global.config {
        arguments.extend(["--config".to_owned(), config.display().to_string()]);
    }
    for set in &global.set {
        arguments.extend(["--set".to_owned(), set.clone()]);
    }
    let variable = |name: &str| format!("CHALKSTREAM__{}", name.replace('.', "__").to_uppercase());
    let environment =
        effective.supplied.iter().map(|(name, value)| (variable(name), value.clone())).collect();
    let grace = match name {
        "worker" => Duration::from_millis(effective.settings.worker.drain_ms),
        _ => Duration::ZERO,
    };
    Ok(ChildSpec { name, program: OWN_EXECUTABLE.into(), arguments, environment, grace })
}
