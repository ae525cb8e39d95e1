//! The page's facts about its lesson: in the page itself, and again at `lesson.json` as they
//! change.

use axum::Json;
use axum::extract::State;
use chalkstream_store::{JobView, Manifest, Progress, State as RecordingState, StepState, layout};
use http::header;
use serde::Serialize;

use super::service::Player;
use crate::access::Viewing;
use crate::delivery::{HevcSource, Preload, hevc_source, preload};
use crate::playback::newest_revision;
use crate::problem::Problem;

/// A lesson as the page needs it. Paths are absolute if they begin with a slash, otherwise relative
/// to `base`.
#[derive(Debug, Serialize)]
pub struct Lesson {
    /// Its title.
    pub title: String,
    /// One line beneath the title: length and day.
    pub facts: String,
    /// The recording's state.
    pub state: RecordingState,
    /// `/s/{session}/{recording}/` of a session for the newest revision.
    pub base: String,
    /// The address at which the page can be loaded again.
    pub watch: String,
    /// The newest revision; 0 before there is one.
    pub revision: u32,
    /// The multivariant playlist; `None` before there is one.
    pub master: Option<String>,
    /// What the player loads first; `None` if the page has it already.
    #[serde(rename = "start")]
    pub preload: Option<Preload>,
    /// The source's own H.265 video, for players that can play it.
    #[serde(rename = "original")]
    pub hevc_source: Option<HevcSource>,
    /// A message while there is nothing to play.
    pub notice: Option<PageNotice>,
    /// The progress of each step, while there is something left to do.
    pub steps: Vec<LessonStep>,
    /// Whether there is video; `None` before it is known.
    #[serde(rename = "picture")]
    pub has_video: Option<bool>,
    /// Whether there is audio; `None` before it is known.
    #[serde(rename = "sound")]
    pub has_audio: Option<bool>,
    /// The storyboard's track, if there is one.
    pub storyboard: Option<&'static str>,
    /// The transcript, if there is one.
    pub transcript: Option<&'static str>,
    /// Who speaks when, if it is known.
    pub talk: Option<&'static str>,
    /// The poster, if there is one.
    pub poster: Option<&'static str>,
    /// A small blurred image as a data URI, shown before the first frame.
    pub placeholder: Option<String>,
    /// Whether the viewer may correct the transcript.
    pub correct: bool,
    /// First ms that may be seen, if the session has a window.
    pub window_start_ms: Option<u64>,
}

/// A message in place of the video.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct PageNotice {
    /// A few words.
    pub title: &'static str,
    /// One sentence.
    pub text: String,
}

/// One step, as in the event stream's `step` and `progress`.
#[derive(Debug, Serialize)]
pub struct LessonStep {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: StepState,
    /// Media time done, in ms, if it has reported any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done_ms: Option<u64>,
    /// Media time to do, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<u64>,
}

/// `/s/{session}/{recording}/lesson.json`.
pub(super) async fn serve(
    State(player): State<Player>,
    viewing: Viewing,
) -> Result<([(header::HeaderName, &'static str); 1], Json<Lesson>), Problem> {
    let mut lesson = Lesson::load(&player, &viewing).await?;
    // Requested often while the lesson is prepared. A page that has this revision has its preload
    // too.
    if lesson.revision == viewing.session.revision {
        lesson.preload = None;
    }
    Ok(([(header::CACHE_CONTROL, "private, no-store")], Json(lesson)))
}

impl Lesson {
    /// Loads the lesson of a session at the newest revision.
    ///
    /// A session keeps its revision. If there is a newer one, or its own was taken back, the
    /// addresses are those of the same session (same id, end and limits) at the newest.
    pub(super) async fn load(player: &Player, viewing: &Viewing) -> Result<Self, Problem> {
        // If Redis is away, only the live progress is missing: the manifest has the state.
        let job = match viewing.manifest.state.is_terminal() {
            true => None,
            false => player.queue.job(&viewing.tenant, viewing.recording()).await.unwrap_or(None),
        };
        let newest = at_newest_revision(player, viewing).await?;
        let mut lesson = Self::new(player, &newest, job.as_ref());
        if lesson.master.is_some() {
            // Without a preload the player requests the files itself, and reports what is wrong.
            lesson.preload = preload(&player.delivery, &newest).await.ok();
            lesson.hevc_source = hevc_source(&player.delivery, &newest).await.ok().flatten();
        }
        Ok(lesson)
    }

    fn new(player: &Player, newest: &Viewing, job: Option<&JobView>) -> Self {
        let manifest = &newest.manifest;
        let is_complete = newest.window().is_open();
        let has = |name: &str| manifest.files.contains_key(name);
        let playable = manifest.revision.is_some() && newest.session.revision > 0;
        Self {
            title: title(manifest),
            facts: facts(manifest),
            state: manifest.state,
            base: newest.base_path(&player.public_url),
            watch: format!("{}/watch/s/{}", player.public_url.path(), newest.token),
            revision: newest.session.revision,
            master: playable.then(|| layout::master_relative(newest.session.revision)),
            preload: None,
            hevc_source: None,
            notice: if playable { None } else { notice(manifest) },
            steps: steps(manifest, job),
            has_video: manifest.media.as_ref().map(|media| media.has_video),
            has_audio: manifest.media.as_ref().map(|media| media.has_audio),
            storyboard: (is_complete && has("storyboard.vtt")).then_some("storyboard.vtt"),
            transcript: has("transcript.json").then_some("transcript.json"),
            talk: (is_complete && has("talk.json")).then_some("talk.json"),
            poster: (is_complete && has("poster")).then_some("poster.jpg"),
            placeholder: if is_complete { placeholder(manifest) } else { None },
            correct: newest.session.may_correct,
            window_start_ms: newest.window().start_ms,
        }
    }
}

async fn at_newest_revision(player: &Player, viewing: &Viewing) -> Result<Viewing, Problem> {
    let mut viewing = viewing.clone();
    if newest_revision(&viewing.manifest) < viewing.session.revision {
        // A live revision was taken back, or another server knew of this one first.
        let renewed = player.manifests.renewed(&viewing.tenant, viewing.recording()).await?;
        viewing.manifest = renewed.unwrap_or(viewing.manifest);
    }
    player.links.at_newest_revision(viewing)
}

/// The live job's steps, or those of the manifest. A finished lesson lists only those that failed,
/// so that the page can say what is missing.
fn steps(manifest: &Manifest, job: Option<&JobView>) -> Vec<LessonStep> {
    let step = |name: &str, state: StepState, progress: Option<Progress>| LessonStep {
        name: name.to_owned(),
        state,
        done_ms: progress.map(|progress| progress.done_ms),
        total_ms: progress.map(|progress| progress.total_ms),
    };
    let mut steps: Vec<LessonStep> = match job {
        Some(job) => job.steps.iter().map(|one| step(&one.name, one.state, one.progress)).collect(),
        None => manifest.steps.iter().map(|(name, one)| step(name, one.state, None)).collect(),
    };
    if manifest.state.is_terminal() {
        steps.retain(|step| step.state == StepState::Failed);
    }
    steps
}

fn title(manifest: &Manifest) -> String {
    let title = manifest.title.trim();
    if title.is_empty() { "Untitled lesson".into() } else { title.into() }
}

/// Length and day, such as "3 min 31 s · 22 Nov 2026".
fn facts(manifest: &Manifest) -> String {
    let mut facts = Vec::new();
    if let Some(media) = &manifest.media {
        facts.push(length(media.duration_ms));
        if !media.has_video {
            facts.push("sound only".into());
        }
    }
    facts.push(manifest.created_at.strftime("%-d %b %Y").to_string());
    facts.join(" · ")
}

fn length(duration_ms: u64) -> String {
    let seconds = duration_ms.div_ceil(1000);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) if m < 10 => format!("{m} min {s} s"),
        (0, m, _) => format!("{m} min"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

fn placeholder(manifest: &Manifest) -> Option<String> {
    let uri = manifest.steps.get("stills")?.result.as_ref()?.pointer("/report/placeholder")?.as_str()?;
    let plain = uri.bytes().all(|b| b.is_ascii_alphanumeric() || b":/;,+=".contains(&b));
    (uri.starts_with("data:image/") && uri.len() <= 16_384 && plain).then(|| uri.into())
}

fn notice(manifest: &Manifest) -> Option<PageNotice> {
    let notice = |title, text: &str| Some(PageNotice { title, text: text.into() });
    match manifest.state {
        RecordingState::AwaitingUpload => {
            notice("The upload is not finished", "The lesson appears here once all of it has arrived.")
        }
        RecordingState::Queued => {
            notice("Waiting to be prepared", "The lesson starts here by itself when it can be watched.")
        }
        RecordingState::Processing => {
            notice("This lesson is being prepared", "It starts here by itself as soon as it can be watched.")
        }
        RecordingState::Failed => {
            let why = manifest.failure.as_ref().map_or("", |failure| failure.message.as_str());
            notice("This recording cannot be played", why)
        }
        RecordingState::Cancelled => {
            notice("Preparation was stopped", "Nothing of this lesson can be watched.")
        }
        RecordingState::Deleted => notice("This lesson was deleted", ""),
        RecordingState::Playable | RecordingState::Ready => {
            notice("One moment", "The lesson starts here by itself as soon as it can be watched.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_read_well() {
        assert_eq!(length(211_042), "3 min 32 s");
        assert_eq!(length(45 * 60_000), "45 min");
        assert_eq!(length(90 * 60_000), "1 h 30 min");
        assert_eq!(length(900), "1 s");
    }

    #[test]
    fn steps_are_told_until_the_end_and_failures_after_it() {
        let mut manifest = Manifest::new("t", layout::new_recording_id());
        for (name, state) in [("inspect", "done"), ("transcribe", "failed")] {
            let record = serde_json::from_value(serde_json::json!({ "state": state })).unwrap();
            manifest.steps.insert(name.into(), record);
        }
        let listed = |manifest: &Manifest| serde_json::to_value(steps(manifest, None)).unwrap();
        manifest.state = RecordingState::Processing;
        let both = serde_json::json!([
            { "name": "inspect", "state": "done" }, { "name": "transcribe", "state": "failed" }
        ]);
        assert_eq!(listed(&manifest), both);
        manifest.state = RecordingState::Ready;
        assert_eq!(listed(&manifest), serde_json::json!([{ "name": "transcribe", "state": "failed" }]));
    }

    #[test]
    fn only_a_picture_is_a_placeholder() {
        let mut manifest = Manifest::new("t", layout::new_recording_id());
        assert_eq!(placeholder(&manifest), None);
        let mut step = |uri: &str| {
            let record =
                serde_json::json!({ "state": "done", "result": { "report": { "placeholder": uri } } });
            manifest.steps.insert("stills".into(), serde_json::from_value(record).unwrap());
            placeholder(&manifest)
        };
        assert_eq!(step("data:image/jpeg;base64,AAAA").as_deref(), Some("data:image/jpeg;base64,AAAA"));
        assert_eq!(step("data:image/svg+xml,<svg>"), None);
        assert_eq!(step("https://elsewhere/x.jpg"), None);
        assert_eq!(step("data:image/png;base64,AA\") , url(\"x"), None);
    }
}
