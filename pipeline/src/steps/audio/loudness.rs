//! Loudness by EBU R128, that of the speech apart, and the gain it asks for.

use std::collections::VecDeque;
use std::path::Path;

use ebur128::{EbuR128, Mode};

use super::fir::Decimator;
use super::levels::{Cap, GATE_DB, Levels};
use crate::error::{Error, Result};
use crate::voice::{self, Detector};

/// What every recording is brought to, in LUFS: loud enough for a laptop in a staff room, with room for peaks.
pub const TARGET_LUFS: f64 = -18.0;
/// Most gain, in dB: beyond it a recording is noise.
pub const MOST_GAIN_DB: f64 = 30.0;
/// Where the limiter holds peaks, in dBTP. One below the promised -1: AAC at a low bitrate adds about as much.
pub const CEILING_DBTP: f64 = -2.0;

/// Windows of voice activity between two blocks of loudness: 96 ms, where EBU R128 has 100.
const HOP_WINDOWS: usize = 3;
/// Frames in that time.
const HOP_FRAMES: usize = HOP_WINDOWS * voice::WINDOW_SAMPLES as usize * 3;
/// Windows in a block of 400 ms, rounded to hops.
const BLOCK_WINDOWS: usize = 4 * HOP_WINDOWS;
/// Hops until a block is complete.
const FIRST_BLOCK: u64 = 5;
/// Speech of this length sets the level, in ms.
const MIN_SPEECH_MS: u64 = 2_000;
/// So does speech of this share of a shorter recording.
const MIN_SPEECH_SHARE: f64 = 0.2;
/// Voice activity already leaves pauses out. The usual gate of 10 dB would also leave out whichever of two people speaks
/// 15 dB lower, and set the level by the loud one alone.
const SPEECH_GATE_DB: f64 = 20.0;
/// In speech a fifth of the blocks may be something else: a bang, a bell that rings during speech. Blocks of
/// speech are seldom more than 6 dB above the other four fifths.
const SPEECH_CAP: Cap = Cap { share: 0.8, margin_db: 6.0, gate_db: SPEECH_GATE_DB };
/// Without speech, only what is rare is left out: music may well fill a fifth of the time.
const OTHER_CAP: Cap = Cap { share: 0.9, margin_db: 6.0, gate_db: GATE_DB };
/// Half of a recording comes out below this, in LUFS, whatever its speech asks for: a music lesson is not squashed for
/// the sake of a few words.
const MOST_MEDIAN_LUFS: f64 = -8.0;

/// Measures a stereo signal at 48 kHz.
pub struct Meter {
    meter: EbuR128,
    detector: Detector,
    decimator: Decimator,
    mono: Vec<f32>,
    low: Vec<f32>,
    /// Frames until the next block ends.
    left: usize,
    hops: u64,
    /// Loudness of blocks whose voice activity is not known yet.
    waiting: VecDeque<f64>,
    /// Whether each of the last windows is speech.
    recent: VecDeque<bool>,
    judged: Vec<f32>,
    windows: u64,
    spoken: u64,
    all: Levels,
    speech: Levels,
    middle: f64,
    side: f64,
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loudness {
    /// Integrated loudness, in LUFS; none for silence, or for less than 0.4 s.
    pub integrated_lufs: Option<f64>,
    /// Loudness of the speech, in LUFS; `None` if there is too little of it.
    pub speech_lufs: Option<f64>,
    /// Share of the time in which there is speech, from 0 to 1.
    pub speech_share: f64,
    /// The loudness that the gain follows, in LUFS.
    pub level_lufs: Option<f64>,
    /// The loudness that half of the recording does not exceed, in LUFS.
    pub median_lufs: Option<f64>,
    /// True peak, in dBTP; -120 for silence.
    pub true_peak_dbtp: f64,
    /// Whether the channels cancel each other: one microphone the wrong way round.
    pub opposed: bool,
}

impl Meter {
    /// A meter at the start of a signal. Voice activity is judged by the network of `model`, or without it.
    pub fn new(model: Option<&Path>) -> Result<Self> {
        let meter = EbuR128::new(2, 48_000, Mode::M | Mode::TRUE_PEAK)
            .map_err(|e| Error::internal("no loudness meter").with_source(e))?;
        Ok(Self {
            meter,
            detector: Detector::for_raw_audio(model),
            decimator: Decimator::new(),
            mono: Vec::new(),
            low: Vec::new(),
            left: HOP_FRAMES,
            hops: 0,
            waiting: VecDeque::new(),
            recent: VecDeque::with_capacity(BLOCK_WINDOWS),
            judged: Vec::new(),
            windows: 0,
            spoken: 0,
            all: Levels::default(),
            speech: Levels::default(),
            middle: 0.0,
            side: 0.0,
        })
    }

    /// Takes interleaved frames.
    pub fn add(&mut self, mut frames: &[[f32; 2]]) -> Result<()> {
        while !frames.is_empty() {
            let (now, rest) = frames.split_at(frames.len().min(self.left));
            self.measure(now)?;
            self.left -= now.len();
            if self.left == 0 {
                self.block()?;
                self.left = HOP_FRAMES;
            }
            frames = rest;
        }
        Ok(())
    }

    fn measure(&mut self, frames: &[[f32; 2]]) -> Result<()> {
        let (mut middle, mut side) = (0.0, 0.0);
        for [left, right] in frames {
            middle += f64::from((left + right).powi(2));
            side += f64::from((left - right).powi(2));
        }
        self.middle += middle;
        self.side += side;
        self.meter.add_frames_f32(frames.as_flattened()).map_err(unmeasured)?;
        // Channels that cancel each other would leave no voice.
        let opposed = side > 10.0 * middle;
        self.mono.clear();
        self.mono
            .extend(frames.iter().map(|[left, right]| if opposed { *left } else { (left + right) / 2.0 }));
        self.low.clear();
        self.decimator.push(&self.mono, &mut self.low);
        self.detector.push(&self.low, &mut self.judged)?;
        self.assign();
        Ok(())
    }

    /// Takes the loudness of the 400 ms that end here.
    fn block(&mut self) -> Result<()> {
        self.hops += 1;
        let lufs = if self.hops < FIRST_BLOCK {
            f64::NEG_INFINITY
        } else {
            self.meter.loudness_momentary().map_err(unmeasured)?
        };
        self.all.add(lufs);
        self.waiting.push_back(lufs);
        Ok(())
    }

    /// Counts blocks as speech whose windows have been judged.
    fn assign(&mut self) {
        for probability in self.judged.drain(..) {
            let speech = probability >= voice::MIN_PROBABILITY;
            self.windows += 1;
            self.spoken += u64::from(speech);
            if self.recent.len() == BLOCK_WINDOWS {
                self.recent.pop_front();
            }
            self.recent.push_back(speech);
            if self.windows.is_multiple_of(HOP_WINDOWS as u64)
                && let Some(lufs) = self.waiting.pop_front()
                && self.recent.iter().filter(|speech| **speech).count() * 2 >= BLOCK_WINDOWS
            {
                self.speech.add(lufs);
            }
        }
    }

    /// The result, at the end of the signal.
    pub fn finish(mut self) -> Result<Loudness> {
        self.low.clear();
        self.decimator.finish(&mut self.low);
        self.detector.push(&self.low, &mut self.judged)?;
        self.detector.finish(&mut self.judged)?;
        self.assign();
        let speech_share = self.spoken as f64 / self.windows.max(1) as f64;
        let speech_ms = self.spoken * voice::WINDOW_SAMPLES * 1000 / voice::RATE_HZ;
        let enough = speech_ms >= MIN_SPEECH_MS || speech_share >= MIN_SPEECH_SHARE;
        let speech_lufs = self.speech.capped_lufs(SPEECH_CAP).filter(|_| enough);
        let peak = (0..2).filter_map(|c| self.meter.true_peak(c).ok()).fold(0.0, f64::max);
        Ok(Loudness {
            integrated_lufs: self.all.integrated_lufs(),
            speech_lufs,
            speech_share,
            level_lufs: speech_lufs.or_else(|| self.all.capped_lufs(OTHER_CAP)),
            median_lufs: self.all.quantile_lufs(0.5),
            true_peak_dbtp: if peak > 1e-6 { decibels(peak) } else { -120.0 },
            opposed: self.side > 10.0 * self.middle,
        })
    }
}

impl Loudness {
    /// The gain that brings the speech to the target, or without speech the signal, in dB. Silence stays silence.
    pub fn gain_db(&self) -> f64 {
        let wanted = self.level_lufs.map_or(0.0, |level| TARGET_LUFS - level);
        let most = self.median_lufs.map_or(MOST_GAIN_DB, |median| MOST_MEDIAN_LUFS - median);
        wanted.min(most).min(MOST_GAIN_DB)
    }
}

fn unmeasured(error: ebur128::Error) -> Error {
    Error::internal("loudness was not measured").with_source(error)
}

/// An amplitude in dB.
pub fn decibels(amplitude: f64) -> f64 {
    20.0 * amplitude.log10()
}

/// The amplitude of a level in dB.
pub fn amplitude(decibels: f64) -> f64 {
    10f64.powf(decibels / 20.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(seconds: f32, signal: impl Fn(usize) -> [f32; 2]) -> Loudness {
        let frames: Vec<_> = (0..(seconds * 48_000.0) as usize).map(signal).collect();
        let mut meter = Meter::new(None).expect("a meter");
        frames.chunks(1000).for_each(|chunk| meter.add(chunk).expect("frames"));
        meter.finish().expect("a result")
    }

    fn tone(i: usize, level_db: f64) -> f32 {
        (i as f32 * std::f32::consts::TAU * 997.0 / 48_000.0).sin() * amplitude(level_db) as f32
    }

    /// Something like a voice: syllables three times a second, a vowel and a hiss by turns.
    fn voice(i: usize, level_db: f64) -> f32 {
        let at = i as f32 / 48_000.0 * 3.0;
        let envelope = (at.fract() * std::f32::consts::PI).sin().powi(4);
        let hiss = ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0;
        let vowel = (1..6).map(|h| (i as f32 * 0.018 * h as f32).sin() / h as f32).sum::<f32>();
        let sound = if at.fract() < 0.35 { hiss * 0.5 } else { vowel };
        sound * envelope * amplitude(level_db) as f32
    }

    #[test]
    fn a_reference_tone_reads_as_the_standard_says() {
        // EBU Tech 3341, case 1: 1 kHz at -23 dBFS in both channels reads -23 LUFS.
        let loudness = measure(5.0, |i| [tone(i, -23.0); 2]);
        let lufs = loudness.integrated_lufs.expect("loud");
        assert!((lufs + 23.0).abs() < 0.1, "{lufs}");
        assert!((loudness.true_peak_dbtp + 23.0).abs() < 0.2);
        assert!((loudness.gain_db() - 5.0).abs() < 0.1);
        assert!(!loudness.opposed);
        assert_eq!((loudness.speech_lufs, loudness.speech_share), (None, 0.0));
    }

    #[test]
    fn silence_stays_silence_and_noise_is_not_blown_up() {
        let silence = measure(5.0, |_| [0.0; 2]);
        assert_eq!((silence.integrated_lufs, silence.gain_db()), (None, 0.0));
        let faint = measure(5.0, |i| [tone(i, -60.0); 2]);
        assert_eq!(faint.gain_db(), MOST_GAIN_DB);
    }

    #[test]
    fn channels_that_cancel_are_seen() {
        assert!(measure(5.0, |i| [tone(i, -20.0), -tone(i, -20.0)]).opposed);
        assert!(!measure(5.0, |i| [tone(i, -20.0), 0.0]).opposed);
    }

    #[test]
    fn a_loud_event_does_not_set_the_level_of_a_voice() {
        let quiet = measure(12.0, |i| [voice(i, -40.0); 2]);
        assert!(quiet.speech_share > 0.5, "{quiet:?}");
        for (event_ms, at_ms) in [(20, 0), (400, 5000), (3000, 0), (3000, 9000)] {
            let event = at_ms * 48..(at_ms + event_ms) * 48;
            let with =
                measure(12.0, |i| [if event.contains(&i) { tone(i, -1.0) } else { voice(i, -40.0) }; 2]);
            let off = with.gain_db() - quiet.gain_db();
            assert!(off.abs() < 3.0, "{event_ms} ms at {at_ms}: {off} dB; {with:?}");
        }
    }

    #[test]
    fn a_quieter_second_voice_counts() {
        let loud = measure(6.0, |i| [voice(i, -10.0); 2]);
        let both = measure(10.0, |i| [voice(i, if i < 288_000 { -10.0 } else { -25.0 }); 2]);
        let more = both.gain_db() - loud.gain_db();
        assert!((1.5..3.0).contains(&more), "{more} dB; {both:?}");
    }

    #[test]
    fn rare_events_without_speech_do_not_set_the_level_but_music_does() {
        // Half a minute of even noise, a bang of half a second in it.
        let bang =
            measure(30.0, |i| [tone(i, if (200_000..224_000).contains(&i) { -1.0 } else { -40.0 }); 2]);
        assert!((bang.gain_db() - 22.0).abs() < 1.0, "{bang:?}");
        // Music for a fifth of the time, then the room.
        let music = measure(30.0, |i| [tone(i, if i < 288_000 { -20.0 } else { -58.0 }); 2]);
        assert!((music.gain_db() - 2.0).abs() < 1.0, "{music:?}");
    }
}
