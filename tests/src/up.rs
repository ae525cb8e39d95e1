//! `chalkstream up`: everything in one folder, as the demo and a single box run it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::client::Client;
use crate::process::{Process, chalkstream, free_port};
use crate::stack::{SPEECH_MODEL, models, ready};

/// A running `up`.
pub struct Up {
    /// The process.
    pub process: Process,
    /// Base URL.
    pub url: String,
    data: PathBuf,
    settings: Vec<(String, String)>,
}

impl Up {
    /// Starts it on `data` and waits until it is ready; `settings` are `SECTION__KEY` and value.
    pub async fn start(data: &Path, settings: &[(&str, String)]) -> Self {
        let port = free_port();
        let mut settings: Vec<_> = settings.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        settings.push(("SPEECH__MODEL_PATH".to_owned(), models().display().to_string()));
        settings.push(("SPEECH__MODEL".to_owned(), SPEECH_MODEL.to_owned()));
        let listen = format!("127.0.0.1:{port}");
        std::fs::create_dir_all(data).unwrap();
        let command = command(data, &settings, &["up", "--listen", &listen]);
        let process = Process::start("up", command, data.join("up.log"));
        let up = Self { process, url: format!("http://{listen}"), data: data.to_owned(), settings };
        ready(&up.url).await;
        up
    }

    /// A command of the binary that finds this `up` by its folder.
    pub fn command(&self, words: &[&str]) -> Command {
        command(&self.data, &self.settings, words)
    }

    /// A client with the key that `up` left in its folder.
    pub fn client(&self) -> Client {
        let text = std::fs::read_to_string(self.data.join("credentials.toml")).unwrap();
        let key = text
            .lines()
            .find_map(|line| line.strip_prefix("api_key"))
            .and_then(|rest| rest.split('"').nth(1))
            .expect("api_key in credentials.toml");
        Client::new(&self.url, key)
    }
}

fn command(data: &Path, settings: &[(String, String)], words: &[&str]) -> Command {
    let mut command = Command::new(chalkstream());
    command.args(words).env("CHALKSTREAM_DATA", data);
    for (key, value) in settings {
        command.env(format!("CHALKSTREAM__{key}"), value);
    }
    command
}
