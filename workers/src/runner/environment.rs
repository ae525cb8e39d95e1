//! The environment a child gets: an allow-list. No credential of ours is in it, and GStreamer finds
//! its registry ready (a child that rescans the plug-ins takes 1.4 s instead of 0.03).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Names handed on as they are: where libraries and plug-ins are found, and how text is written.
const HANDED_ON: &[&str] = &[
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "GST_PLUGIN_PATH",
    "GST_PLUGIN_PATH_1_0",
    "GST_PLUGIN_SYSTEM_PATH",
    "GST_PLUGIN_SYSTEM_PATH_1_0",
    "GST_DEBUG",
    "RUST_BACKTRACE",
];

/// The environment of a child that works in `folder`.
///
/// `outside` returns variables of the worker's own environment; `registry` is the GStreamer
/// registry file.
pub fn for_child(
    outside: impl Fn(&str) -> Option<OsString>,
    folder: &Path,
    registry: &Path,
) -> Vec<(String, OsString)> {
    let tmp = folder.join("tmp");
    let mut environment: Vec<(String, OsString)> =
        HANDED_ON.iter().filter_map(|name| Some(((*name).to_owned(), outside(name)?))).collect();
    let mut set = |name: &str, value: OsString| environment.push((name.to_owned(), value));
    // GLib looks the home folder up in the user database if no variable names it, and writes caches
    // into it.
    set("HOME", tmp.clone().into());
    set("XDG_CACHE_HOME", tmp.clone().into());
    set("XDG_RUNTIME_DIR", tmp.clone().into());
    set("GST_DEBUG_DUMP_DOT_DIR", tmp.join("graphs").into());
    set("TMPDIR", tmp.into());
    set("GST_REGISTRY", registry.into());
    // A child may not start a plug-in scanner; if a registry is missing it looks for itself.
    set("GST_REGISTRY_FORK", "no".into());
    if registry.is_file() {
        set("GST_REGISTRY_UPDATE", "no".into());
    }
    environment
}

/// The registry file to use: the one the image or the setup built, else one of our own in the
/// user's cache, else one in the scratch folder.
pub fn registry_path(outside: impl Fn(&str) -> Option<OsString>, scratch: &Path) -> PathBuf {
    let set = |name| outside(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(given) = set("GST_REGISTRY") {
        return given;
    }
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    let name = format!("gst-registry-{}.bin", std::env::consts::ARCH);
    match cache {
        Some(cache) => cache.join("chalkstream").join(name),
        None => scratch.join(name),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn nothing_secret_is_handed_on() {
        let outside = |name: &str| match name {
            "LANG" => Some(OsString::from("C.UTF-8")),
            other => Some(OsString::from(format!("value of {other}"))),
        };
        let folder = tempfile::tempdir().unwrap();
        let registry = folder.path().join("registry.bin");
        let names = |environment: Vec<(String, OsString)>| -> Vec<String> {
            environment.into_iter().map(|(name, _)| name).collect()
        };

        let before = names(for_child(outside, folder.path(), &registry));
        for name in &before {
            assert!(!name.contains("AWS") && !name.starts_with("CHALKSTREAM") && name != "PATH", "{name}");
        }
        assert!(!before.contains(&"GST_REGISTRY_UPDATE".to_owned()), "there is no registry yet");

        std::fs::write(&registry, b"").unwrap();
        let after = names(for_child(outside, folder.path(), &registry));
        assert!(after.contains(&"GST_REGISTRY_UPDATE".to_owned()));
    }

    #[test]
    fn the_images_registry_goes_before_ours() {
        let scratch = Path::new("/scratch");
        let given = |name: &str| (name == "GST_REGISTRY").then(|| OsString::from("/image/registry.bin"));
        assert_eq!(registry_path(given, scratch), Path::new("/image/registry.bin"));
        let home = |name: &str| (name == "HOME").then(|| OsString::from("/home/coach"));
        assert!(registry_path(home, scratch).starts_with("/home/coach/.cache/chalkstream"));
        assert!(registry_path(|_| None, scratch).starts_with(scratch));
    }
}
