#![allow(clippy::unwrap_used)]

use std::path::Path as FilePath;

use super::{load, merge};
use crate::problem::Problems;
use crate::{Secret, Settings, StoreKind, print, schema};

const DEFAULT: &str = include_str!("../../default.toml");

fn pairs(given: &[(&str, &str)]) -> Vec<(String, String)> {
    given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn from(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Settings, Problems> {
    merge(Some(("c.toml", file)), &pairs(environment), &pairs(flags))
}

#[test]
fn default_toml_is_exactly_the_defaults() {
    assert_eq!(from(DEFAULT, &[], &[]).unwrap(), Settings::default());
    let reference: toml::Table = DEFAULT.parse().unwrap();
    let defaults = toml::Table::try_from(Settings::default()).unwrap();
    // Secrets are redacted when written, so the one with a default is compared by the first
    // assertion alone.
    let names = |table: &toml::Table| {
        let mut names = Vec::new();
        collect("", &toml::Value::Table(table.clone()), &mut names);
        names
    };
    assert_eq!(names(&reference), names(&defaults), "every setting stands in default.toml");
}

fn collect(path: &str, value: &toml::Value, names: &mut Vec<String>) {
    match value {
        toml::Value::Table(table) => {
            table.iter().for_each(|(key, value)| collect(&format!("{path}.{key}"), value, names));
        }
        toml::Value::Array(items) if items.iter().all(toml::Value::is_table) => {
            items.iter().for_each(|item| collect(path, item, names));
        }
        _ => names.push(path.to_owned()),
    }
}

#[test]
fn every_setting_of_default_toml_has_a_comment_above_it() {
    let lines: Vec<&str> = DEFAULT.lines().collect();
    let first_rung = lines.iter().position(|line| *line == "[[media.ladder]]").unwrap();
    let after_ladder = lines.iter().position(|line| *line == "[speech]").unwrap();
    let first_rung_ends = first_rung + lines[first_rung..].iter().position(|line| line.is_empty()).unwrap();
    for (at, line) in
        lines.iter().enumerate().filter(|(_, line)| line.contains(" = ") && !line.starts_with('#'))
    {
        let further_rung = (first_rung_ends..after_ladder).contains(&at);
        assert!(further_rung || lines[at - 1].starts_with("# "), "line {}: {line} has no comment", at + 1);
    }
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = "[server]\nlisten = \"127.0.0.1:1\"\npublic_url = \"http://file\"\nmax_connections = 7\n";
    let environment = [
        ("CHALKSTREAM__SERVER__LISTEN", "127.0.0.1:2"),
        ("CHALKSTREAM__SERVER__PUBLIC_URL", "http://environment"),
        ("CHALKSTREAM__WORKER__SLOTS", "3"),
        ("CHALKSTREAM__STORE__PATH", "42"),
        ("CHALKSTREAM__SERVER__CORS_ORIGINS", "[\"https://a.example\"]"),
        ("CHALKSTREAM__WORKER__ALLOW_UNSANDBOXED", "true"),
    ];
    let settings = from(file, &environment, &[("server.listen", "127.0.0.1:3")]).unwrap();
    assert_eq!(settings.server.listen.port(), 3);
    assert_eq!(settings.server.public_url, "http://environment");
    assert_eq!(settings.server.max_connections, 7);
    assert_eq!(settings.worker.slots, 3);
    assert_eq!(settings.store.path, FilePath::new("42"), "text stays text where text is wanted");
    assert_eq!(settings.server.cors_origins, ["https://a.example"]);
    assert!(settings.worker.allow_unsandboxed);
}

#[test]
fn a_list_is_replaced_as_a_whole() {
    let one = "{name=\"v240\", width=426, height=240, max_frame_rate=15, bitrate_bps=110000}";
    let environment = [("CHALKSTREAM__MEDIA__LADDER", format!("[{one}]"))];
    let environment: Vec<(&str, &str)> =
        environment.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let settings = from(DEFAULT, &environment, &[]).unwrap();
    assert_eq!(settings.media.ladder.len(), 1);
    assert_eq!(settings.media.ladder[0].name, "v240");
}

#[test]
fn every_problem_is_told_at_once_with_its_place() {
    let file = r#"
[store]
kind = "s3"
knid = 1
s3.part_bytes = 1048576
[serve]
[worker]
slots = "many"
[[media.ladder]]
name = "v360"
width = 640
height = 361
max_frame_rate = 30
bitrate_bps = 450000
[[media.ladder]]
name = "v360"
width = 426
max_frame_rate = 15
bitrate_bps = 110000
colour = "blue"
[log]
level = "inof"
[search]
engine = "opensearch"
[search.opensearch]
username = "chalkstream"
index_prefix = "a_b"
"#;
    let environment = [("CHALKSTREAM__SERVER__LISTEN", "here"), ("CHALKSTREAM__RDS", "x")];
    let problems = from(file, &environment, &[("speech.threads", "0")]).unwrap_err().to_string();
    let reported: Vec<&str> = problems.lines().collect();
    for expected in [
        "c.toml:3:1: store.s3.bucket: is required if store.kind is \"s3\"",
        "c.toml:4:1: store.knid: unknown field `knid`, expected one of `kind`, `path`, `s3`",
        "c.toml:5:4: store.s3.part_bytes: is 1048576, and must be 5242880 to 67108864",
        "c.toml:6:2: serve: unknown field `serve`",
        "c.toml:8:1: worker.slots: invalid type: string \"many\", expected u32",
        "c.toml:12:1: media.ladder[0].height: is 361, and must be an even number",
        "c.toml:16:1: media.ladder[1].name: \"v360\" is in the ladder twice",
        "c.toml:16:1: media.ladder[1].height: is 0, and must be an even number",
        "c.toml:20:1: media.ladder[1].colour: unknown field `colour`",
        "c.toml:22:1: log.level: is not a filter",
        "c.toml:24:1: search.opensearch.url: is required if search.engine is \"opensearch\"",
        "c.toml:26:1: search.opensearch.password: and search.opensearch.username must be set together",
        "c.toml:27:1: search.opensearch.index_prefix: must be at most 40 small letters",
        "environment variable CHALKSTREAM__SERVER__LISTEN: server.listen: invalid socket address syntax",
        "environment variable CHALKSTREAM__RDS: rds: unknown field `rds`",
        "flag speech.threads: speech.threads: is 0, and must be 1 to 256",
    ] {
        assert!(reported.iter().any(|line| line.starts_with(expected)), "{expected}\nnot in\n{problems}");
    }
}

#[test]
fn an_old_name_is_an_error_that_names_the_new_one() {
    let file = "[media]\ndrop_needless = false\n[worker]\nidle_above_height = 720\n";
    let flag = [("worker.idle_above_height", "720")];
    let problems = from(file, &[("CHALKSTREAM__MEDIA__DROP_NEEDLESS", "false")], &flag);
    let text = problems.unwrap_err().to_string();
    for expected in [
        "environment variable CHALKSTREAM__MEDIA__DROP_NEEDLESS: media.drop_needless: \
         was renamed to media.drop_redundant",
        "flag worker.idle_above_height: worker.idle_above_height: \
         was renamed to worker.defer_above_height",
    ] {
        assert!(text.lines().any(|line| line == expected), "{expected}\nnot in\n{text}");
    }
    let text = from(file, &[], &[]).unwrap_err().to_string();
    assert!(text.contains("c.toml:2:1: media.drop_needless: was renamed to media.drop_redundant"), "{text}");
    assert!(
        text.contains("c.toml:4:1: worker.idle_above_height: was renamed to worker.defer_above_height"),
        "{text}"
    );
}

#[test]
fn a_syntax_error_does_not_hide_the_rest() {
    let problems = from("[server]\nlisten = \n[log]\nlevel = \"loud\"\n", &[], &[]).unwrap_err();
    let text = problems.to_string();
    assert!(text.contains("c.toml:2:"), "{text}");
    assert!(text.contains("log.level"), "{text}");
}

#[test]
fn a_missing_file_is_a_problem_beside_the_others() {
    let flags = pairs(&[("redis.events_kept", "1")]);
    let problems = load(Some(FilePath::new("/nowhere/c.toml")), &flags).unwrap_err().to_string();
    assert!(problems.contains("/nowhere/c.toml: cannot be read"), "{problems}");
    assert!(problems.contains("redis.events_kept"), "{problems}");
}

#[test]
fn secrets_show_neither_in_print_nor_in_debug_nor_in_problems() {
    let mut settings = Settings::default();
    settings.redis.url = Secret::new("redis://:hunter2@host");
    settings.store.s3.secret_access_key = Secret::new("hunter2");
    assert!(!print(&settings).contains("hunter2") && !format!("{settings:?}").contains("hunter2"));
    assert!(print(&settings).contains("url = \"[redacted]\""));

    for (file, flag) in [
        ("redis = \"redis://:hunter2@host\"", ("store.s3", "hunter2")),
        ("store.s3 = \"hunter2\"", ("redis", "hunter2")),
        ("redis.url = [\"hunter2\"]", ("store.s3.secret_access_key", "hunter2")),
        ("redis.url = \"http://hunter2\"", ("store.s3.secret_access_kye", "hunter2")),
        ("[redis]\nurl = \"hunter2\nprefix = \"x\"", ("redis.url", "hunter2")),
    ] {
        let problems = from(file, &[], &[flag]).unwrap_err().to_string();
        assert!(!problems.contains("hunter2"), "{problems}");
    }
}

#[test]
fn what_is_printed_reads_back_but_for_secrets() {
    let mut settings = Settings::default();
    settings.store.kind = StoreKind::S3;
    settings.store.s3.bucket = "lessons".into();
    settings.store.s3.access_key_id = "key".into();
    settings.store.s3.secret_access_key = Secret::new("hunter2");
    settings.redis.url = Secret::new("redis://127.0.0.1:6379");
    let problems = from(&print(&settings), &[], &[]).unwrap_err().to_string();
    assert_eq!(problems.lines().count(), 2, "{problems}");
    let secrets = [("redis.url", "redis://127.0.0.1:6379"), ("store.s3.secret_access_key", "hunter2")];
    let read = from(&print(&settings), &[], &secrets).unwrap();
    assert_eq!(read, settings);
}

#[test]
fn the_schema_knows_every_section_and_marks_secrets() {
    let schema: serde_json::Value = serde_json::from_str(&schema()).unwrap();
    for section in
        ["store", "redis", "server", "search", "playback", "worker", "media", "speech", "retention", "log"]
    {
        assert!(schema["properties"][section].is_object(), "{section}");
    }
    assert_eq!(schema["additionalProperties"], serde_json::Value::Bool(false));
    let secrets: Vec<String> = crate::show::secrets().iter().map(ToString::to_string).collect();
    let expected = [
        "redis.sentinel_password",
        "redis.url",
        "search.opensearch.password",
        "store.s3.secret_access_key",
        "store.s3.session_token",
    ];
    assert_eq!(secrets, expected);
}
