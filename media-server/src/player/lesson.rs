//! What the page knows about its lesson: in the page itself, and again at `lesson.json` as things change.

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

/// A lesson as the page needs it. Paths are absolute where they begin with a slash, else relative to `base`.
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
    /// Where the page may be loaded again.
    pub watch: String,
    /// The newest revision; 0 before there is one.
    pub revision: u32,
    /// The multivariant playlist; `None` before there is one.
    pub master: Option<String>,
    /// What the stream begins with, where the page does not have it yet.
    pub start: Option<Preload>,
    /// The recording's own picture, for players that show it.
    pub original: Option<HevcSource>,
    /// What to say while there is nothing to play.
    pub notice: Option<Notice>,
    /// How far each step is, while there is something left to do.
    pub steps: Vec<Step>,
    /// Whether there is a picture; `None` before it is known.
    pub picture: Option<bool>,
    /// Whether there is sound; `None` before it is known.
    pub sound: Option<bool>,
    /// The storyboard's track, where there is one.
    pub storyboard: Option<&'static str>,
    /// The transcript, where there is one.
    pub transcript: Option<&'static str>,
    /// The poster, where there is one.
    pub poster: Option<&'static str>,
    /// A small blurred picture as a data URI, for the time before the first frame.
    pub placeholder: Option<String>,
    /// First ms that may be seen, where not all may.
    pub window_start_ms: Option<u64>,
}

/// What stands over an empty stage.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Notice {
    /// A few words.
    pub title: &'static str,
    /// One sentence.
    pub text: String,
}

/// One step, as in the event stream's `step` and `progress`.
#[derive(Debug, Serialize)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub state: StepState,
    /// Media time done, in ms, where it has told.
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
    // Asked often while the lesson is prepared; the page that has this revision has its opening too.
    if lesson.revision == viewing.session.revision {
        lesson.start = None;
    }
    Ok(([(header::CACHE_CONTROL, "private, no-store")], Json(lesson)))
}

impl Lesson {
    /// The lesson of a session. A session keeps its revision; where a newer one is out, or its own was taken back, the answer
    /// is for the same session (same name, same end, same limits) at the newest.
    pub(super) async fn load(player: &Player, viewing: &Viewing) -> Result<Self, Problem> {
        // Redis away: the manifest still tells the state, only the live progress is missing.
        let job = match viewing.manifest.state.is_terminal() {
            true => None,
            false => player.queue.job(&viewing.tenant, viewing.recording()).await.unwrap_or(None),
        };
        let newest = at_newest_revision(player, viewing).await?;
        let mut lesson = Self::new(player, &newest, job.as_ref());
        if lesson.master.is_some() {
            // A head start: without one the player asks for itself, and says what is wrong.
            lesson.start = preload(&player.delivery, &newest).await.ok();
            lesson.original = hevc_source(&player.delivery, &newest).await.ok().flatten();
        }
        Ok(lesson)
    }

    fn new(player: &Player, newest: &Viewing, job: Option<&JobView>) -> Self {
        let manifest = &newest.manifest;
        let whole = newest.window().is_open();
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
            start: None,
            original: None,
            notice: if playable { None } else { notice(manifest) },
            steps: steps(manifest, job),
            picture: manifest.media.as_ref().map(|media| media.has_video),
            sound: manifest.media.as_ref().map(|media| media.has_audio),
            storyboard: (whole && has("storyboard.vtt")).then_some("storyboard.vtt"),
            transcript: has("transcript.json").then_some("transcript.json"),
            poster: (whole && has("poster")).then_some("poster.jpg"),
            placeholder: if whole { placeholder(manifest) } else { None },
            window_start_ms: newest.window().start_ms,
        }
    }
}

async fn at_newest_revision(player: &Player, viewing: &Viewing) -> Result<Viewing, Problem> {
    let mut viewing = viewing.clone();
    if newest_revision(&viewing.manifest) < viewing.session.revision {
        // A growing revision was taken back, or another server knew of this one first.
        let renewed = player.manifests.renewed(&viewing.tenant, viewing.recording()).await?;
        viewing.manifest = renewed.unwrap_or(viewing.manifest);
    }
    player.links.at_newest_revision(viewing)
}

/// The live job's steps, or those of the manifest. A lesson without anything left to do tells those alone that
/// failed: the page says what is missing.
fn steps(manifest: &Manifest, job: Option<&JobView>) -> Vec<Step> {
    let step = |name: &str, state: StepState, progress: Option<Progress>| Step {
        name: name.to_owned(),
        state,
        done_ms: progress.map(|progress| progress.done_ms),
        total_ms: progress.map(|progress| progress.total_ms),
    };
    let mut steps: Vec<Step> = match job {
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

/// «3 min 31 s · 22 Nov 2026».
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

fn notice(manifest: &Manifest) -> Option<Notice> {
    let notice = |title, text: &str| Some(Notice { title, text: text.into() });
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
        let told = |manifest: &Manifest| serde_json::to_value(steps(manifest, None)).unwrap();
        manifest.state = RecordingState::Processing;
        let both = serde_json::json!([
            { "name": "inspect", "state": "done" }, { "name": "transcribe", "state": "failed" }
        ]);
        assert_eq!(told(&manifest), both);
        manifest.state = RecordingState::Ready;
        assert_eq!(told(&manifest), serde_json::json!([{ "name": "transcribe", "state": "failed" }]));
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
