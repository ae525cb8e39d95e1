//! A TCP line that can be broken and mended: slow, silent, cut, or cut in the middle of a response.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Bytes that are passed on at once.
const CHUNK_BYTES: usize = 16 << 10;

/// The other end of a line.
#[derive(Clone, Debug)]
pub enum Upstream {
    /// An address of the loopback.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

/// The condition of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Everything passes.
    Open,
    /// Each chunk of 16 KiB is delayed.
    Slow(Duration),
    /// Connections stay open, and nothing passes.
    Silent,
    /// Open connections end, and new ones end at once.
    Cut,
    /// Each connection ends once it has carried this many bytes of responses.
    CutAfter(usize),
}

/// A running line; it ends when dropped.
pub struct BreakableLine {
    /// Where it listens.
    pub address: SocketAddr,
    condition: watch::Sender<Condition>,
    accepting: JoinHandle<()>,
}

impl BreakableLine {
    /// Listens on a free port of the loopback and passes everything on to `upstream`.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn start(upstream: Upstream) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (condition, watched) = watch::channel(Condition::Open);
        Ok(Self { address, condition, accepting: tokio::spawn(accept(listener, upstream, watched)) })
    }

    /// Changes the line, also for connections that are open.
    pub fn set(&self, condition: Condition) {
        self.condition.send_replace(condition);
    }
}

impl Drop for BreakableLine {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, upstream: Upstream, condition: watch::Receiver<Condition>) {
    // Dropped with this task: a line that is gone takes its connections with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                let (upstream, condition) = (upstream.clone(), condition.clone());
                connections.spawn(async move {
                    let _ = carry(client, upstream, condition).await;
                });
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn carry(
    client: TcpStream,
    upstream: Upstream,
    condition: watch::Receiver<Condition>,
) -> io::Result<()> {
    if *condition.borrow() == Condition::Cut {
        return Ok(());
    }
    client.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    match upstream {
        Upstream::Tcp(address) => {
            let server = TcpStream::connect(address).await?;
            server.set_nodelay(true)?;
            let (from_server, to_server) = server.into_split();
            both(from_client, to_client, from_server, to_server, condition).await
        }
        Upstream::Unix(path) => {
            let (from_server, to_server) = UnixStream::connect(path).await?.into_split();
            both(from_client, to_client, from_server, to_server, condition).await
        }
    }
}

async fn both(
    from_client: impl AsyncRead + Unpin,
    to_client: impl AsyncWrite + Unpin,
    from_server: impl AsyncRead + Unpin,
    to_server: impl AsyncWrite + Unpin,
    condition: watch::Receiver<Condition>,
) -> io::Result<()> {
    let up = pass(from_client, to_server, condition.clone(), false);
    let down = pass(from_server, to_client, condition, true);
    tokio::try_join!(up, down).map(drop)
}

/// One direction of one connection.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut condition: watch::Receiver<Condition>,
    is_response: bool,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    // Response bytes since the line was last in another condition.
    let mut carried = 0;
    loop {
        let length = tokio::select! {
            length = from.read(&mut chunk) => length?,
            cut = condition.wait_for(|now| *now == Condition::Cut) => {
                drop(cut);
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        };
        if length == 0 {
            return to.shutdown().await;
        }
        let mut allowed = length;
        loop {
            let now = *condition.borrow_and_update();
            match now {
                Condition::Open => carried = 0,
                Condition::Slow(delay) => tokio::time::sleep(delay).await,
                Condition::Cut => return Err(io::ErrorKind::ConnectionReset.into()),
                Condition::CutAfter(bytes) if is_response => allowed = length.min(bytes - bytes.min(carried)),
                Condition::CutAfter(_) => {}
                Condition::Silent => {
                    if condition.changed().await.is_err() {
                        return Ok(());
                    }
                    continue;
                }
            }
            break;
        }
        to.write_all(&chunk[..allowed]).await?;
        carried += allowed;
        if allowed < length {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
    }
}
