//! Names of settings: paths from the root, and old names of settings that were renamed.

use std::fmt;

use serde_json::Value;

/// One part of a [`SettingPath`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PathPart {
    /// A key of a table.
    Key(String),
    /// An index in an array, from 0.
    Index(usize),
}

/// The name of a setting: `media.ladder[2].width`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SettingPath(pub(crate) Vec<PathPart>);

impl SettingPath {
    /// Reads `section.key`. Indices are not read: an array is given whole.
    pub(crate) fn dotted(text: &str) -> Self {
        Self(text.split('.').map(|key| PathPart::Key(key.to_owned())).collect())
    }

    pub(crate) fn join(&self, part: PathPart) -> Self {
        let mut parts = self.0.clone();
        parts.push(part);
        Self(parts)
    }

    pub(crate) fn starts_with(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// The path of the innermost array that this path goes through.
    pub(crate) fn array(&self) -> Option<Self> {
        let at = self.0.iter().rposition(|part| matches!(part, PathPart::Index(_)))?;
        Some(Self(self.0[..at].to_vec()))
    }

    /// The path of the innermost array element that this path goes through.
    pub(crate) fn element(&self) -> Option<Self> {
        let at = self.0.iter().rposition(|part| matches!(part, PathPart::Index(_)))?;
        Some(Self(self.0[..=at].to_vec()))
    }

    /// A document that holds only `value`, at this path; an index becomes an array of one.
    pub(crate) fn alone(&self, value: Value) -> Value {
        self.0.iter().rev().fold(value, |inner, part| match part {
            PathPart::Key(key) => Value::Object([(key.clone(), inner)].into_iter().collect()),
            PathPart::Index(_) => Value::Array(vec![inner]),
        })
    }

    /// Puts `value` at this path of `root`. An index past the end leaves holes (null) before it.
    pub(crate) fn put(&self, root: &mut Value, value: Value) {
        let mut here = root;
        for part in &self.0 {
            here = match part {
                PathPart::Key(key) => {
                    if !here.is_object() {
                        *here = Value::Object(serde_json::Map::new());
                    }
                    &mut here[key.as_str()]
                }
                PathPart::Index(index) => {
                    if !here.is_array() {
                        *here = Value::Array(Vec::new());
                    }
                    let Value::Array(items) = here else { return };
                    while items.len() <= *index {
                        items.push(Value::Null);
                    }
                    &mut items[*index]
                }
            };
        }
        *here = value;
    }
}

/// Settings that were renamed: the old name and the new one.
const RENAMED: [(&str, &str); 2] = [
    ("media.drop_needless", "media.drop_redundant"),
    ("worker.idle_above_height", "worker.defer_above_height"),
];

/// Returns the new name of a setting that was renamed; `None` for any other.
pub(crate) fn renamed(path: &SettingPath) -> Option<&'static str> {
    let path = path.to_string();
    RENAMED.iter().find(|(old, _)| *old == path).map(|(_, new)| *new)
}

impl fmt::Display for SettingPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            match part {
                PathPart::Key(key) if index == 0 => f.write_str(key)?,
                PathPart::Key(key) => write!(f, ".{key}")?,
                PathPart::Index(at) => write!(f, "[{at}]")?,
            }
        }
        Ok(())
    }
}
