//! `shaper`: a weak line for the browser scripts. One JSON document a line on standard input, each
//! answered with one: first `{ "upstream": "127.0.0.1:8480", "down_bps", "up_bps", "one_way_ms" }`
//! → `{ "port" }`, then as often as wanted `{ "down_bps", "up_bps" }`, or `{}` to ask only → `{
//! "down_bytes", "up_bytes", "connections" }`. Ends with its input.
#![allow(clippy::print_stdout)]

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use chalkstream_tests::line_shaper::{LineShaper, Rates};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Start {
    upstream: SocketAddr,
    down_bps: u64,
    up_bps: u64,
    one_way_ms: u64,
}

#[derive(Deserialize)]
struct Change {
    down_bps: Option<u64>,
    up_bps: Option<u64>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Reading blocks this thread, and this one alone: the line has threads of its own.
    let mut lines = std::io::stdin().lines();
    let first = lines.next().context("the first line says what to shape")??;
    let start: Start = serde_json::from_str(&first)?;
    let mut rates = Rates { down_bps: start.down_bps, up_bps: start.up_bps };
    let shaper = LineShaper::start(start.upstream, rates, Duration::from_millis(start.one_way_ms)).await?;
    println!("{}", json!({ "port": shaper.address.port() }));
    for line in lines {
        let change: Change = serde_json::from_str(&line?)?;
        let next = Rates {
            down_bps: change.down_bps.unwrap_or(rates.down_bps),
            up_bps: change.up_bps.unwrap_or(rates.up_bps),
        };
        if next != rates {
            rates = next;
            shaper.set(rates);
        }
        let (down_bytes, up_bytes, connections) = shaper.passed().now();
        println!("{}", json!({ "down_bytes": down_bytes, "up_bytes": up_bytes, "connections": connections }));
    }
    Ok(())
}
