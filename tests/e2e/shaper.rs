//! The weak line itself: what it lets through, how late, and for how many at once.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chalkstream_tests::line_shaper::{Change, LineShaper, Rates};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A server that answers a number of bytes (8 bytes, big endian) with as many.
async fn source() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut peer, _)) = listener.accept().await {
            tokio::spawn(async move {
                while let Ok(bytes) = peer.read_u64().await {
                    if peer.write_all(&vec![7; bytes as usize]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

async fn ask(line: &mut TcpStream, bytes: usize) -> Duration {
    let asked = Instant::now();
    line.write_u64(bytes as u64).await.unwrap();
    let mut all = vec![0; bytes];
    line.read_exact(&mut all).await.unwrap();
    asked.elapsed()
}

#[track_caller]
fn about(what: &str, took: Duration, expected_ms: u64) {
    let (took, expected) = (took.as_secs_f64(), expected_ms as f64 / 1000.0);
    assert!((took / expected - 1.0).abs() <= 0.05, "{what}: {took:.3} s, expected {expected:.3} s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_transfer_takes_the_time_it_should() {
    let source = source().await;
    for (down_bps, one_way_ms, bytes) in [(192_000, 100, 48_000_usize), (5_000_000, 20, 1_500_000)] {
        let rates = Rates { down_bps, up_bps: down_bps };
        let one_way = Duration::from_millis(one_way_ms);
        let shaper = LineShaper::start(source, rates, one_way).await.unwrap();
        let mut line = TcpStream::connect(shaper.address).await.unwrap();
        let sending_ms = bytes as u64 * 8000 / down_bps;
        // A handshake and a request are two round trips, afterwards a request is one.
        about("first", ask(&mut line, bytes).await, sending_ms + 4 * one_way_ms);
        about("second", ask(&mut line, bytes).await, sending_ms + 2 * one_way_ms);
        let (down, up, connections) = shaper.passed().now();
        assert_eq!((down, up, connections), (2 * bytes as u64, 16, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_share_one_line_evenly() {
    let rates = Rates { down_bps: 1_000_000, up_bps: 1_000_000 };
    let shaper = LineShaper::start(source().await, rates, Duration::from_millis(10)).await.unwrap();
    let connect = || TcpStream::connect(shaper.address);
    let (mut one, mut two) = (connect().await.unwrap(), connect().await.unwrap());
    let (first, second) = tokio::join!(ask(&mut one, 125_000), ask(&mut two, 125_000));
    // Two seconds of line for both together, and none of them was served before the other.
    about("the earlier", first.min(second), 2040);
    about("the later", first.max(second), 2040);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_changes_the_line_also_under_a_packet() {
    let rates = Rates { down_bps: 0, up_bps: 1_000_000 };
    let shaper = LineShaper::start(source().await, rates, Duration::from_millis(10)).await.unwrap();
    let mut line = TcpStream::connect(shaper.address).await.unwrap();
    let change = |after_ms, down_bps| Change {
        after: Duration::from_millis(after_ms),
        rates: Rates { down_bps, up_bps: 1_000_000 },
    };
    // Nothing for 0.5 s, then one second at 400 kbit/s (50 kB), the rest at 2 Mbit/s (another 50 kB
    // in 0.2 s).
    let trace = [change(500, 400_000), change(1500, 2_000_000)];
    let (took, ()) = tokio::join!(ask(&mut line, 100_000), shaper.follow(&trace));
    about("over three rates", took, 1710);
}
