//! One client: uploads its lesson, does what its plan says, and knows what must become of it.

use reqwest::{Method, StatusCode};
use tokio::time::{Instant, sleep, sleep_until};

use super::api::{Api, Upload, Uploaded};
use super::fleet::tenant_name;
use super::history::History;
use super::plan::{Action, LessonPlan, Start};

/// The required end of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// All that was planned is done.
    Ready,
    /// It was cancelled in time.
    Cancelled,
    /// It was deleted.
    Deleted,
}

/// A recording that was acknowledged to a client.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    /// Number of its tenant.
    pub tenant: usize,
    /// Its id.
    pub recording: String,
    /// Hex SHA-256 of the file.
    pub sha256: String,
    /// Size of the file.
    pub size_bytes: u64,
    /// The required end.
    pub end: End,
    /// Whether the file was there completely.
    pub is_complete: bool,
    /// When retries of it were accepted, in ms since 1970.
    pub retried_at_ms: Vec<u64>,
}

/// What a client found.
#[derive(Default)]
pub struct Outcome {
    /// The recordings that it was promised.
    pub recordings: Vec<Acknowledged>,
    /// What is wrong at once.
    pub violations: Vec<(String, String)>,
}

/// Carries out a lesson's plan.
pub async fn run(plan: &LessonPlan, apis: &[Api], file: &[u8], start: Instant, history: &History) -> Outcome {
    let mut client =
        Client { plan, apis, file, history, uploads: 0, is_kept_twice: false, outcome: Outcome::default() };
    sleep_until(start + plan.at).await;
    if let Err(problem) = client.carry_out().await {
        history.add(format!("client {}: {problem}", plan.number));
        let recording = client.outcome.recordings.last().map(|last| last.recording.clone());
        client.outcome.violations.push((recording.unwrap_or_default(), problem));
    }
    client.outcome
}

struct Client<'a> {
    plan: &'a LessonPlan,
    /// One that asks each server first.
    apis: &'a [Api],
    file: &'a [u8],
    history: &'a History,
    uploads: usize,
    /// Whether the file, sent twice at once, became two recordings: the queue decides which of them
    /// was first, and it may have been away.
    is_kept_twice: bool,
    outcome: Outcome,
}

impl Client<'_> {
    async fn carry_out(&mut self) -> Result<(), String> {
        self.upload().await?;
        for (wait, action) in &self.plan.actions {
            sleep(*wait).await;
            match action {
                Action::UploadAgain => self.upload().await?,
                Action::Delete => self.delete().await?,
                Action::Cancel => self.cancel().await?,
                Action::Retry => self.retry().await?,
            }
        }
        Ok(())
    }

    fn note(&self, recording: &str, what: &str) -> u64 {
        let tenant = tenant_name(self.plan.tenant);
        self.history.add(format!("client {} of {tenant}: {recording} {what}", self.plan.number))
    }

    async fn upload(&mut self) -> Result<(), String> {
        let start = if self.uploads == 0 { self.plan.start } else { Start::Once };
        let first = self.upload_once(self.uploads, start == Start::Abandoned);
        let uploaded = if start == Start::Twice {
            let (first, second) = tokio::join!(first, self.upload_once(self.uploads + 1, false));
            vec![first?, second?]
        } else {
            vec![first.await?]
        };
        self.uploads += uploaded.len();
        if let [Uploaded::As(first, false), Uploaded::As(second, false)] = &uploaded[..] {
            self.is_kept_twice = first != second;
        }
        for uploaded in uploaded {
            match uploaded {
                Uploaded::As(recording, existing) => {
                    self.note(&recording, if existing { "acknowledged, it exists" } else { "acknowledged" });
                    self.acknowledge(recording, End::Ready)?;
                }
                Uploaded::Abandoned(recording) => {
                    self.note(&recording, "deleted before it was complete");
                    self.acknowledge(recording, End::Deleted)?;
                }
                Uploaded::Refused(answer) => return Err(format!("an upload was refused: {answer}")),
            }
        }
        Ok(())
    }

    async fn upload_once(&self, number: usize, is_abandoned: bool) -> Result<Uploaded, String> {
        let name = format!("lesson-{}", self.plan.number);
        let mut random = fastrand::Rng::with_seed(self.plan.seed + number as u64);
        let pieces = if is_abandoned { 2 } else { random.usize(1..5) };
        let upload = Upload {
            name: &name,
            uploader: &format!("teacher-{}", self.plan.number),
            idempotency: &format!("{name}-{number}"),
            bytes: self.file,
            piece_bytes: (self.file.len() / pieces).max(1),
            is_abandoned,
        };
        self.apis[number % self.apis.len()].upload(&upload).await
    }

    /// Remembers a recording. The same file is the same recording, unless that was ended.
    fn acknowledge(&mut self, recording: String, end: End) -> Result<(), String> {
        let recordings = &self.outcome.recordings;
        let known = recordings.iter().find(|earlier| earlier.recording == recording);
        let is_allowed = match (known, recordings.last()) {
            (Some(known), _) => known.end == End::Ready,
            (None, Some(last)) => last.end != End::Ready || self.is_kept_twice,
            (None, None) => true,
        };
        if let Some(last) = recordings.last().filter(|_| !is_allowed) {
            return Err(format!("the file of {} ({:?}) became {recording}", last.recording, last.end));
        }
        if known.is_some() {
            return Ok(());
        }
        self.outcome.recordings.push(Acknowledged {
            tenant: self.plan.tenant,
            recording,
            sha256: crate::uploads::sha256(self.file),
            size_bytes: self.file.len() as u64,
            end,
            is_complete: end == End::Ready,
            retried_at_ms: Vec::new(),
        });
        Ok(())
    }

    /// Asks for an action on the last recording; returns status, answer and its time.
    async fn act(&self, method: Method, action: &str) -> Result<(StatusCode, String, u64), String> {
        let recording = self.last()?;
        let path = format!("/v1/recordings/{recording}{action}");
        let answer = self.apis[0].ask(method.clone(), &path, |request| request).await?;
        let at_ms = self.note(&recording, &format!("{method} {action}: {}", answer.status));
        Ok((answer.status, answer.body.to_string(), at_ms))
    }

    fn last(&self) -> Result<String, String> {
        let last = self.outcome.recordings.last();
        last.map(|last| last.recording.clone()).ok_or_else(|| "nothing was acknowledged".to_owned())
    }

    fn set_end(&mut self, end: End) {
        if let Some(last) = self.outcome.recordings.last_mut() {
            last.end = end;
        }
    }

    async fn delete(&mut self) -> Result<(), String> {
        match self.act(Method::DELETE, "").await? {
            (StatusCode::ACCEPTED, ..) => self.set_end(End::Deleted),
            (status, body, _) => return Err(format!("DELETE: {status} {body}")),
        }
        Ok(())
    }

    async fn cancel(&mut self) -> Result<(), String> {
        match self.act(Method::POST, "/cancel").await? {
            (StatusCode::OK, ..) => self.set_end(End::Cancelled),
            // Its job is over: it stays what it is.
            (StatusCode::CONFLICT, ..) => {}
            (status, body, _) => return Err(format!("cancel: {status} {body}")),
        }
        Ok(())
    }

    async fn retry(&mut self) -> Result<(), String> {
        let at_ms = match self.act(Method::POST, "/retry").await? {
            // 409: it is ready, or runs again already because the answer to this request was lost.
            (StatusCode::ACCEPTED | StatusCode::CONFLICT, _, at_ms) => at_ms,
            (status, body, _) => return Err(format!("retry: {status} {body}")),
        };
        if let Some(last) = self.outcome.recordings.last_mut() {
            last.retried_at_ms.push(at_ms);
            last.end = End::Ready;
        }
        Ok(())
    }
}
