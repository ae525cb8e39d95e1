//! Output of the settings: as TOML with secrets redacted, and as a JSON schema.

use std::sync::LazyLock;

use serde_json::Value;

use crate::Settings;
use crate::names::{PathPart, SettingPath};

/// The settings in force, as TOML that [`crate::load`] reads back, but for secrets, which are
/// redacted.
pub fn print(settings: &Settings) -> String {
    toml::to_string_pretty(settings).unwrap_or_else(|error| format!("# cannot be shown as TOML: {error}\n"))
}

/// The JSON schema of the settings file.
pub fn schema() -> String {
    let schema = schemars::schema_for!(Settings);
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// The settings whose values are never printed, read from the schema (`writeOnly`).
pub(crate) fn secrets() -> &'static [SettingPath] {
    static SECRETS: LazyLock<Vec<SettingPath>> = LazyLock::new(|| {
        let root = schemars::schema_for!(Settings).to_value();
        let mut found = Vec::new();
        collect(&root, &root, &SettingPath::default(), &mut found);
        found
    });
    &SECRETS
}

fn collect(root: &Value, node: &Value, path: &SettingPath, found: &mut Vec<SettingPath>) {
    if node["writeOnly"] == Value::Bool(true) {
        found.push(path.clone());
        return;
    }
    if let Some(target) = node["$ref"].as_str().and_then(|link| link.strip_prefix('#')) {
        collect(root, root.pointer(target).unwrap_or(&Value::Null), path, found);
    }
    if let Some(fields) = node["properties"].as_object() {
        for (key, field) in fields {
            collect(root, field, &path.join(PathPart::Key(key.clone())), found);
        }
    }
}
