//! Supervises child processes: restarts one that exits, with a growing delay, and stops all in
//! order.

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::select_all;
use tokio_util::sync::CancellationToken;

use super::child::{ChildSpec, terminate};
use crate::exit::CommandResult;

/// First delay before a restart; it doubles with each exit.
const MIN_RESTART_DELAY: Duration = Duration::from_millis(200);
/// Longest delay before a restart.
const MAX_RESTART_DELAY: Duration = Duration::from_secs(10);
/// A child that ran this long is restarted after the shortest delay again.
const STABLE_AFTER: Duration = Duration::from_secs(60);
/// How long a child may take to exit when it has finished what it does, or is not to wait for it.
const STOP_TIMEOUT: Duration = Duration::from_secs(8);

/// When a child is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopOrder {
    /// Before the children it depends on.
    First,
    /// After the children that depend on it.
    Last,
}

struct SupervisedChild {
    order: StopOrder,
    spec: ChildSpec,
    running: Option<tokio::process::Child>,
    started: Instant,
    restart_delay: Duration,
}

/// The supervised children.
#[derive(Default)]
pub struct Supervisor(Vec<SupervisedChild>);

impl Supervisor {
    /// Starts a child and supervises it.
    pub fn start(&mut self, order: StopOrder, spec: ChildSpec) -> CommandResult {
        let running = Some(spec.start()?);
        let restart_delay = MIN_RESTART_DELAY;
        self.0.push(SupervisedChild { order, spec, running, started: Instant::now(), restart_delay });
        Ok(())
    }

    /// Returns when any child has exited.
    pub async fn first_exit(&mut self) {
        if self.0.is_empty() {
            return std::future::pending().await;
        }
        select_all(self.0.iter_mut().map(|child| child.wait_for_exit().boxed_local())).await;
    }

    /// Restarts children that exit, until `stop` is cancelled.
    pub async fn run_until(&mut self, stop: &CancellationToken) {
        let any = select_all(self.0.iter_mut().map(|child| child.restart_forever().boxed_local()));
        tokio::select! {
            () = stop.cancelled() => {}
            _ = any => {}
        }
    }

    /// Stops all children; those that others depend on go last. Each may finish what it does,
    /// unless `now` is cancelled.
    pub async fn stop(&mut self, now: &CancellationToken) {
        for order in [StopOrder::First, StopOrder::Last] {
            let mut children: Vec<_> = self.0.iter_mut().filter(|child| child.order == order).collect();
            for running in children.iter().filter_map(|child| child.running.as_ref()) {
                // Redis has nothing to finish, and SIGINT makes it save its data again.
                terminate(running, now.is_cancelled() && order == StopOrder::First);
            }
            for child in &mut children {
                child.stop(now).await;
            }
        }
    }
}

impl SupervisedChild {
    async fn wait_for_exit(&mut self) {
        if let Some(running) = &mut self.running {
            match running.wait().await {
                Ok(status) => tracing::error!(child = self.spec.name, %status, "child process exited"),
                Err(error) => {
                    tracing::error!(child = self.spec.name, %error, "cannot wait for child process")
                }
            }
            self.running = None;
        }
    }

    /// Waits for the child's end, which it was asked for, and kills it if that takes too long.
    async fn stop(&mut self, now: &CancellationToken) {
        let Some(running) = &mut self.running else { return };
        tokio::select! {
            _ = running.wait() => return,
            () = tokio::time::sleep(self.spec.grace) => {}
            // Asked while it was on its way.
            () = now.cancelled() => terminate(running, self.order == StopOrder::First),
        }
        if tokio::time::timeout(STOP_TIMEOUT, running.wait()).await.is_err() {
            tracing::warn!(child = self.spec.name, "child process ignored SIGTERM and is killed");
            drop(running.kill().await);
        }
    }

    /// Never returns.
    async fn restart_forever(&mut self) {
        loop {
            self.wait_for_exit().await;
            if self.started.elapsed() > STABLE_AFTER {
                self.restart_delay = MIN_RESTART_DELAY;
            }
            tokio::time::sleep(self.restart_delay).await;
            self.restart_delay = (self.restart_delay * 2).min(MAX_RESTART_DELAY);
            self.started = Instant::now();
            match self.spec.start() {
                Ok(running) => self.running = Some(running),
                Err(error) => tracing::error!(child = self.spec.name, %error, "cannot start child process"),
            }
        }
    }
}
