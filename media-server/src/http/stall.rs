//! Limits on how long a connection waits for its other end.
//!
//! A connection whose other end takes no bytes is closed: a viewer who never reads would hold a
//! permit and buffers for ever. A connection that closes while a request is still arriving reads on
//! for a while. The kernel answers unread bytes with a reset, and a reset makes clients discard the
//! response.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// The limits of a connection.
#[derive(Clone, Copy)]
struct StallLimits {
    /// Longest time a write may wait for the other end.
    write: Duration,
    /// Longest time that closing waits for more bytes of a request.
    quiet: Duration,
    /// Longest time that closing may take, however many bytes arrive.
    closing: Duration,
}

const LIMITS: StallLimits = StallLimits {
    write: Duration::from_secs(60),
    quiet: Duration::from_secs(5),
    closing: Duration::from_secs(30),
};

/// A stream with limits on every wait to write and on closing. Reading is limited elsewhere: by the
/// limits on headers and bodies.
pub struct Stall<S> {
    inner: S,
    limits: StallLimits,
    waiting: bool,
    deadline: Pin<Box<Sleep>>,
    /// When closing ends, from the moment our half is closed.
    closes_at: Option<Instant>,
}

impl<S> Stall<S> {
    /// Puts the limit around a stream.
    pub fn new(inner: S) -> Self {
        Self::within(LIMITS, inner)
    }

    fn within(limits: StallLimits, inner: S) -> Self {
        Self { inner, limits, waiting: false, deadline: Box::pin(sleep(limits.write)), closes_at: None }
    }

    fn watch<T>(&mut self, context: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.waiting = false;
            return done;
        }
        if !std::mem::replace(&mut self.waiting, true) {
            self.deadline.as_mut().reset(Instant::now() + self.limits.write);
        }
        ready!(self.deadline.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> Stall<S> {
    /// Reads and discards until the other end closes or a limit is reached.
    fn poll_discard(&mut self, context: &mut Context<'_>, until: Instant) -> Poll<()> {
        let mut scratch = [MaybeUninit::uninit(); 8192];
        loop {
            let mut buffer = ReadBuf::uninit(&mut scratch);
            match Pin::new(&mut self.inner).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    let now = Instant::now();
                    if now >= until {
                        return Poll::Ready(());
                    }
                    self.deadline.as_mut().reset(until.min(now + self.limits.quiet));
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.deadline.as_mut().poll(context),
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stall<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stall<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.watch(context, done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.inner).poll_write_vectored(context, bytes);
        self.watch(context, done)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.inner).poll_flush(context);
        self.watch(context, done)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let until = match self.closes_at {
            Some(until) => until,
            None => {
                let done = Pin::new(&mut self.inner).poll_shutdown(context);
                ready!(self.watch(context, done))?;
                let now = Instant::now();
                let until = now + self.limits.closing;
                let quiet = now + self.limits.quiet;
                self.deadline.as_mut().reset(until.min(quiet));
                *self.closes_at.insert(until)
            }
        };
        self.poll_discard(context, until).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    const SHORT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn a_reader_who_does_not_read_is_given_up() {
        let (ours, _theirs) = tokio::io::duplex(16);
        let started = Instant::now();
        let limits = StallLimits { write: SHORT, ..LIMITS };
        let error = Stall::within(limits, ours).write_all(&[0; 64]).await.expect_err("nothing is read");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(started.elapsed() >= SHORT);
    }

    #[tokio::test]
    async fn a_client_that_is_still_sending_gets_its_response() -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut client = TcpStream::connect(listener.local_addr()?).await?;
        let mut server = Stall::new(listener.accept().await?.0);
        server.write_all(b"no").await?;
        let closing = tokio::spawn(async move { server.shutdown().await });
        // More than the buffers of both kernels hold, so the server has to read it.
        client.write_all(&vec![0; 32 << 20]).await?;
        let mut response = String::new();
        client.read_to_string(&mut response).await?;
        assert_eq!(response, "no");
        drop(client);
        closing.await?
    }

    #[tokio::test]
    async fn closing_waits_no_longer_than_its_limits() -> io::Result<()> {
        let limits = StallLimits { quiet: SHORT, closing: 4 * SHORT, ..LIMITS };
        let (ours, _theirs) = tokio::io::duplex(16);
        let started = Instant::now();
        Stall::within(limits, ours).shutdown().await?;
        assert!(started.elapsed() >= limits.quiet);

        let (ours, mut theirs) = tokio::io::duplex(16);
        let started = Instant::now();
        let sending = tokio::spawn(async move { while theirs.write_all(&[0; 8]).await.is_ok() {} });
        let mut server = Stall::within(limits, ours);
        server.shutdown().await?;
        assert!(started.elapsed() >= limits.closing);
        drop(server);
        sending.await?;
        Ok(())
    }
}
