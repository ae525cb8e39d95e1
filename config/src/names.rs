//! The name of a setting: the path from the root to it.

use std::fmt;

use serde_json::Value;

/// One part of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// A key of a table.
    Key(String),
    /// A place in an array, from 0.
    Index(usize),
}

/// The name of a setting: `media.ladder[2].width`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path(pub(crate) Vec<Part>);

impl Path {
    /// Reads `section.key`. Indices are not read: an array is given whole.
    pub(crate) fn dotted(text: &str) -> Self {
        Self(text.split('.').map(|key| Part::Key(key.to_owned())).collect())
    }

    pub(crate) fn join(&self, part: Part) -> Self {
        let mut parts = self.0.clone();
        parts.push(part);
        Self(parts)
    }

    pub(crate) fn starts_with(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// The path of the innermost array that this path goes through.
    pub(crate) fn array(&self) -> Option<Self> {
        let at = self.0.iter().rposition(|part| matches!(part, Part::Index(_)))?;
        Some(Self(self.0[..at].to_vec()))
    }

    /// The path of the innermost array element that this path goes through.
    pub(crate) fn element(&self) -> Option<Self> {
        let at = self.0.iter().rposition(|part| matches!(part, Part::Index(_)))?;
        Some(Self(self.0[..=at].to_vec()))
    }

    /// A document that holds only `value`, at this path; an index becomes an array of one.
    pub(crate) fn alone(&self, value: Value) -> Value {
        self.0.iter().rev().fold(value, |inner, part| match part {
            Part::Key(key) => Value::Object([(key.clone(), inner)].into_iter().collect()),
            Part::Index(_) => Value::Array(vec![inner]),
        })
    }

    /// Puts `value` at this path of `root`. An index past the end leaves holes (null) before it.
    pub(crate) fn put(&self, root: &mut Value, value: Value) {
        let mut here = root;
        for part in &self.0 {
            here = match part {
                Part::Key(key) => {
                    if !here.is_object() {
                        *here = Value::Object(serde_json::Map::new());
                    }
                    &mut here[key.as_str()]
                }
                Part::Index(index) => {
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

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, part) in self.0.iter().enumerate() {
            match part {
                Part::Key(key) if place == 0 => f.write_str(key)?,
                Part::Key(key) => write!(f, ".{key}")?,
                Part::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}
