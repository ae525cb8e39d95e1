//! A worker's way to its end: it takes no more steps, lets those that run end within a grace
//! period, and then hands back what is left.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Requests to a worker to stop.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Take no more steps; those that run may end.
    pub drain: CancellationToken,
    /// Do not wait for them.
    pub now: CancellationToken,
}

/// State of a worker that is asked to stop.
#[derive(Clone, Debug)]
pub struct Drain {
    shutdown: Shutdown,
    over: CancellationToken,
}

impl Drain {
    /// Follows the requests; running steps have `grace` from the first one on.
    pub fn new(shutdown: Shutdown, grace: Duration) -> Self {
        let drain = Self { shutdown, over: CancellationToken::new() };
        let followed = drain.clone();
        tokio::spawn(async move {
            followed.begun().await;
            tokio::select! {
                () = tokio::time::sleep(grace) => {}
                () = followed.shutdown.now.cancelled() => {}
            }
            followed.over.cancel();
        });
        drain
    }

    /// Returns when no more steps are to be taken.
    pub async fn begun(&self) {
        tokio::select! {
            () = self.shutdown.drain.cancelled() => {}
            () = self.shutdown.now.cancelled() => {}
        }
    }

    /// Whether no more steps are to be taken.
    pub fn has_begun(&self) -> bool {
        self.shutdown.drain.is_cancelled() || self.shutdown.now.is_cancelled()
    }

    /// Returns when running steps are to be handed back.
    pub async fn over(&self) {
        self.over.cancelled().await;
    }

    /// Whether running steps are to be handed back.
    pub fn is_over(&self) -> bool {
        self.over.is_cancelled()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn running_steps_have_the_grace_period_and_no_more() {
        const GRACE: Duration = Duration::from_millis(150);
        let shutdown = Shutdown::default();
        let drain = Drain::new(shutdown.clone(), GRACE);
        assert!(!drain.has_begun());
        let asked = Instant::now();
        shutdown.drain.cancel();
        drain.begun().await;
        assert!(!drain.is_over());
        drain.over().await;
        assert!(asked.elapsed() >= GRACE);
    }

    #[tokio::test]
    async fn a_second_request_ends_the_grace_period() {
        let shutdown = Shutdown::default();
        let drain = Drain::new(shutdown.clone(), Duration::from_secs(3_600));
        shutdown.drain.cancel();
        drain.begun().await;
        shutdown.now.cancel();
        tokio::time::timeout(Duration::from_secs(10), drain.over()).await.expect("at once");
    }
}
