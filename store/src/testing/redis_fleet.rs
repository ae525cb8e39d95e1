//! Several Redis servers: a primary with sentinels, and a cluster.

use chalkstream_config::{self as config, RedisTopology};

use super::redis_process::{RedisProcess, ask, free_ports, until};

/// Some servers, of which one holds our keys and one follows it.
pub(crate) struct RedisFleet {
    settings: config::Redis,
    primary: (Option<RedisProcess>, u16),
    _others: Vec<RedisProcess>,
    _folder: tempfile::TempDir,
    replica: u16,
}

/// Settings of a server that keeps nothing on disk.
const QUICK: [&str; 4] = ["--save", "", "--repl-diskless-sync-delay", "0"];
/// Milliseconds after which a server that does not answer counts as gone.
const GONE_MS: &str = "500";

impl RedisFleet {
    /// A primary, a replica, and three sentinels.
    pub(crate) async fn sentinel() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [primary, replica, sentinels @ ..] = free_ports::<5>();
        let start = |port: u16, more: &[&str]| server(&folder, port, &[&QUICK, more].concat());
        let first = start(primary, &[]);
        let second = start(replica, &["--replicaof", "127.0.0.1", &primary.to_string()]);
        let mut others = vec![second];
        until(replica, &["INFO", "replication"], "master_link_status:up").await;
        for port in sentinels {
            let file = folder.path().join(format!("sentinel-{port}.conf"));
            let text = format!(
                "port {port}\nsentinel monitor lessons 127.0.0.1 {primary} 2\n\
                 sentinel down-after-milliseconds lessons {GONE_MS}\nsentinel failover-timeout lessons 3000\n"
            );
            std::fs::write(&file, text).unwrap();
            let own = folder.path().join(port.to_string());
            std::fs::create_dir(&own).unwrap();
            others.push(RedisProcess::start(&own, &[file.to_str().unwrap(), "--sentinel"]));
        }
        for port in sentinels {
            // The replica is known, and so are the other two.
            until(port, &["SENTINEL", "REPLICAS", "lessons"], &replica.to_string()).await;
            until(port, &["SENTINEL", "CKQUORUM", "lessons"], "3 usable").await;
        }
        let url = format!(
            "redis://127.0.0.1:{},127.0.0.1:{},127.0.0.1:{}",
            sentinels[0], sentinels[1], sentinels[2]
        );
        let settings = config::Redis {
            url: config::Secret::new(url),
            topology: RedisTopology::Sentinel,
            sentinel_service: "lessons".into(),
            ..Default::default()
        };
        Self { settings, primary: (Some(first), primary), _others: others, _folder: folder, replica }
    }

    /// Three primaries, and a replica of the one that holds our keys.
    pub(crate) async fn cluster() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (ports, buses) = (free_ports::<4>(), free_ports::<4>());
        let mut nodes: Vec<RedisProcess> = Vec::new();
        for (port, bus) in ports.into_iter().zip(buses) {
            let (file, bus) = (format!("nodes-{port}.conf"), bus.to_string());
            let cluster =
                ["--cluster-enabled", "yes", "--cluster-config-file", &file, "--cluster-port", &bus];
            let quick = ["--cluster-node-timeout", GONE_MS, "--cluster-replica-validity-factor", "0"];
            nodes.push(server(&folder, port, &[&QUICK[..], &cluster, &quick].concat()));
        }
        for port in ports {
            until(port, &["PING"], "PONG").await;
        }
        let settings = config::Redis {
            url: config::Secret::new(format!("redis://127.0.0.1:{},127.0.0.1:{}", ports[0], ports[1])),
            topology: RedisTopology::Cluster,
            ..Default::default()
        };
        let slot = ask(ports[0], &["CLUSTER", "KEYSLOT", &crate::redis_client::base(&settings)]).await;
        let slot: u16 = redis::from_redis_value(slot.unwrap()).unwrap();
        let shares = [(0, 5_460), (5_461, 10_922), (10_923, 16_383)];
        for (index, (first, last)) in shares.into_iter().enumerate() {
            // Epochs of their own: else the nodes need a while to agree.
            ask(ports[index], &["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]).await.unwrap();
            let range = ["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()];
            ask(ports[index], &range).await.unwrap();
        }
        let owner = shares.iter().position(|(first, last)| (*first..=*last).contains(&slot)).unwrap();
        for (port, bus) in ports.into_iter().zip(buses).skip(1) {
            let meet = ["CLUSTER", "MEET", "127.0.0.1", &port.to_string(), &bus.to_string()];
            ask(ports[0], &meet).await.unwrap();
        }
        for port in ports {
            until(port, &["CLUSTER", "INFO"], "cluster_known_nodes:4").await;
            until(port, &["CLUSTER", "INFO"], "cluster_state:ok").await;
        }
        let id = ask(ports[owner], &["CLUSTER", "MYID"]).await.unwrap();
        let id: String = redis::from_redis_value(id).unwrap();
        ask(ports[3], &["CLUSTER", "REPLICATE", &id]).await.unwrap();
        until(ports[3], &["INFO", "replication"], "master_link_status:up").await;
        for port in ports {
            until(port, &["CLUSTER", "NODES"], "slave").await;
        }
        let primary = nodes.remove(owner);
        Self {
            settings,
            primary: (Some(primary), ports[owner]),
            _others: nodes,
            _folder: folder,
            replica: ports[3],
        }
    }

    pub(crate) fn settings(&self) -> config::Redis {
        self.settings.clone()
    }

    /// Kills the server that holds our keys, once the replica has them all.
    pub(crate) async fn fail_over(&mut self) {
        let written = format!("slave_repl_offset:{}\r", offset(self.primary.1).await);
        until(self.replica, &["INFO", "replication"], &written.escape_debug().to_string()).await;
        self.primary.0 = None;
    }
}

/// How many bytes a primary has sent to its replicas.
async fn offset(port: u16) -> u64 {
    let info = ask(port, &["INFO", "replication"]).await.unwrap();
    let info: String = redis::from_redis_value(info).unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix("master_repl_offset:"));
    line.unwrap().trim().parse().unwrap()
}

fn server(folder: &tempfile::TempDir, port: u16, more: &[&str]) -> RedisProcess {
    RedisProcess::start(
        folder.path(),
        &[&["--port", &port.to_string(), "--bind", "127.0.0.1"], more].concat(),
    )
}
