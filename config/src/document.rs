//! Splits a TOML text into single values, each with its path and origin.

use serde_json::{Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::names::{PathPart, SettingPath};
use crate::problem::{Origin, SettingProblem};

/// One given value: a scalar, or an empty array or table.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub(crate) path: SettingPath,
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

/// Reads the text of a file. Syntax errors do not hide what follows them.
pub(crate) fn read(file: &str, text: &str) -> (Vec<Leaf>, Vec<SettingProblem>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let problems = errors
        .iter()
        .map(|error| SettingProblem {
            origin: origin(file, text, error.span().map_or(0, |span| span.start)),
            key: String::new(),
            message: error.message().to_owned(),
        })
        .collect();
    let mut leaves = Vec::new();
    walk_table(table.get_ref(), &SettingPath::default(), &mut |path, value, at| {
        leaves.push(Leaf { path, value, origin: origin(file, text, at) });
    });
    (leaves, problems)
}

/// Splits a value into leaves of the same origin.
pub(crate) fn split(path: &SettingPath, value: Value, origin: &Origin) -> Vec<Leaf> {
    match value {
        Value::Array(items) if !items.is_empty() => items
            .into_iter()
            .enumerate()
            .flat_map(|(index, item)| split(&path.join(PathPart::Index(index)), item, origin))
            .collect(),
        Value::Object(fields) if !fields.is_empty() => fields
            .into_iter()
            .flat_map(|(key, field)| split(&path.join(PathPart::Key(key)), field, origin))
            .collect(),
        value => vec![Leaf { path: path.clone(), value, origin: origin.clone() }],
    }
}

/// Reads one TOML value (`30`, `true`, `["a"]`), for variables and flags.
pub(crate) fn value(text: &str) -> Option<Value> {
    let document = format!("v = {text}");
    let (table, errors) = DeTable::parse_recoverable(&document);
    if !errors.is_empty() || table.get_ref().len() != 1 {
        return None;
    }
    table.get_ref().values().next().map(|value| plain(value.get_ref()))
}

type Visit<'a> = dyn FnMut(SettingPath, Value, usize) + 'a;

fn walk_table(table: &DeTable<'_>, path: &SettingPath, visit: &mut Visit<'_>) {
    for (key, value) in table {
        walk(value, &path.join(PathPart::Key(key.get_ref().to_string())), key.span().start, visit);
    }
}

/// `at` is the offset of the key, because a reader looks there. Elements of an array have offsets
/// of their own.
fn walk(value: &Spanned<DeValue<'_>>, path: &SettingPath, at: usize, visit: &mut Visit<'_>) {
    match value.get_ref() {
        DeValue::Table(table) if !table.is_empty() => walk_table(table, path, visit),
        DeValue::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &path.join(PathPart::Index(index)), item.span().start, visit);
            }
        }
        other => visit(path.clone(), plain(other), at),
    }
}

/// Returns the JSON value of the same meaning. A number that JSON cannot hold becomes text, which
/// no numeric setting takes.
fn plain(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(digits) => {
            let (text, radix) = (digits.as_str(), digits.radix());
            let number = u64::from_str_radix(text, radix).map(Number::from);
            number
                .or_else(|_| i64::from_str_radix(text, radix).map(Number::from))
                .map_or_else(|_| Value::String(text.to_owned()), Value::Number)
        }
        DeValue::Float(digits) => digits
            .as_str()
            .parse()
            .ok()
            .and_then(Number::from_f64)
            .map_or_else(|| Value::String(digits.as_str().to_owned()), Value::Number),
        DeValue::Boolean(truth) => Value::Bool(*truth),
        DeValue::Datetime(date) => Value::String(date.to_string()),
        DeValue::Array(items) => Value::Array(items.iter().map(|item| plain(item.get_ref())).collect()),
        DeValue::Table(table) => Value::Object(
            table.iter().map(|(key, value)| (key.get_ref().to_string(), plain(value.get_ref()))).collect(),
        ),
    }
}

fn origin(file: &str, text: &str, offset: usize) -> Origin {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Origin::File {
        file: file.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}
