//! A child's pipes, read within bounds: events line by line, complaints as a tail.

use std::collections::VecDeque;
use std::io;

use chalkstream_pipeline::context::StepEvent;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest event line, in bytes: the report of a six-hour lesson's ladder, several times over.
const MAX_LINE_BYTES: usize = 16 << 20;

/// How much of what a child complained about is kept, in bytes.
pub const MAX_TAIL_BYTES: usize = 64 << 10;

/// Events, one JSON object a line.
pub struct ChildEvents<R> {
    reader: R,
    buffer: Vec<u8>,
    searched: usize,
}

impl<R: AsyncRead + Unpin> ChildEvents<R> {
    /// Reads events from `reader`.
    pub fn new(reader: R) -> Self {
        Self { reader, buffer: Vec::new(), searched: 0 }
    }

    /// The next event, or nothing at the end. A line that is not an event is an error. May be
    /// dropped and called again without losing anything.
    pub async fn next(&mut self) -> io::Result<Option<StepEvent>> {
        loop {
            if let Some(offset) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let end = self.searched + offset;
                let event = serde_json::from_slice(&self.buffer[..end]).map_err(io::Error::other);
                self.buffer.drain(..=end);
                self.searched = 0;
                return event.map(Some);
            }
            self.searched = self.buffer.len();
            if self.searched > MAX_LINE_BYTES {
                return Err(io::Error::other("an event is too long"));
            }
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// Reads to the end and returns the last [`MAX_TAIL_BYTES`].
pub async fn tail(mut reader: impl AsyncRead + Unpin) -> String {
    let mut kept: VecDeque<u8> = VecDeque::new();
    let mut chunk = [0; 4096];
    while let Ok(n @ 1..) = reader.read(&mut chunk).await {
        let excess = (kept.len() + n).saturating_sub(MAX_TAIL_BYTES);
        kept.drain(..excess.min(kept.len()));
        kept.extend(&chunk[..n]);
    }
    String::from_utf8_lossy(kept.make_contiguous()).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn events_are_read_across_any_split() {
        let text =
            b"{\"event\":\"progress\",\"done_ms\":1,\"total_ms\":2}\n{\"event\":\"result\",\"value\":7}\n";
        let (mut write, read) = tokio::io::duplex(5);
        let writer = tokio::spawn(async move {
            for byte in text {
                tokio::io::AsyncWriteExt::write_all(&mut write, &[*byte]).await.unwrap();
            }
        });
        let mut events = ChildEvents::new(read);
        assert!(matches!(
            events.next().await.unwrap(),
            Some(StepEvent::Progress { done_ms: 1, total_ms: 2 })
        ));
        assert!(matches!(events.next().await.unwrap(), Some(StepEvent::Result { .. })));
        assert!(events.next().await.unwrap().is_none());
        writer.await.unwrap();
    }

    #[tokio::test]
    async fn a_line_that_is_no_event_or_has_no_end_is_refused() {
        assert!(ChildEvents::new(&b"hello\n"[..]).next().await.is_err());
        let endless = tokio::io::repeat(b'x');
        assert!(ChildEvents::new(endless).next().await.is_err());
    }

    #[tokio::test]
    async fn only_the_end_of_a_long_complaint_is_kept() {
        let mut text = vec![b'a'; 3 * MAX_TAIL_BYTES];
        text.extend(b"the end");
        let kept = tail(&text[..]).await;
        assert_eq!(kept.len(), MAX_TAIL_BYTES);
        assert!(kept.ends_with("athe end"));
    }
}
