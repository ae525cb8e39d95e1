//! A fleet under fire: faults at random times while lessons are uploaded, processed, cancelled,
//! retried and deleted. At the end, everything that was promised must be so.
//!
//! A seed decides everything but the machine's own timing, so the same seed gives the same plan and
//! nearly the same run.

mod api;
pub mod client;
mod deletions;
mod faults;
mod fleet;
pub mod history;
mod lessons;
mod listings;
pub mod plan;
pub mod progress;
pub mod report;
pub mod steps;
pub mod storage;
mod streams;
pub mod violation;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use reqwest::{Method, StatusCode};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use api::{Api, Statuses};
use client::{Acknowledged, End, Outcome};
use fleet::Fleet;
use history::{History, LogLine};
use plan::{Fault, Plan};
use progress::{EarlyEnd, Progress};
use report::Report;
use violation::Violation;

/// Ready recordings that are deleted at the end, to hold their receipts to what was there.
const EXACT_DELETIONS: usize = 5;

/// Time between two looks for processes that ended by themselves.
const SUPERVISION_INTERVAL: Duration = Duration::from_secs(1);

/// A run to make.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Decides the plan.
    pub seed: u64,
    /// Number of faults.
    pub faults: usize,
    /// Number of lessons.
    pub lessons: usize,
    /// Time limit of the run. Two thirds of it are for everything to come to its end.
    pub limit: Duration,
    /// Whether the folder with all logs and objects is kept, also if nothing is wrong.
    pub keep: bool,
}

/// Makes a run. The folder of a run that does not come to its end stays.
///
/// # Panics
/// If the fleet cannot be started.
pub async fn run(options: Options) -> Report {
    let plan = Plan::new(options.seed, options.faults, options.lessons);
    let progress = Progress::new(options.faults);
    let mut fleet = Fleet::new().await;
    fleet.keep_folder(true);
    let folder = fleet.folder().to_owned();
    let mut early_end = EarlyEnd { progress: progress.clone(), folder: folder.clone(), is_complete: false };
    let mut printer = JoinSet::new();
    printer.spawn(progress.clone().print(fleet.urls(), fleet.keys.clone()));
    let files = lessons::make(&folder.join("lessons"), &plan.lessons);
    fleet.start_all().await;
    fleet.ready().await;
    let mut run = Run {
        fleet: &fleet,
        history: History::start(&folder.join("history.log")).expect("the history has a file"),
        deadline: Instant::now() + options.limit * 2 / 3,
        statuses: Statuses::default(),
        report: Report { seed: options.seed, no_disks: fleet.no_disks.clone(), ..Report::default() },
        progress,
        recordings: Vec::new(),
        losses_ms: Vec::new(),
    };
    run.under_fire(&plan, &files).await;
    run.settle().await;
    run.enter("checking lists");
    run.check_lists().await;
    run.enter("watching streams");
    run.check_streams().await;
    run.enter("checking deletions");
    run.check_deletions().await;
    run.enter("checking the queue");
    run.check_queue().await;
    run.enter("stopping the fleet and checking storage");
    run.end().await;
    let mut report = run.report;
    early_end.is_complete = true;
    if options.keep || !report.violations.is_empty() {
        report.folder = Some(folder);
    } else {
        fleet.keep_folder(false);
    }
    report
}

struct Run<'a> {
    fleet: &'a Fleet,
    history: History,
    deadline: Instant,
    statuses: Statuses,
    report: Report,
    progress: Arc<Progress>,
    recordings: Vec<Acknowledged>,
    /// When Redis lost what it had accepted, in ms since 1970.
    losses_ms: Vec<u64>,
}

struct InjectedFault {
    kind: plan::FaultKind,
    /// When it began, in ms since 1970.
    at_ms: u64,
    /// What it hit, if there was something to hit.
    hit: Result<Option<String>, String>,
}

impl Run<'_> {
    fn api(&self, tenant: usize, first: usize) -> Api {
        Api::new(self.fleet.urls(), &self.fleet.keys[tenant], first, self.statuses.clone())
    }

    /// Begins a phase of the run.
    fn enter(&self, phase: &str) {
        self.history.add(format!("run: {phase}"));
        self.progress.enter(phase);
        self.progress.set_violations(&self.report.violations);
    }

    /// Faults and clients, until both are through.
    async fn under_fire(&mut self, plan: &Plan, files: &[Vec<u8>]) {
        self.enter("under fire");
        let (faults, clients, ended) = self.faults_and_clients(plan, files).await;
        self.report.violations.extend(ended.into_iter().map(Violation::general));
        self.fleet.start_all().await;
        for InjectedFault { kind, at_ms, hit } in faults {
            let counts = self.report.faults.entry(kind).or_default();
            match hit {
                Ok(Some(_)) => counts.0 += 1,
                Ok(None) => counts.1 += 1,
                Err(problem) => self.report.violations.push(Violation::general(problem)),
            }
            if kind.loses_redis_data() {
                self.losses_ms.push(at_ms);
            }
        }
        for Outcome { recordings, violations } in clients {
            self.recordings.extend(recordings);
            let violations =
                violations.into_iter().map(|(recording, what)| Violation::about(&recording, what));
            self.report.violations.extend(violations);
        }
    }

    async fn faults_and_clients(
        &self,
        plan: &Plan,
        files: &[Vec<u8>],
    ) -> (Vec<InjectedFault>, Vec<Outcome>, Vec<String>) {
        let start = Instant::now();
        // All at once: each waits for its own time.
        let faults: FuturesUnordered<_> = plan.faults.iter().map(|fault| self.fault(*fault, start)).collect();
        let clients: FuturesUnordered<_> = plan
            .lessons
            .iter()
            .zip(files)
            .map(async |(lesson, file)| {
                let first = usize::from(lesson.seed % 2 == 1);
                let apis = [self.api(lesson.tenant, first), self.api(lesson.tenant, first + 1)];
                client::run(lesson, &apis, file, start, &self.history).await
            })
            .collect();
        let all = async { tokio::join!(faults.collect::<Vec<_>>(), clients.collect::<Vec<_>>()) };
        tokio::pin!(all);
        let mut ended = Vec::new();
        loop {
            tokio::select! {
                (faults, clients) = &mut all => return (faults, clients, ended),
                () = sleep(SUPERVISION_INTERVAL) => {
                    for what in self.fleet.restart_ended() {
                        self.history.add(format!("fault: {what}"));
                        ended.push(what);
                    }
                }
            }
        }
    }

    async fn fault(&self, fault: Fault, start: Instant) -> InjectedFault {
        sleep_until(start + fault.at).await;
        let (number, kind, lasts) = (fault.number, fault.kind, fault.lasts);
        let at_ms = self.history.add(format!("fault {number} {kind:?} begins, for {lasts:?}"));
        self.progress.begin_fault(number, format!("{kind:?} for {lasts:.1?}"));
        let hit = faults::inject(self.fleet, fault).await;
        self.progress.end_fault(number);
        self.history.add(format!("fault {number} {kind:?} is over: {hit:?}"));
        InjectedFault { kind, at_ms, hit }
    }

    /// Waits until every recording has its end.
    async fn settle(&mut self) {
        self.enter("waiting for the servers");
        self.fleet.ready().await;
        self.enter("settling");
        let mut open: Vec<(usize, String)> = Vec::new();
        for at in 0..self.recordings.len() {
            let recording = self.recordings[at].clone();
            let api = self.api(recording.tenant, 0);
            let path = format!("/v1/recordings/{}", recording.recording);
            loop {
                let answer = api.ask(Method::GET, &path, |request| request).await;
                let state = match &answer {
                    Ok(answer) if answer.status == StatusCode::OK => answer.body["state"].as_str(),
                    Ok(answer) if answer.status == StatusCode::GONE => Some("deleted"),
                    _ => None,
                };
                let is_end = match recording.end {
                    End::Ready => state == Some("ready"),
                    End::Cancelled => state == Some("cancelled"),
                    End::Deleted => state == Some("deleted"),
                };
                if is_end {
                    break;
                }
                if Instant::now() > self.deadline {
                    let seen = answer.map(|answer| format!("{} {}", answer.status, answer.body));
                    open.push((at, format!("should be {:?}: {seen:?}", recording.end)));
                    break;
                }
                let (of, id, end) = (self.recordings.len(), &recording.recording, recording.end);
                self.progress.enter(format!("settling {at} of {of}: {id} is {state:?}, awaited {end:?}"));
                sleep(Duration::from_millis(500)).await;
            }
            *self.report.ends.entry(recording.end).or_default() += 1;
        }
        let violations =
            open.into_iter().map(|(at, what)| Violation::about(&self.recordings[at].recording, what));
        self.report.violations.extend(violations);
    }

    async fn check_lists(&mut self) {
        let deadline = Instant::now() + listings::MAX_LAG;
        for tenant in 0..plan::TENANTS {
            let own = self.recordings.iter().filter(|recording| recording.tenant == tenant);
            let found = listings::check(&self.api(tenant, tenant), &own.collect::<Vec<_>>(), deadline).await;
            self.report.violations.extend(found);
        }
    }

    /// What is ready can be watched to its end.
    async fn check_streams(&mut self) {
        let ready = self.recordings.iter().filter(|recording| recording.end == End::Ready);
        for recording in ready {
            let api = self.api(recording.tenant, self.report.segments % fleet::SERVERS);
            match streams::watch(&api, &recording.recording).await {
                Ok(segments) => self.report.segments += segments,
                Err(what) => self.report.violations.push(Violation::about(&recording.recording, what)),
            }
        }
    }

    async fn check_deletions(&mut self) {
        let deadline = Instant::now() + deletions::MAX_EMPTYING;
        let deleted = self.recordings.iter().filter(|recording| recording.end == End::Deleted);
        for recording in deleted.cloned().collect::<Vec<_>>() {
            let api = self.api(recording.tenant, 0);
            self.report.violations.extend(deletions::check(&api, &recording, deadline).await);
        }
        let broken = |id: &str| self.report.violations.iter().any(|v| v.recording == id);
        let ready: Vec<usize> = (0..self.recordings.len())
            .filter(|at| self.recordings[*at].end == End::Ready && !broken(&self.recordings[*at].recording))
            .take(EXACT_DELETIONS)
            .collect();
        let deadline = Instant::now() + deletions::MAX_EMPTYING;
        for at in ready {
            let api = self.api(self.recordings[at].tenant, 1);
            let objects = self.fleet.objects();
            let found = deletions::delete_exactly(&api, &objects, &mut self.recordings[at], deadline).await;
            self.report.violations.extend(found);
            self.report.exact_receipts += 1;
        }
    }

    /// Nothing is left in the queue, and nothing failed.
    async fn check_queue(&mut self) {
        for (name, count) in self.fleet.queue_counts().await {
            if count > 0 {
                self.report.violations.push(Violation::general(format!("at the end: {name} {count}")));
            }
        }
    }

    /// Stops the fleet, and looks at what it leaves.
    async fn end(&mut self) {
        let problems = self.fleet.terminate_all().await;
        self.report.violations.extend(problems.into_iter().map(Violation::general));
        let found = storage::check(&self.fleet.objects(), &self.recordings);
        self.report.violations.extend(found);
        let scratch: Vec<_> = self.fleet.workers().map(|worker| self.fleet.scratch(worker)).collect();
        self.report.violations.extend(storage::temporary_files(&scratch));

        let logs: Vec<LogLine> = self
            .fleet
            .members()
            .flat_map(|member| {
                LogLine::read(&member.name, &self.fleet.folder().join(format!("{}.log", member.name)))
            })
            .collect();
        let (steps, found) = steps::count(&logs, &self.recordings, &self.losses_ms);
        self.report.steps = steps;
        self.report.violations.extend(found);
        self.report.errors = errors(&logs);
        self.report.statuses = self.statuses.lock().map(|counts| counts.clone()).unwrap_or_default();
        self.report.seconds = self.history.elapsed().as_secs();
        if let Some((recording, step)) = &self.report.steps.most_of {
            self.report.most_runs =
                format!("{recording} {step}\n{}", self.history.describe(&logs, recording));
        }
        for violation in self.report.violations.iter_mut().filter(|v| !v.recording.is_empty()) {
            violation.history = self.history.describe(&logs, &violation.recording);
        }
    }
}

/// Events of level `error`, by their name.
fn errors(logs: &[LogLine]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in logs.iter().filter(|line| line.level == "ERROR") {
        *counts.entry(line.text("message").to_owned()).or_default() += 1;
    }
    counts
}
