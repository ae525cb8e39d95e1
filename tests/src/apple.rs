//! Apple's HLS authoring rules as far as they bind us, checked over texts and facts: no file is
//! opened here.
//!
//! Each rule has its number in Apple's document, so a finding can be looked up.
//! `tests/e2e/apple.rs` breaks a good presentation once for each rule.

use std::collections::BTreeMap;

use crate::playlist::{Line, Segment, lines, seconds, segments};

/// A multivariant playlist with everything it names.
#[derive(Clone, Debug, Default)]
pub struct Presentation {
    /// Its text.
    pub master: String,
    /// The media playlists by their URI in it.
    pub media: BTreeMap<String, Media>,
    /// How its text came, where a server sent it.
    pub delivered: Option<Delivered>,
}

/// How a playlist came over HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Whether its address led to another one.
    pub redirected: bool,
    /// Whether it was compressed for who takes that.
    pub compressed: bool,
}

/// A media playlist and what its segments really are.
#[derive(Clone, Debug, Default)]
pub struct Media {
    /// Its text.
    pub text: String,
    /// Its segments in order.
    pub facts: Vec<Fact>,
    /// How long one frame (or one packet of audio) lasts, in s.
    pub frame_s: f64,
    /// The WebVTT texts, where it has captions.
    pub captions: Vec<String>,
    /// How its text came, where a server sent it.
    pub delivered: Option<Delivered>,
}

/// Measured facts of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fact {
    /// Its size, in bytes.
    pub size_bytes: u64,
    /// How long its samples last, in s.
    pub duration_s: f64,
    /// Samples.
    pub samples: u32,
    /// Whether it starts with a keyframe.
    pub keyframe: bool,
}

/// A rule that is not held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its number.
    pub rule: &'static str,
    /// The problem.
    pub what: String,
}

/// Maximum deviation of measured bitrates (1.26, 1.27).
const TOLERANCE: f64 = 0.10;
/// The smallest variant's most, in bits per second (9.21).
const WEAKEST_BPS: f64 = 192_000.0;
/// A playlist below this fits one packet as it is, in bytes.
const ONE_PACKET: usize = 512;

/// Every rule that is not held.
pub fn broken(presentation: &Presentation) -> Vec<Broken> {
    let mut rules = Rules { presentation, found: Vec::new(), all: lines(&presentation.master) };
    rules.multivariant();
    rules.groups();
    rules.bitrates();
    rules.lengths();
    rules.trick_play();
    rules.delivered("the multivariant playlist", &presentation.master, presentation.delivered);
    for (uri, media) in &presentation.media {
        rules.media(uri, media);
        rules.delivered(uri, &media.text, media.delivered);
    }
    rules.found
}

struct Rules<'a> {
    presentation: &'a Presentation,
    found: Vec<Broken>,
    all: Vec<Line>,
}

impl Rules<'_> {
    fn say(&mut self, rule: &'static str, what: impl Into<String>) {
        self.found.push(Broken { rule, what: what.into() });
    }

    fn named(&self, name: &str) -> Vec<Line> {
        self.all.iter().filter(|line| line.name == name).cloned().collect()
    }

    /// Variants with video.
    fn video_variants(&self) -> Vec<Line> {
        let is = |line: &Line| line.get("RESOLUTION").is_some() || codecs(line).contains("avc");
        self.named("EXT-X-STREAM-INF").into_iter().filter(is).collect()
    }

    /// Whether a media playlist lists keyframes alone: it says so, or the multivariant playlist
    /// does.
    fn is_for_skimming(&self, uri: &str, media: &Media) -> bool {
        let named = |line: &Line| line.name == "EXT-X-I-FRAME-STREAM-INF" && line.uri() == uri;
        is_iframes(&media.text) || self.all.iter().any(named)
    }

    fn multivariant(&mut self) {
        let variants = self.named("EXT-X-STREAM-INF");
        if variants.is_empty() {
            self.say("9.1", "there is no variant");
        }
        if self.named("EXT-X-INDEPENDENT-SEGMENTS").is_empty() {
            self.say("9.12", "EXT-X-INDEPENDENT-SEGMENTS is missing");
        }
        for line in variants.iter().chain(&self.named("EXT-X-I-FRAME-STREAM-INF")) {
            let uri = line.uri();
            for (rule, attribute) in [("9.2", "CODECS"), ("1.27", "BANDWIDTH"), ("9.15", "AVERAGE-BANDWIDTH")]
            {
                if line.get(attribute).is_none_or(str::is_empty) {
                    self.say(rule, format!("{uri} has no {attribute}"));
                }
            }
            if !self.presentation.media.contains_key(&uri) {
                self.say("9.1", format!("{uri} is not there"));
            }
        }
        for line in self.video_variants() {
            for (rule, attribute) in [("9.3", "RESOLUTION"), ("9.4", "FRAME-RATE")] {
                if line.get(attribute).is_none_or(str::is_empty) {
                    self.say(rule, format!("{} has no {attribute}", line.uri()));
                }
            }
        }
    }

    /// Audio and captions are renditions of their own, with a language each.
    fn groups(&mut self) {
        let media = self.named("EXT-X-MEDIA");
        for line in &media {
            let name = line.get("GROUP-ID").unwrap_or("?").to_owned();
            if line.get("LANGUAGE").is_none_or(str::is_empty) {
                self.say("8.10", format!("group {name} has no LANGUAGE"));
            }
            if line.get("NAME").is_none_or(str::is_empty) {
                self.say("8.9", format!("group {name} has no NAME"));
            }
            if let Some(uri) = line.get("URI").map(str::to_owned)
                && !self.presentation.media.contains_key(&uri)
            {
                self.say("8.9", format!("{uri} is not there"));
            }
        }
        for variant in self.named("EXT-X-STREAM-INF") {
            for (attribute, kind) in [("AUDIO", "AUDIO"), ("SUBTITLES", "SUBTITLES")] {
                if let Some(group) = variant.get(attribute)
                    && !media.iter().any(|m| m.get("TYPE") == Some(kind) && m.get("GROUP-ID") == Some(group))
                {
                    self.say("8.9", format!("{} names the group {group}, which is not there", variant.uri()));
                }
            }
            if codecs(&variant).contains("mp4a") && variant.get("AUDIO").is_none() {
                self.say("8.9", format!("{} has its audio not through EXT-X-MEDIA", variant.uri()));
            }
        }
    }

    /// The playlist of a variant's audio; `None` for a variant that is the audio itself.
    fn audio(&self, variant: &Line) -> Option<&Media> {
        let group = variant.get("AUDIO")?;
        let own = self.all.iter().filter(|l| l.name == "EXT-X-MEDIA" && l.get("GROUP-ID") == Some(group));
        let uri = own.filter_map(|line| line.get("URI")).next()?;
        if uri == variant.uri() { None } else { self.presentation.media.get(uri) }
    }

    fn has_group(&self, group: &str) -> bool {
        self.all.iter().any(|line| line.name == "EXT-X-MEDIA" && line.get("GROUP-ID") == Some(group))
    }

    /// 1.26, 1.27 and 9.21: what is said is what is measured, and one variant fits the weakest
    /// line.
    fn bitrates(&mut self) {
        let mut weakest = f64::MAX;
        let mut any_picture = false;
        for variant in self.named("EXT-X-STREAM-INF") {
            let Some(media) = self.presentation.media.get(&variant.uri()) else { continue };
            let (mut peak, mut mean) = rates(media);
            // Without its audio there is nothing to compare; 8.9 says so.
            if variant.get("AUDIO").is_some_and(|group| !self.has_group(group)) {
                continue;
            }
            if let Some(audio) = self.audio(&variant) {
                let (audio_peak, audio_mean) = rates(audio);
                (peak, mean) = (peak + audio_peak, mean + audio_mean);
            }
            // What is over within a second has no rate that a line would have to hold.
            if variant.get("RESOLUTION").is_some() && seconds(&media.text) >= 1.0 {
                any_picture = true;
                weakest = weakest.min(peak);
            }
            for (rule, attribute, measured) in
                [("1.27", "BANDWIDTH", peak), ("1.26", "AVERAGE-BANDWIDTH", mean)]
            {
                let Some(said) = variant.get(attribute).and_then(|v| v.parse::<f64>().ok()) else { continue };
                // Of what still grows only the most can be said.
                let off = measured / said.max(1.0) - 1.0;
                let grows = !media.text.contains("#EXT-X-ENDLIST");
                if measured > 0.0 && (off > TOLERANCE || (off < -TOLERANCE && !grows)) {
                    self.say(rule, format!("{}: {attribute} {said}, measured {measured:.0}", variant.uri()));
                }
            }
        }
        if any_picture && weakest > WEAKEST_BPS {
            self.say("9.21", format!("the smallest variant peaks at {weakest:.0} bit/s"));
        }
    }

    /// 8.2 one target duration for audio and video (captions that are complete may have another),
    /// 5.5 captions to the end.
    fn lengths(&mut self) {
        let mut targets: BTreeMap<u64, String> = BTreeMap::new();
        let mut longest = 0.0_f64;
        for (uri, media) in &self.presentation.media {
            if self.is_for_skimming(uri, media) {
                continue;
            }
            let complete = media.text.contains("#EXT-X-PLAYLIST-TYPE:VOD");
            let exempt = complete && !media.captions.is_empty();
            if let Some(target) = number(&media.text, "EXT-X-TARGETDURATION").filter(|_| !exempt) {
                targets.insert(target, uri.clone());
            }
            if media.captions.is_empty() {
                longest = longest.max(seconds(&media.text));
            }
        }
        if targets.len() > 1 {
            self.say("8.2", format!("target durations differ: {targets:?}"));
        }
        let open = |media: &Media| !media.text.contains("#EXT-X-ENDLIST");
        let late: Vec<String> = self
            .presentation
            .media
            .iter()
            .filter(|(_, media)| !media.captions.is_empty() && !open(media))
            .filter(|(_, media)| (seconds(&media.text) - longest).abs() > 1.0)
            .map(|(uri, media)| format!("{uri} covers {:.1} of {longest:.1} s", seconds(&media.text)))
            .collect();
        late.into_iter().for_each(|what| self.say("5.5", what));
    }

    /// 6.1 and 6.8: I-frame playlists let a viewer scrub.
    fn trick_play(&mut self) {
        let iframes = self.named("EXT-X-I-FRAME-STREAM-INF");
        // A live rendition has none yet.
        let grows = self.presentation.media.values().any(|media| !media.text.contains("#EXT-X-ENDLIST"));
        if iframes.is_empty() && !self.video_variants().is_empty() && !grows {
            self.say("6.1", "there is no I-frame playlist");
        }
        for line in iframes {
            if line.get("RESOLUTION").is_none() {
                self.say("9.3", format!("{} has no RESOLUTION", line.uri()));
            }
            let Some(media) = self.presentation.media.get(&line.uri()) else { continue };
            if !is_iframes(&media.text) {
                self.say("6.8", format!("{} has no EXT-X-I-FRAMES-ONLY", line.uri()));
            }
            if let Some(index) = media.facts.iter().position(|fact| fact.samples != 1) {
                self.say("6.8", format!("{}: entry {} is not one frame", line.uri(), index + 1));
            }
        }
    }

    /// 8.18 and 10.1: playlists come from where they are said to be, and compressed.
    fn delivered(&mut self, uri: &str, text: &str, how: Option<Delivered>) {
        let Some(how) = how else { return };
        if how.redirected {
            self.say("8.18", format!("{uri} is redirected"));
        }
        if !how.compressed && text.len() >= ONE_PACKET {
            self.say("10.1", format!("{uri} is not compressed"));
        }
    }

    /// Captions are WebVTT (5.2), each segment with its place in time (5.3), one for all (5.4), to
    /// the end (5.5, see `lengths`), and cues stand in the segments they are seen in.
    fn captions(&mut self, uri: &str, media: &Media, listed: &[Segment]) {
        let mut maps: Vec<&str> = Vec::new();
        let mut until_s = 0.0;
        for (index, (text, segment)) in media.captions.iter().zip(listed).enumerate() {
            let from_s = until_s;
            until_s += segment.duration_s;
            let named = format!("{uri}: caption segment {}", index + 1);
            if !text.starts_with("WEBVTT") {
                self.say("5.2", format!("{named} is no WebVTT"));
                continue;
            }
            match text.lines().find_map(|line| line.strip_prefix("X-TIMESTAMP-MAP=")) {
                None => self.say("5.3", format!("{named} has no X-TIMESTAMP-MAP")),
                Some(map) => maps.push(map),
            }
            for (start_s, end_s) in cues(text) {
                if start_s > until_s + 0.001 || end_s < from_s - 0.001 || end_s < start_s {
                    self.say(
                        "5.4",
                        format!("{named} of {from_s:.3} to {until_s:.3} s has a cue at {start_s:.3} s"),
                    );
                }
            }
        }
        maps.dedup();
        if maps.len() > 1 {
            self.say("5.4", format!("{uri}: captions have several times: {maps:?}"));
        }
    }

    /// Rules for each media playlist.
    fn media(&mut self, uri: &str, media: &Media) {
        let listed = segments(&media.text);
        let target = number(&media.text, "EXT-X-TARGETDURATION");
        let Some(target) = target else {
            return self.say("7.7", format!("{uri} has no target duration"));
        };
        for segment in &listed {
            if segment.duration_s > target as f64 + 0.5 || segment.duration_s.round() > target as f64 {
                self.say("7.7", format!("{uri}: {} lasts {} s", segment.uri, segment.duration_s));
            }
        }
        let ended = media.text.contains("#EXT-X-ENDLIST");
        if !ended && !media.text.contains("#EXT-X-PLAYLIST-TYPE:EVENT") {
            self.say("8.1", format!("{uri} has no end and is no EVENT"));
        }
        if listed.len() != media.facts.len().max(media.captions.len()) {
            self.say("8.1", format!("{uri} lists {} segments", listed.len()));
        }
        if !media.captions.is_empty() {
            return self.captions(uri, media, &listed);
        }
        if !media.text.contains("#EXT-X-MAP:") {
            self.say("8.20", format!("{uri} has no EXT-X-MAP"));
        }
        if let Some(index) = media.facts.iter().position(|fact| !fact.keyframe) {
            self.say("7.4", format!("{uri}: segment {} does not start with a keyframe", index + 1));
        }
        // An I-frame playlist's entries last until the next one: their samples say nothing of it.
        if self.is_for_skimming(uri, media) {
            return;
        }
        let real: f64 = media.facts.iter().map(|fact| fact.duration_s).sum();
        if (seconds(&media.text) - real).abs() > media.frame_s + 1e-6 {
            self.say(
                "8.1",
                format!("{uri}: EXTINF adds up to {:.4} s, the samples to {real:.4}", seconds(&media.text)),
            );
        }
    }
}

fn codecs(line: &Line) -> String {
    line.get("CODECS").unwrap_or_default().to_owned()
}

/// Start and end of each cue, in s.
fn cues(text: &str) -> Vec<(f64, f64)> {
    let time = |text: &str| {
        text.split(':').try_fold(0.0, |total, part| Some(total * 60.0 + part.parse::<f64>().ok()?))
    };
    text.lines()
        .filter_map(|line| {
            let (start, rest) = line.split_once(" --> ")?;
            Some((time(start.trim())?, time(rest.split_whitespace().next()?)?))
        })
        .collect()
}

fn is_iframes(text: &str) -> bool {
    text.contains("#EXT-X-I-FRAMES-ONLY")
}

fn number(text: &str, name: &str) -> Option<u64> {
    let prefix = format!("#{name}:");
    text.lines().find_map(|line| line.strip_prefix(&prefix)?.trim().parse().ok())
}

/// Peak and mean, in bits per second: the peak over each run of complete segments of half to one
/// and a half target durations, as the document measures it; a clip shorter than that is one run.
fn rates(media: &Media) -> (f64, f64) {
    let listed: Vec<Segment> = segments(&media.text);
    let target = number(&media.text, "EXT-X-TARGETDURATION").unwrap_or(1) as f64;
    let pairs: Vec<(f64, f64)> =
        media.facts.iter().zip(&listed).map(|(f, s)| (f.size_bytes as f64 * 8.0, s.duration_s)).collect();
    let total: (f64, f64) = pairs.iter().fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
    let mut peak = 0.0_f64;
    for from in 0..pairs.len() {
        let (mut bits, mut time) = (0.0, 0.0);
        for (size, duration) in &pairs[from..] {
            (bits, time) = (bits + size, time + duration);
            if time > target * 1.5 {
                break;
            }
            if time >= target * 0.5 {
                peak = peak.max(bits / time);
            }
        }
    }
    let mean = if total.1 > 0.0 { total.0 / total.1 } else { 0.0 };
    (if peak == 0.0 { mean } else { peak }, mean)
}
