//! A stream as a viewer's link leads to it: copied from the server as a player fetches it, and held
//! to every checker.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use reqwest::Url;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING};

use crate::apple::{self, Delivered};
use crate::client::Client;
use crate::playlist::uris;
use crate::{node, presentation};

/// A stream's copy in a folder.
pub struct FetchedStream {
    /// Its multivariant playlist.
    pub master: PathBuf,
    /// The texts of all its playlists by the addresses they came from.
    pub playlists: Vec<(String, String)>,
    /// How they came, by their URI in the copy; the multivariant playlist under its file's name.
    delivered: BTreeMap<String, Delivered>,
}

const MASTER: &str = "master.m3u8";

/// Copies the stream that a new link to a recording leads to into `folder`.
pub async fn fetch(client: &Client, recording: &str, folder: &Path) -> FetchedStream {
    let link = client.link(recording).await;
    let url = link["master_url"].as_str().unwrap();
    let (text, how) = playlist(client, url).await;
    let named = uris(&text);
    let base = named[0].split_inclusive("/hls/").next().unwrap();
    let master = folder.join("1").join(MASTER);
    let local = text.replace(base, "../");
    write(&master, local.as_bytes());
    let mut delivered = BTreeMap::from([(MASTER.to_owned(), how)]);
    let mut playlists = vec![(url.to_owned(), text.clone())];
    for uri in &named {
        let (text, how) = playlist(client, uri).await;
        let parent = uri.rsplit_once('/').unwrap().0;
        let mut parts = uris(&text);
        parts.dedup();
        for part in parts {
            let address = format!("{parent}/{part}");
            let answer = client.open(&address).await;
            assert!(answer.status().is_success(), "{address}: {}", answer.status());
            write(&folder.join(address.strip_prefix(base).unwrap()), &answer.bytes().await.unwrap());
        }
        let path = uri.strip_prefix(base).unwrap();
        write(&folder.join(path), text.as_bytes());
        delivered.insert(format!("../{path}"), how);
        playlists.push((uri.clone(), text));
    }
    FetchedStream { master, playlists, delivered }
}

/// A playlist's text, and how it comes to a browser.
async fn playlist(client: &Client, url: &str) -> (String, Delivered) {
    let asked = Url::parse(&client.url).unwrap().join(url).unwrap();
    // First the text: while a playlist grows, what comes later is longer.
    let text = client.text(url).await;
    let answer = client.open_with(url, &[(ACCEPT_ENCODING, "gzip")]).await;
    let how = Delivered {
        redirected: answer.url().path() != asked.path(),
        compressed: answer.headers().get(CONTENT_ENCODING).is_some_and(|coding| coding == "gzip"),
    };
    (text, how)
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

impl FetchedStream {
    /// Problems that hls-parser, Apple's rules and ffprobe find, segment by segment.
    pub fn wrong(&self, scratch: &Path) -> Vec<String> {
        let mut wrong = node::playlists(self.playlists.clone());
        let mut read = presentation::read(&self.master);
        read.delivered = self.delivered.get(MASTER).copied();
        for (uri, media) in &mut read.media {
            media.delivered = self.delivered.get(uri).copied();
        }
        wrong.extend(apple::broken(&read).iter().map(|b| format!("rule {}: {}", b.rule, b.what)));
        for uri in self.delivered.keys().filter(|uri| *uri != MASTER) {
            let said = presentation::probe_segments(&self.master.with_file_name(uri), scratch);
            wrong.extend(said.into_iter().map(|what| format!("{uri}: {what}")));
        }
        wrong
    }
}
