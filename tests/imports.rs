//! Inside a crate, files import each other in one direction only.
//!
//! An import is a path in a `use`, or a path in code that starts with `crate`, `super`, `self` or a
//! child module. A parent's `pub use` of its child and inline test modules do not count.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The path of a module, such as `gst::linker`, and its code.
type Modules = BTreeMap<Vec<String>, String>;

#[test]
fn no_two_files_of_a_crate_import_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = ")).unwrap();
    let members = members.split('"').skip(1).step_by(2).map(|member| format!("{member}/src"));
    for folder in members.chain(["src".to_owned()]) {
        let mut modules = Modules::new();
        read(&root.join(&folder), &[], &mut modules);
        assert!(!modules.is_empty(), "{folder} has no files");
        let all: BTreeMap<_, _> =
            modules.iter().map(|(own, code)| (own, imports(own, code, &modules))).collect();
        // Take away files that import none of the others until only cycles, and what leads to them,
        // are left.
        let mut left: BTreeSet<&Vec<String>> = all.keys().copied().collect();
        while let Some(leaf) =
            left.iter().find(|own| !all[**own].iter().any(|other| left.contains(other))).copied()
        {
            left.remove(leaf);
        }
        let left: Vec<String> = left.iter().map(|own| own.join("::")).collect();
        assert!(left.is_empty(), "import cycles in {folder} among {left:?}");
    }
}

/// Reads all files below a folder, without comments and inline tests.
fn read(folder: &Path, parent: &[String], modules: &mut Modules) {
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let is_parent = ["lib", "main", "mod"].contains(&name.as_str());
        let own = if is_parent { parent.to_vec() } else { [parent, &[name]].concat() };
        if path.is_dir() {
            read(&path, &own, modules);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let lines: Vec<&str> = code.lines().map(|line| line.split("//").next().unwrap()).collect();
            modules.insert(own, lines.join(" "));
        }
    }
}

/// The modules of the same crate that a module imports.
fn imports<'a>(own: &[String], code: &str, modules: &'a Modules) -> BTreeSet<&'a Vec<String>> {
    let mut found = BTreeSet::new();
    for statement in code.split(';') {
        let (mut paths, mut reexports) = (Vec::new(), false);
        let mut code = statement;
        if let Some((before, tree)) = statement.rsplit_once("use ")
            && before.chars().last().is_none_or(char::is_whitespace)
        {
            reexports = before.split_whitespace().last().is_some_and(|word| word.starts_with("pub"));
            expand("", tree, &mut paths);
            code = before;
        }
        let is_path = |word: &&str| word.contains("::");
        let words = code.split(|c: char| !c.is_alphanumeric() && !"_:".contains(c));
        let inline = words.filter(is_path).map(|word| (word.to_owned(), false));
        for (path, reexports) in paths.into_iter().map(|path| (path, reexports)).chain(inline) {
            let target = resolve(own, &path, modules);
            found.extend(target.filter(|target| *target != own && !(reexports && target.starts_with(own))));
        }
    }
    found
}

/// Expands `a::{b, c::{d, e}}` to `a::b`, `a::c::d` and `a::c::e`.
fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let (head, body) = tree.trim().split_once('{').unwrap_or((tree.trim(), ""));
    let prefix = format!("{prefix}{}", head.split(" as ").next().unwrap());
    let (mut depth, mut from) = (0, 0);
    for (at, c) in body.char_indices() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if (c == ',' && depth == 0) || depth < 0 {
            expand(&prefix, &body[from..at], paths);
            from = at + 1;
        }
        if depth < 0 {
            return;
        }
    }
    paths.push(prefix);
}

/// Finds the module that a path leads into. `None` if that is another crate.
fn resolve<'a>(own: &[String], path: &str, modules: &'a Modules) -> Option<&'a Vec<String>> {
    let mut base = own.to_vec();
    let mut words = path.split("::").map(str::trim).filter(|word| !word.is_empty()).peekable();
    match *words.peek()? {
        "crate" => base.clear(),
        "super" | "self" => {}
        child => {
            base.push(child.to_owned());
            modules.get(&base)?;
            base.pop();
        }
    }
    for word in words {
        match word {
            "crate" | "self" => {}
            "super" => drop(base.pop()),
            _ => base.push(word.to_owned()),
        }
    }
    (0..=base.len()).rev().find_map(|end| modules.get_key_value(&base[..end])).map(|(module, _)| module)
}
