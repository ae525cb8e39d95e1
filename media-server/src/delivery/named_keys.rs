//! The keys that a playlist names, in a few bytes: its segments are numbered.

use std::collections::BTreeSet;

/// A set of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedKeys {
    runs: Vec<KeyRun>,
    others: BTreeSet<String>,
}

/// Keys that differ in their number only, such as `hls/video/9/v240/00001.m4s` to `…/00844.m4s`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct KeyRun {
    prefix: Box<str>,
    suffix: Box<str>,
    digits: usize,
    first: u64,
    last: u64,
}

impl NamedKeys {
    /// Adds a key.
    pub fn insert(&mut self, key: String) {
        let Some((prefix, number, suffix)) = split(&key) else {
            self.others.insert(key);
            return;
        };
        let Ok(value) = number.parse::<u64>() else {
            self.others.insert(key);
            return;
        };
        if let Some(run) = self.runs.iter_mut().find(|run| run.is_of(prefix, number, suffix)) {
            if (run.first..=run.last).contains(&value) {
                return;
            }
            if value == run.last + 1 {
                run.last = value;
                return;
            }
        }
        let run = KeyRun {
            prefix: prefix.into(),
            suffix: suffix.into(),
            digits: number.len(),
            first: value,
            last: value,
        };
        self.runs.insert(0, run);
    }

    /// True if the key is one of them.
    pub fn contains(&self, key: &str) -> bool {
        let numbered = || {
            let (prefix, number, suffix) = split(key)?;
            let value = number.parse().ok()?;
            let mut runs = self.runs.iter().filter(|run| run.is_of(prefix, number, suffix));
            Some(runs.any(|run| (run.first..=run.last).contains(&value)))
        };
        numbered().unwrap_or_default() || self.others.contains(key)
    }

    /// The keys without a number.
    pub fn unnumbered(&self) -> impl Iterator<Item = &String> {
        self.others.iter()
    }

    /// Approximate bytes in memory.
    pub fn weight(&self) -> usize {
        let runs = self.runs.iter().map(|run| size_of::<KeyRun>() + run.prefix.len() + run.suffix.len() + 32);
        runs.chain(self.others.iter().map(|key| key.len() + 48)).sum()
    }
}

impl KeyRun {
    fn is_of(&self, prefix: &str, number: &str, suffix: &str) -> bool {
        *self.prefix == *prefix && *self.suffix == *suffix && self.digits == number.len()
    }
}

/// Splits a key at the digits with which its file name begins; `None` if it has none.
fn split(key: &str) -> Option<(&str, &str, &str)> {
    let name = key.rfind('/').map_or(0, |at| at + 1);
    let digits = key[name..].bytes().take_while(u8::is_ascii_digit).count();
    let end = name + digits;
    (1..=18).contains(&digits).then(|| (&key[..name], &key[name..end], &key[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lesson_takes_a_few_bytes_and_names_just_its_own() {
        let mut keys = NamedKeys::default();
        keys.insert("hls/video/9/v240/init.mp4".into());
        for number in (1..=844).chain([900, 901]).chain([3]) {
            keys.insert(format!("hls/video/9/v240/{number:05}.m4s"));
        }
        for key in ["00001.m4s", "00844.m4s", "00900.m4s", "00901.m4s", "init.mp4"] {
            assert!(keys.contains(&format!("hls/video/9/v240/{key}")), "{key}");
        }
        for key in
            ["00000.m4s", "00845.m4s", "00902.m4s", "0001.m4s", "00001.m4", "00001.m4s/x", "init.mp", ""]
        {
            assert!(!keys.contains(&format!("hls/video/9/v240/{key}")), "{key}");
        }
        assert!(!keys.contains("hls/video/9/v480/00001.m4s"));
        assert_eq!(keys.unnumbered().collect::<Vec<_>>(), ["hls/video/9/v240/init.mp4"]);
        assert!(keys.weight() < 600, "{}", keys.weight());
    }
}
