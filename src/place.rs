//! Which settings are in force: the file, the environment and the flags, and for an `up` its data folder.

use std::path::{Path, PathBuf};

use chalkstream_config::{Settings, Store, load};

use crate::cli::Common;
use crate::exit::{Failure, Outcome};

/// Name of the file in which `up` leaves the first keys.
pub const CREDENTIALS: &str = "credentials.toml";

/// Longest path of a unix socket that every system takes, in bytes (`sun_path` has 108 with its end).
const SOCKET_PATH_BYTES: usize = 100;

/// Settings, with what has to be handed to child processes for them to read the same.
#[cfg_attr(
    not(all(feature = "server", feature = "worker")),
    expect(dead_code, reason = "`up` reads the rest")
)]
pub struct Place {
    /// The settings.
    pub settings: Settings,
    /// Names and values (`store.path`) that come from the data folder.
    pub added: Vec<(String, String)>,
    /// Whether the data folder's own Redis is meant.
    pub private_redis: bool,
}

/// The data folder: the flag, `$CHALKSTREAM_DATA`, or the user's own.
pub fn data_folder(common: &Common) -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = common
        .data
        .clone()
        .or_else(|| set("XDG_DATA_HOME").map(|home| home.join("chalkstream")))
        .or_else(|| set("HOME").map(|home| home.join(".local/share/chalkstream")))
        .unwrap_or_else(|| PathBuf::from("chalkstream-data"));
    // The same text for every command, however the folder was named: the socket's address is made of it.
    folder.canonicalize().or_else(|_| std::path::absolute(&folder)).unwrap_or(folder)
}

/// The settings as they are given.
pub fn given(common: &Common) -> Outcome<Settings> {
    Ok(load(common.config.as_deref(), &flags(common)?)?)
}

/// The settings of an `up` on `data`: what is not given lies in the folder.
pub fn of_data(common: &Common, data: &Path) -> Outcome<Place> {
    let given = given(common)?;
    let default = Settings::default();
    let mut added = Vec::new();
    let mut add = |name: &str, value: String| added.push((name.to_owned(), value));
    let below = |name: &str| data.join(name).display().to_string();
    if given.store == Store::default() {
        add("store.kind", "fs".into());
        add("store.path", below("objects"));
    }
    let private_redis = given.redis.url.expose().is_empty();
    if private_redis {
        add("redis.url", format!("redis+unix://{}", socket(data).display()));
    }
    if given.server.index_path == default.server.index_path {
        add("server.index_path", below("index"));
    }
    if given.worker.scratch_path == default.worker.scratch_path {
        add("worker.scratch_path", below("scratch"));
    }
    let mut all = added.clone();
    all.extend(flags(common)?);
    let settings = load(common.config.as_deref(), &all)?;
    Ok(Place { settings, added, private_redis })
}

/// The settings for a command that works on storage itself: those given, or those of the `up` that was started here.
pub fn here(common: &Common) -> Outcome<Settings> {
    let data = data_folder(common);
    let told = common.config.is_some()
        || std::env::vars_os().any(|(name, _)| {
            let name = name.to_string_lossy();
            name.starts_with("CHALKSTREAM__STORE__") || name.starts_with("CHALKSTREAM__REDIS__")
        });
    if common.data.is_some() || (!told && data.join(CREDENTIALS).is_file()) {
        return Ok(of_data(common, &data)?.settings);
    }
    given(common)
}

/// Where the private Redis listens. A path too long for a socket moves to a short folder, named after the data
/// folder so that every command finds the same one.
pub fn socket(data: &Path) -> PathBuf {
    let usual = data.join("redis/redis.sock");
    if usual.as_os_str().len() <= SOCKET_PATH_BYTES {
        return usual;
    }
    let short = std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|folder| folder.is_dir() && folder.as_os_str().len() <= SOCKET_PATH_BYTES - 40)
        .unwrap_or_else(|| PathBuf::from("/tmp"));
    let id = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, data.as_os_str().as_encoded_bytes());
    short.join(format!("chalkstream-{}/r.sock", &id.simple().to_string()[..12]))
}

/// A program on the search path.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn flags(common: &Common) -> Outcome<Vec<(String, String)>> {
    let parse = |text: &String| {
        text.split_once('=')
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .ok_or_else(|| Failure::usage(format!("--set takes section.key=value, not {text}")))
    };
    common.set.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_path_is_never_too_long() {
        let short = Path::new("/srv/lessons");
        assert_eq!(socket(short), short.join("redis/redis.sock"));
        let deep = PathBuf::from(format!("/srv/{}", "lessons/".repeat(20)));
        assert!(socket(&deep).as_os_str().len() <= SOCKET_PATH_BYTES);
        assert_eq!(socket(&deep), socket(&deep));
        assert_ne!(socket(&deep), socket(&deep.join("other")));
    }
}
