//! A weak line, as a TCP proxy: one token bucket a direction for all connections together, a fixed
//! one-way delay, and rates that change on command or by a trace.
//!
//! The payload is shaped, without the headers of TCP and IP. A new connection pays one round
//! trip before its first byte, as its handshake does on a real line. Slow start and loss are not
//! modelled.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

/// Bytes that go onto the line at once: the payload of one packet. Connections take turns by it.
const PACKET_BYTES: usize = 1448;
/// The bucket's depth: how much of unused time may be made up for. Timers are late by a millisecond
/// or two, and without it that would be lost at every packet.
const DEPTH: Duration = Duration::from_millis(20);
/// Packets of one connection that are under way at most: 370 kB, enough for 10 Mbit/s at 300 ms.
const UNDER_WAY: usize = 256;
/// Send buffer of one connection, in bytes.
const SOCKET_BUFFER_BYTES: u32 = 64 << 10;

/// How fast the line is. A rate of 0 lets nothing through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// From the server to the viewer, in bits per second.
    pub down_bps: u64,
    /// From the viewer to the server, in bits per second.
    pub up_bps: u64,
}

/// A rate from a time on: one row of a trace.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// When, counted from the start of the trace.
    pub after: Duration,
    /// Properties of the line from then on.
    pub rates: Rates,
}

/// A running proxy; it ends when dropped.
pub struct LineShaper {
    /// Where it listens.
    pub address: SocketAddr,
    rates: watch::Sender<Rates>,
    passed: Arc<TransferCounts>,
    accepting: JoinHandle<()>,
}

/// Bytes that went through so far.
#[derive(Debug, Default)]
pub struct TransferCounts {
    down_bytes: AtomicU64,
    up_bytes: AtomicU64,
    connections: AtomicU64,
}

impl TransferCounts {
    /// Bytes to the viewer, bytes to the server, and connections opened.
    pub fn now(&self) -> (u64, u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.down_bytes), read(&self.up_bytes), read(&self.connections))
    }
}

impl LineShaper {
    /// Listens on a free port of the loopback and passes everything on to `upstream`. The round
    /// trip over the idle line takes twice `one_way`.
    ///
    /// # Errors
    /// Where no port can be had.
    pub async fn start(upstream: SocketAddr, rates: Rates, one_way: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (rates, watching) = watch::channel(rates);
        let passed = Arc::new(TransferCounts::default());
        let down = Direction::new(watching.clone(), |rates| rates.down_bps);
        let up = Direction::new(watching, |rates| rates.up_bps);
        let line = Line { upstream, one_way, down, up, passed: Arc::clone(&passed) };
        Ok(Self { address, rates, passed, accepting: tokio::spawn(accept(listener, line)) })
    }

    /// Changes the line, also for the packet that is on it.
    pub fn set(&self, rates: Rates) {
        self.rates.send_replace(rates);
    }

    /// Follows a trace to its end.
    pub async fn follow(&self, trace: &[Change]) {
        let start = Instant::now();
        for change in trace {
            tokio::time::sleep_until(start + change.after).await;
            self.set(change.rates);
        }
    }

    /// Bytes that went through so far.
    pub fn passed(&self) -> &TransferCounts {
        &self.passed
    }
}

impl Drop for LineShaper {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

#[derive(Clone)]
struct Line {
    upstream: SocketAddr,
    one_way: Duration,
    down: Direction,
    up: Direction,
    passed: Arc<TransferCounts>,
}

/// One direction of the line. The task that holds the lock has a packet on it; the lock is fair, so
/// connections take turns.
#[derive(Clone)]
struct Direction {
    /// When the last packet was through.
    through: Arc<Mutex<Instant>>,
    rates: watch::Receiver<Rates>,
    of: fn(&Rates) -> u64,
}

impl Direction {
    fn new(rates: watch::Receiver<Rates>, of: fn(&Rates) -> u64) -> Self {
        Self { through: Arc::new(Mutex::new(Instant::now())), rates, of }
    }

    /// Waits until a packet of so many bytes is on the line.
    async fn send(&mut self, bytes: usize) {
        let mut through = self.through.lock().await;
        let now = Instant::now();
        let mut at = (*through).max(now.checked_sub(DEPTH).unwrap_or(now));
        let mut left_bits = bytes as f64 * 8.0;
        loop {
            let bps = (self.of)(&self.rates.borrow_and_update());
            let end = (bps > 0).then(|| at + Duration::from_secs_f64(left_bits / bps as f64));
            let sent = async {
                match end {
                    Some(end) => tokio::time::sleep_until(end).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sent => {
                    *through = end.unwrap_or(at);
                    return;
                }
                changed = self.rates.changed() => {
                    // The proxy is gone, and the connections with it.
                    if changed.is_err() {
                        return;
                    }
                    let now = Instant::now().max(at);
                    left_bits = (left_bits - (now - at).as_secs_f64() * bps as f64).max(0.0);
                    at = now;
                }
            }
        }
    }
}

async fn accept(listener: TcpListener, line: Line) {
    // Dropped with this task: a line that is gone takes its connections with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // Out of descriptors or aborted by the peer: the next one may succeed.
                let Ok((viewer, _)) = accepted else { continue };
                line.passed.connections.fetch_add(1, Ordering::Relaxed);
                let line = line.clone();
                connections.spawn(async move {
                    let _ = carry(viewer, line).await;
                });
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn carry(viewer: TcpStream, line: Line) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
    let server = socket.connect(line.upstream).await?;
    viewer.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_viewer, to_viewer) = viewer.into_split();
    let (from_server, to_server) = server.into_split();
    let passed = &line.passed;
    let up = pass(from_viewer, to_server, line.up, line.one_way, 2 * line.one_way, &passed.up_bytes);
    let down = pass(from_server, to_viewer, line.down, line.one_way, Duration::ZERO, &passed.down_bytes);
    // A side that breaks takes the other with it; one that only ends leaves the other open.
    tokio::try_join!(up, down).map(|_| ())
}

/// One direction of one connection: `handshake` is what its first byte waits for next to the delay.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut direction: Direction,
    one_way: Duration,
    handshake: Duration,
    passed: &AtomicU64,
) -> io::Result<()> {
    let (under_way, mut arriving) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let opened = Instant::now() + handshake;
    let send = async move {
        loop {
            let mut packet = vec![0; PACKET_BYTES];
            let bytes = from.read(&mut packet).await?;
            if bytes == 0 {
                return io::Result::Ok(());
            }
            packet.truncate(bytes);
            tokio::time::sleep_until(opened).await;
            direction.send(bytes).await;
            if under_way.send((Instant::now() + one_way, packet)).await.is_err() {
                return Ok(());
            }
        }
    };
    let arrive = async move {
        while let Some((at, packet)) = arriving.recv().await {
            tokio::time::sleep_until(at).await;
            to.write_all(&packet).await?;
            passed.fetch_add(packet.len() as u64, Ordering::Relaxed);
        }
        to.shutdown().await
    };
    tokio::try_join!(send, arrive).map(|_| ())
}
