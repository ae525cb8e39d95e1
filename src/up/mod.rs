//! The embedded default: server, worker and a private Redis as children of one process, everything in one folder.

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

use crate::cli::Common;
use crate::exit::{Failure, Outcome};
use crate::place::{self, CREDENTIALS, Place};
use crate::{logs, output, signals};

use child::{Child, THIS_PROGRAM};
use supervise::{Order, Supervised};

/// How long Redis may take to read its files.
const REDIS_START: Duration = Duration::from_secs(60);

/// Starts everything and keeps it running until told to stop.
///
/// This future must run on the main thread (`block_on` sees to it): a child is killed when the thread that made it
/// ends, and the main thread ends with the process.
pub async fn run(common: &Common, listen: Option<SocketAddr>) -> Outcome {
    let data = place::data_folder(common);
    DirBuilder::new().recursive(true).mode(0o700).create(&data)?;
    let data = data.canonicalize()?;
    let _lock = lock(&data)?;
    let stop = signals::stop()?;

    let mut place = place::of_data(common, &data)?;
    logs::begin(&place.settings.log);
    // Keys and lessons lie in them: their owner's alone, also where the folder above them is open to all.
    for (_, folder) in place.added.iter().filter(|(name, _)| name.ends_with("_path") || name == "store.path")
    {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        std::fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    }
    let address = free(listen.unwrap_or(place.settings.server.listen))?;
    place.settings.server.listen = address;
    place.added.push(("server.listen".into(), address.to_string()));

    let mut supervised = Supervised::default();
    if place.private_redis {
        supervised.start(Order::Last, redis(&data)?)?;
    }
    tokio::select! {
        reached = reach(&place.settings) => reached?,
        () = supervised.first_death() => {
            let log = data.join("redis/redis.log");
            let told = format!(
                "redis-server ended; see {}. Its folder can be removed: all in it is made again from storage.",
                log.display()
            );
            return Err(Failure::failed("redis", told));
        }
        () = stop.cancelled() => {
            supervised.stop().await;
            return Ok(());
        }
    }
    // Commands on this machine need no way around by a public address.
    keys::first(&data, &place.settings, &here(address)).await?;

    supervised.start(Order::First, role("server", common, &place)?)?;
    supervised.start(Order::First, role("worker", common, &place)?)?;
    output::note(&format!("keys are in {}", data.join(CREDENTIALS).display()));
    let announced = tokio::spawn(announce(here(address), public(&place.settings)));
    supervised.keep(&stop).await;
    announced.abort();
    supervised.stop().await;
    Ok(())
}

/// Takes the folder for this process alone. The lock goes with the process, however it ends.
fn lock(data: &Path) -> Outcome<File> {
    let file = File::options().create(true).write(true).truncate(false).open(data.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Failure::failed(
            "in_use",
            format!("{} is in use by another `chalkstream up`.", data.display()),
        )),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// The address, or with port 0 one that is free now.
fn free(address: SocketAddr) -> Outcome<SocketAddr> {
    let bound = std::net::TcpListener::bind(address).and_then(|listener| listener.local_addr());
    bound.map_err(|error| Failure::failed("listen", format!("cannot listen on {address}: {error}")))
}

/// Where this machine reaches the server.
fn here(listen: SocketAddr) -> String {
    match listen.ip() {
        ip if ip.is_unspecified() && ip.is_ipv4() => format!("http://127.0.0.1:{}", listen.port()),
        ip if ip.is_unspecified() => format!("http://[::1]:{}", listen.port()),
        _ => format!("http://{listen}"),
    }
}

/// Where viewers reach the server, or what is wrong about that.
fn public(settings: &Settings) -> String {
    match settings.server.public_url.trim_end_matches('/') {
        "" if settings.server.listen.ip().is_unspecified() => {
            "links work on this machine only until server.public_url is set".into()
        }
        "" => "links work where this address does; server.public_url sets another".into(),
        given => format!("links begin with {given}"),
    }
}

/// Says where it serves as soon as it does.
async fn announce(here: String, public: String) {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).no_proxy().build();
    let Ok(http) = client else { return };
    let ready = format!("{here}/readyz");
    while !http.get(&ready).send().await.is_ok_and(|answer| answer.status().is_success()) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    output::note(&format!("serving at {here}; {public}"));
}

/// Waits until Redis answers: it may be reading its files.
async fn reach(settings: &Settings) -> Outcome {
    let limit = tokio::time::Instant::now() + REDIS_START;
    loop {
        match Queue::connect(&settings.redis).await {
            Ok(_) => return Ok(()),
            Err(error) if tokio::time::Instant::now() > limit => {
                return Err(Failure::failed("redis", format!("Redis does not answer: {error}")));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// The private Redis: reachable by its socket alone, and nothing it acknowledged is lost by a power cut.
fn redis(data: &Path) -> Outcome<Child> {
    let program = place::find_program("redis-server").ok_or_else(|| {
        Failure::dependency("redis_missing", "redis-server is not installed: apt-get install redis-server")
    })?;
    let folder = data.join("redis");
    let socket = place::socket(data);
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
    Ok(Child { name: "redis", program, arguments, environment: Vec::new() })
}

/// This program again, as one of the two roles. What comes from the data folder goes through the environment: a
/// command line can be read by everyone on the machine, and addresses hold passwords.
fn role(name: &'static str, common: &Common, place: &Place) -> Outcome<Child> {
    let mut arguments = vec![name.to_owned()];
    if let Some(config) = &common.config {
        arguments.extend(["--config".to_owned(), config.display().to_string()]);
    }
    for set in &common.set {
        arguments.extend(["--set".to_owned(), set.clone()]);
    }
    let variable = |name: &str| format!("CHALKSTREAM__{}", name.replace('.', "__").to_uppercase());
    let environment = place.added.iter().map(|(name, value)| (variable(name), value.clone())).collect();
    Ok(Child { name, program: THIS_PROGRAM.into(), arguments, environment })
}
