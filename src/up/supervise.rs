//! Children kept running: one that dies is started again, later each time; all are stopped in order.

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::select_all;
use tokio_util::sync::CancellationToken;

use super::child::{Child, terminate};
use crate::exit::Outcome;

/// First wait before a child is started again; it doubles with each death.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Longest such wait.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A child that lived this long is started again without a long wait.
const LONG_LIFE: Duration = Duration::from_secs(60);
/// How long a child may take to end when it is asked to.
const END_WITHIN: Duration = Duration::from_secs(8);

/// When a child is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Before those that others need.
    First,
    /// After those that need it.
    Last,
}

struct Kept {
    order: Order,
    how: Child,
    running: Option<tokio::process::Child>,
    since: Instant,
    wait: Duration,
}

/// The children.
#[derive(Default)]
pub struct Supervised(Vec<Kept>);

impl Supervised {
    /// Starts a child and keeps it from now on.
    pub fn start(&mut self, order: Order, how: Child) -> Outcome {
        let running = Some(how.start()?);
        self.0.push(Kept { order, how, running, since: Instant::now(), wait: FIRST_WAIT });
        Ok(())
    }

    /// Answers when any child has died.
    pub async fn first_death(&mut self) {
        if self.0.is_empty() {
            return std::future::pending().await;
        }
        select_all(self.0.iter_mut().map(|kept| kept.died().boxed_local())).await;
    }

    /// Starts again what dies, until told to stop.
    pub async fn keep(&mut self, stop: &CancellationToken) {
        let each = select_all(self.0.iter_mut().map(|kept| kept.keep().boxed_local()));
        tokio::select! {
            () = stop.cancelled() => {}
            _ = each => {}
        }
    }

    /// Stops all, those that others need last.
    pub async fn stop(&mut self) {
        for order in [Order::First, Order::Last] {
            for kept in self.0.iter().filter(|kept| kept.order == order) {
                if let Some(running) = &kept.running {
                    terminate(running);
                }
            }
            let limit = tokio::time::Instant::now() + END_WITHIN;
            for kept in self.0.iter_mut().filter(|kept| kept.order == order) {
                let Some(running) = &mut kept.running else { continue };
                if tokio::time::timeout_at(limit, running.wait()).await.is_err() {
                    tracing::warn!(child = kept.how.name, "a child did not end when it was asked to");
                    drop(running.kill().await);
                }
            }
        }
    }
}

impl Kept {
    async fn died(&mut self) {
        if let Some(running) = &mut self.running {
            match running.wait().await {
                Ok(status) => tracing::error!(child = self.how.name, %status, "a child ended"),
                Err(error) => tracing::error!(child = self.how.name, %error, "a child cannot be waited for"),
            }
            self.running = None;
        }
    }

    /// Never ends.
    async fn keep(&mut self) {
        loop {
            self.died().await;
            if self.since.elapsed() > LONG_LIFE {
                self.wait = FIRST_WAIT;
            }
            tokio::time::sleep(self.wait).await;
            self.wait = (self.wait * 2).min(LONGEST_WAIT);
            self.since = Instant::now();
            match self.how.start() {
                Ok(running) => self.running = Some(running),
                Err(error) => tracing::error!(child = self.how.name, %error, "a child cannot be started"),
            }
        }
    }
}
