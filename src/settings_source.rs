//! The settings in force: from the file, the environment and flags, and for `up` from its data
//! folder.

use std::path::{Path, PathBuf};

use chalkstream_config::{Secret, Settings, load};

use crate::args::GlobalArgs;
use crate::exit::{CommandError, CommandResult};

/// Name of the file in which `up` leaves the first keys.
pub const CREDENTIALS: &str = "credentials.toml";

/// Maximum length of a unix socket's path, in bytes. `sun_path` has 108 with its terminator.
const MAX_SOCKET_PATH_BYTES: usize = 100;

/// The settings, and what child processes need to load the same ones.
#[cfg_attr(
    not(all(feature = "server", feature = "worker")),
    expect(dead_code, reason = "`up` reads the rest")
)]
pub struct EffectiveSettings {
    /// The settings.
    pub settings: Settings,
    /// Names and values (`store.path`) that the data folder supplies.
    pub supplied: Vec<(String, String)>,
    /// Whether `up` has to run its own Redis.
    pub needs_private_redis: bool,
}

/// Returns the data folder: the flag, `$CHALKSTREAM_DATA`, or the user's default.
pub fn data_folder(global: &GlobalArgs) -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = global
        .data
        .clone()
        .or_else(|| set("XDG_DATA_HOME").map(|home| home.join("chalkstream")))
        .or_else(|| set("HOME").map(|home| home.join(".local/share/chalkstream")))
        .unwrap_or_else(|| PathBuf::from("chalkstream-data"));
    // Every command must spell the folder the same way, because the socket's address derives from
    // it.
    folder.canonicalize().or_else(|_| std::path::absolute(&folder)).unwrap_or(folder)
}

/// Loads the settings from file, environment and flags.
pub fn load_given(global: &GlobalArgs) -> CommandResult<Settings> {
    Ok(load(global.config.as_deref(), &flags(global)?)?)
}

/// Loads the settings of an `up` on `data`. Paths and addresses that are not given are in that
/// folder.
pub fn load_for_data_folder(global: &GlobalArgs, data: &Path) -> CommandResult<EffectiveSettings> {
    let mut settings = load_given(global)?;
    let default = Settings::default();
    let flags = flags(global)?;
    let mut supplied = Vec::new();
    let mut supply = |name: &str, path: &mut PathBuf, folder: &str| {
        // A flag wins, even one that repeats the default.
        if flags.iter().all(|(given, _)| given != name) {
            let text = data.join(folder).display().to_string();
            *path = PathBuf::from(&text);
            supplied.push((name.to_owned(), text));
        }
    };
    if settings.store == default.store {
        supply("store.path", &mut settings.store.path, "objects");
    }
    if settings.server.index_path == default.server.index_path {
        supply("server.index_path", &mut settings.server.index_path, "index");
    }
    if settings.worker.scratch_path == default.worker.scratch_path {
        supply("worker.scratch_path", &mut settings.worker.scratch_path, "scratch");
    }
    let needs_private_redis = settings.redis.url.is_empty();
    if needs_private_redis {
        let url = format!("redis+unix://{}", redis_socket(data).display());
        settings.redis.url = Secret::new(url.as_str());
        supplied.push(("redis.url".to_owned(), url));
    }
    Ok(EffectiveSettings { settings, supplied, needs_private_redis })
}

/// Loads the settings for a command that works on storage itself. Uses those of an `up` on this
/// machine if the user names its data folder, or names neither a file nor storage or Redis.
pub fn load_for_command(global: &GlobalArgs) -> CommandResult<Settings> {
    let data = data_folder(global);
    let is_configured = global.config.is_some()
        || std::env::vars_os().any(|(name, _)| {
            let name = name.to_string_lossy();
            name.starts_with("CHALKSTREAM__STORE__") || name.starts_with("CHALKSTREAM__REDIS__")
        });
    if global.data.is_some() || (!is_configured && data.join(CREDENTIALS).is_file()) {
        return Ok(load_for_data_folder(global, &data)?.settings);
    }
    load_given(global)
}

/// Returns the socket of the private Redis. If its path is too long, it moves to a short folder
/// whose name derives from the data folder, so that every command finds the same one.
pub fn redis_socket(data: &Path) -> PathBuf {
    let usual = data.join("redis/redis.sock");
    if usual.as_os_str().len() <= MAX_SOCKET_PATH_BYTES {
        return usual;
    }
    let short = std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|folder| folder.is_dir() && folder.as_os_str().len() <= MAX_SOCKET_PATH_BYTES - 40)
        .unwrap_or_else(|| PathBuf::from("/tmp"));
    let id = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, data.as_os_str().as_encoded_bytes());
    short.join(format!("chalkstream-{}/r.sock", &id.simple().to_string()[..12]))
}

/// Finds a program on the search path.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn flags(global: &GlobalArgs) -> CommandResult<Vec<(String, String)>> {
    let parse = |text: &String| {
        text.split_once('=')
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .ok_or_else(|| CommandError::usage(format!("--set takes section.key=value, not {text}")))
    };
    global.set.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_folder_supplies_what_is_not_given() {
        let set = ["worker.scratch_path=/fast", "server.index_path=data/index"].map(str::to_owned);
        let global = GlobalArgs { config: None, set: set.into(), data: None, json: false };
        let data = Path::new("/srv/lessons");
        let EffectiveSettings { settings, supplied, needs_private_redis } =
            load_for_data_folder(&global, data).unwrap();
        assert_eq!(settings.store.path, data.join("objects"));
        assert_eq!(settings.redis.url.expose(), "redis+unix:///srv/lessons/redis/redis.sock");
        assert!(needs_private_redis);
        assert_eq!(settings.worker.scratch_path, Path::new("/fast"));
        assert_eq!(settings.server.index_path, Path::new("data/index"), "given, though it is the default");
        let names: Vec<&str> = supplied.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["store.path", "redis.url"]);
    }

    #[test]
    fn a_socket_path_is_never_too_long() {
        let short = Path::new("/srv/lessons");
        assert_eq!(redis_socket(short), short.join("redis/redis.sock"));
        let deep = PathBuf::from(format!("/srv/{}", "lessons/".repeat(20)));
        assert!(redis_socket(&deep).as_os_str().len() <= MAX_SOCKET_PATH_BYTES);
        assert_eq!(redis_socket(&deep), redis_socket(&deep));
        assert_ne!(redis_socket(&deep), redis_socket(&deep.join("other")));
    }
}
