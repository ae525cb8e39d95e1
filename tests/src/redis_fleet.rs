//! A Redis of several servers: a primary with sentinels, or a cluster. The one that holds the keys
//! can be killed.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::process::{Process, free_port, tool};
use crate::redis::{PAUSE_WRITES, is_in_sync};
use crate::wait;

/// Milliseconds after which a server that does not answer counts as gone.
const GONE_MS: &str = "500";
/// Our keys' hash tag: the default of `redis.prefix`.
const KEY: &str = "{chalkstream}";

/// Servers of which one holds our keys, and one follows it.
pub struct RedisFleet {
    /// Settings (`SECTION__KEY`) that lead to it.
    pub settings: Vec<(&'static str, String)>,
    primary: Node,
    replica: u16,
    _others: Vec<Node>,
}

struct Node {
    port: u16,
    process: Option<Process>,
}

impl RedisFleet {
    /// A primary, a replica and three sentinels, with their files in `folder`.
    pub async fn sentinel(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let primary = server(folder, &[]);
        let replica = server(folder, &["--replicaof", "127.0.0.1", &primary.port.to_string()]);
        until(replica.port, &["INFO", "replication"], "master_link_status:up").await;
        let sentinels = [(); 3].map(|()| sentinel(folder, primary.port));
        for sentinel in &sentinels {
            until(sentinel.port, &["SENTINEL", "REPLICAS", "lessons"], &replica.port.to_string()).await;
            until(sentinel.port, &["SENTINEL", "CKQUORUM", "lessons"], "3 usable").await;
        }
        let hosts = sentinels.each_ref().map(|sentinel| format!("127.0.0.1:{}", sentinel.port)).join(",");
        let settings = vec![
            ("REDIS__URL", format!("redis://{hosts}")),
            ("REDIS__TOPOLOGY", "sentinel".to_owned()),
            ("REDIS__SENTINEL_SERVICE", "lessons".to_owned()),
        ];
        let replica_port = replica.port;
        let others = sentinels.into_iter().chain([replica]).collect();
        Self { settings, primary, replica: replica_port, _others: others }
    }

    /// Three primaries, and a replica of the one that holds our keys.
    pub async fn cluster(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let buses = [(); 4].map(|()| free_port());
        let mut nodes = buses.map(|bus| cluster_node(folder, bus)).into_iter().collect::<Vec<Node>>();
        let ports: Vec<u16> = nodes.iter().map(|node| node.port).collect();
        for port in &ports {
            until(*port, &["PING"], "PONG").await;
        }
        let slot: u16 = ask(ports[0], &["CLUSTER", "KEYSLOT", KEY]).parse().unwrap();
        let shares = [(0, 5_460), (5_461, 10_922), (10_923, 16_383)];
        for (index, (first, last)) in shares.iter().enumerate() {
            // Epochs of their own: else the nodes need a while to agree.
            ask(ports[index], &["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]);
            ask(ports[index], &["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]);
        }
        for (port, bus) in ports.iter().zip(buses).skip(1) {
            ask(ports[0], &["CLUSTER", "MEET", "127.0.0.1", &port.to_string(), &bus.to_string()]);
        }
        for port in &ports {
            until(*port, &["CLUSTER", "INFO"], "cluster_known_nodes:4").await;
            until(*port, &["CLUSTER", "INFO"], "cluster_state:ok").await;
        }
        let owner = shares.iter().position(|(first, last)| (*first..=*last).contains(&slot)).unwrap();
        let id = ask(ports[owner], &["CLUSTER", "MYID"]);
        ask(ports[3], &["CLUSTER", "REPLICATE", &id]);
        until(ports[3], &["INFO", "replication"], "master_link_status:up").await;
        for port in &ports {
            until(*port, &["CLUSTER", "NODES"], "slave").await;
        }
        let settings = vec![
            ("REDIS__URL", format!("redis://127.0.0.1:{},127.0.0.1:{}", ports[0], ports[1])),
            ("REDIS__TOPOLOGY", "cluster".to_owned()),
        ];
        let primary = nodes.remove(owner);
        Self { settings, primary, replica: ports[3], _others: nodes }
    }

    /// Kills the server that holds our keys, and waits until the other one has taken over. That has
    /// all that was acknowledged.
    pub async fn fail_over(&mut self) {
        ask(self.primary.port, PAUSE_WRITES);
        wait::until("the replica is in sync", Duration::from_secs(60), || async {
            is_in_sync(&ask(self.primary.port, &["INFO", "replication"])).then_some(())
        })
        .await;
        self.primary.process = None;
        until(self.replica, &["INFO", "replication"], "role:master").await;
    }
}

fn server(folder: &Path, more: &[&str]) -> Node {
    start(folder, free_port(), more)
}

/// A node that talks to the others on the port `bus`.
fn cluster_node(folder: &Path, bus: u16) -> Node {
    let (port, bus) = (free_port(), bus.to_string());
    let cluster = ["--cluster-enabled", "yes", "--cluster-node-timeout", GONE_MS, "--cluster-port", &bus];
    start(folder, port, &[&cluster[..], &["--cluster-replica-validity-factor", "0"]].concat())
}

fn start(folder: &Path, port: u16, more: &[&str]) -> Node {
    let own = folder.join(port.to_string());
    std::fs::create_dir_all(&own).unwrap();
    let mut command = Command::new(tool("redis-server", "redis-server"));
    command.args(["--bind", "127.0.0.1", "--save", "", "--repl-diskless-sync-delay", "0"]);
    command.arg("--port").arg(port.to_string()).arg("--dir").arg(&own).args(more);
    let process = Process::start("redis-server", command, own.join("redis.log"));
    Node { port, process: Some(process) }
}

fn sentinel(folder: &Path, primary: u16) -> Node {
    let port = free_port();
    let own = folder.join(port.to_string());
    std::fs::create_dir_all(&own).unwrap();
    let file = own.join("sentinel.conf");
    let text = format!(
        "port {port}\nsentinel monitor lessons 127.0.0.1 {primary} 2\n\
         sentinel down-after-milliseconds lessons {GONE_MS}\nsentinel failover-timeout lessons 3000\n"
    );
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(tool("redis-server", "redis-server"));
    command.arg(&file).arg("--sentinel").arg("--dir").arg(&own);
    let process = Process::start("sentinel", command, own.join("sentinel.log"));
    Node { port, process: Some(process) }
}

/// Sends a command to a server; returns what `redis-cli` printed.
fn ask(port: u16, words: &[&str]) -> String {
    let cli = tool("redis-cli", "redis-tools");
    let output = Command::new(cli).args(["-p", &port.to_string()]).args(words).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Waits until the answer to a command contains a text.
async fn until(port: u16, words: &[&str], wanted: &str) {
    let what = format!("{wanted} in {words:?} of {port}");
    wait::until(&what, Duration::from_secs(60), || async { ask(port, words).contains(wanted).then_some(()) })
        .await;
}
