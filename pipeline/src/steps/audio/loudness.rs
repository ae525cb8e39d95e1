//! Loudness by EBU R128, that of the speech, and the gain that follows from them.

use std::collections::VecDeque;
use std::path::Path;

use ebur128::{EbuR128, Mode};

use super::fir::Decimator;
use super::levels::{GATE_DB, LevelCap, LoudnessHistogram};
use crate::error::{Error, Result};
use crate::voice::{self, Detector};

/// Loudness to which every recording is brought, in LUFS: enough for a laptop in a staff room, with
/// headroom for peaks.
pub const TARGET_LUFS: f64 = -18.0;
/// Maximum gain, in dB: a recording that needs more is noise.
pub const MAX_GAIN_DB: f64 = 30.0;
/// Ceiling of the limiter, in dBTP. It is 1 dB below the promised -1, because AAC at a low bitrate
/// adds about as much.
pub const CEILING_DBTP: f64 = -2.0;

/// Windows of voice activity between two blocks of loudness: 96 ms, where EBU R128 has 100.
const HOP_WINDOWS: usize = 3;
/// Frames in that time.
const HOP_FRAMES: usize = HOP_WINDOWS * voice::WINDOW_SAMPLES as usize * 3;
/// Windows in a block of 400 ms, rounded to hops.
const BLOCK_WINDOWS: usize = 4 * HOP_WINDOWS;
/// Hops until the first block is complete.
const FIRST_BLOCK_HOPS: u64 = 5;
/// Minimum speech that sets the level, in ms.
const MIN_SPEECH_MS: u64 = 2_000;
/// Minimum share of speech that sets the level of a shorter recording.
const MIN_SPEECH_SHARE: f64 = 0.2;
/// Relative gate for speech, in dB. Voice activity already leaves pauses out. The usual gate of 10
/// dB would also leave out the quieter of two speakers 15 dB apart.
const SPEECH_GATE_DB: f64 = 20.0;
/// Cap for speech. A fifth of its blocks may be something else, such as a bang or a bell. Blocks of
/// speech are seldom more than 6 dB above the other four fifths.
const SPEECH_CAP: LevelCap = LevelCap { share: 0.8, margin_db: 6.0, gate_db: SPEECH_GATE_DB };
/// Cap without speech. Only rare events are left out, because music may well fill a fifth of the
/// time.
const OTHER_CAP: LevelCap = LevelCap { share: 0.9, margin_db: 6.0, gate_db: GATE_DB };
/// Maximum median of the output, in LUFS, whatever the speech needs. A music lesson is not squashed
/// for the sake of a few words.
const MAX_MEDIAN_LUFS: f64 = -8.0;

/// Ratio of the channels' difference to their sum, in energy, from which one counts as inverted.
const INVERTED_ENERGY_RATIO: f64 = 10.0;

/// Measures a stereo signal at 48 kHz.
pub struct LoudnessMeter {
    meter: EbuR128,
    detector: Detector,
    decimator: Decimator,
    mono: Vec<f32>,
    low_rate: Vec<f32>,
    /// Frames until the next hop ends.
    frames_left: usize,
    hops: u64,
    /// Loudness of blocks whose voice activity is not known yet.
    pending_blocks: VecDeque<f64>,
    /// Whether each of the last windows is speech.
    recent_speech: VecDeque<bool>,
    probabilities: Vec<f32>,
    windows: u64,
    speech_windows: u64,
    all_levels: LoudnessHistogram,
    speech_levels: LoudnessHistogram,
    mid_energy: f64,
    side_energy: f64,
}

/// Measured loudness.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loudness {
    /// Integrated loudness, in LUFS. `None` for silence, or for less than 0.4 s.
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
    /// Whether one channel is inverted, so that both cancel each other. `channels` repairs most
    /// such audio before; what is too short or too faint for it arrives here.
    pub has_inverted_channel: bool,
}

impl LoudnessMeter {
    /// Creates a meter at the start of a signal. It detects speech with the network of `model`, or
    /// without a model by the envelope.
    pub fn new(model: Option<&Path>) -> Result<Self> {
        let meter = EbuR128::new(2, 48_000, Mode::M | Mode::TRUE_PEAK)
            .map_err(|e| Error::internal("the loudness meter could not be created").with_source(e))?;
        Ok(Self {
            meter,
            detector: Detector::for_raw_audio(model),
            decimator: Decimator::new(),
            mono: Vec::new(),
            low_rate: Vec::new(),
            frames_left: HOP_FRAMES,
            hops: 0,
            pending_blocks: VecDeque::new(),
            recent_speech: VecDeque::with_capacity(BLOCK_WINDOWS),
            probabilities: Vec::new(),
            windows: 0,
            speech_windows: 0,
            all_levels: LoudnessHistogram::default(),
            speech_levels: LoudnessHistogram::default(),
            mid_energy: 0.0,
            side_energy: 0.0,
        })
    }

    /// Adds frames.
    pub fn add(&mut self, mut frames: &[[f32; 2]]) -> Result<()> {
        while !frames.is_empty() {
            let (now, rest) = frames.split_at(frames.len().min(self.frames_left));
            self.measure(now)?;
            self.frames_left -= now.len();
            if self.frames_left == 0 {
                self.end_hop()?;
                self.frames_left = HOP_FRAMES;
            }
            frames = rest;
        }
        Ok(())
    }

    fn measure(&mut self, frames: &[[f32; 2]]) -> Result<()> {
        let (mut mid_energy, mut side_energy) = (0.0, 0.0);
        for [left, right] in frames {
            mid_energy += f64::from((left + right).powi(2));
            side_energy += f64::from((left - right).powi(2));
        }
        self.mid_energy += mid_energy;
        self.side_energy += side_energy;
        self.meter.add_frames_f32(frames.as_flattened()).map_err(meter_failed)?;
        // The sum of inverted channels would have no voice.
        let has_inverted_channel = side_energy > INVERTED_ENERGY_RATIO * mid_energy;
        self.mono.clear();
        self.mono.extend(
            frames
                .iter()
                .map(|[left, right]| if has_inverted_channel { *left } else { (left + right) / 2.0 }),
        );
        self.low_rate.clear();
        self.decimator.push(&self.mono, &mut self.low_rate);
        self.detector.push(&self.low_rate, &mut self.probabilities)?;
        self.count_speech();
        Ok(())
    }

    /// Records the loudness of the 400 ms that end here.
    fn end_hop(&mut self) -> Result<()> {
        self.hops += 1;
        let lufs = if self.hops < FIRST_BLOCK_HOPS {
            f64::NEG_INFINITY
        } else {
            self.meter.loudness_momentary().map_err(meter_failed)?
        };
        self.all_levels.add(lufs);
        self.pending_blocks.push_back(lufs);
        Ok(())
    }

    /// Counts the blocks whose windows are judged as speech.
    fn count_speech(&mut self) {
        for probability in self.probabilities.drain(..) {
            let is_speech = probability >= voice::MIN_PROBABILITY;
            self.windows += 1;
            self.speech_windows += u64::from(is_speech);
            if self.recent_speech.len() == BLOCK_WINDOWS {
                self.recent_speech.pop_front();
            }
            self.recent_speech.push_back(is_speech);
            if self.windows.is_multiple_of(HOP_WINDOWS as u64)
                && let Some(lufs) = self.pending_blocks.pop_front()
                && self.recent_speech.iter().filter(|is_speech| **is_speech).count() * 2 >= BLOCK_WINDOWS
            {
                self.speech_levels.add(lufs);
            }
        }
    }

    /// Returns the result, at the end of the signal.
    pub fn finish(mut self) -> Result<Loudness> {
        self.low_rate.clear();
        self.decimator.finish(&mut self.low_rate);
        self.detector.push(&self.low_rate, &mut self.probabilities)?;
        self.detector.finish(&mut self.probabilities)?;
        self.count_speech();
        let speech_share = self.speech_windows as f64 / self.windows.max(1) as f64;
        let speech_ms = self.speech_windows * voice::WINDOW_SAMPLES * 1000 / voice::RATE_HZ;
        let enough = speech_ms >= MIN_SPEECH_MS || speech_share >= MIN_SPEECH_SHARE;
        let speech_lufs = self.speech_levels.capped_lufs(SPEECH_CAP).filter(|_| enough);
        let peak = (0..2).filter_map(|c| self.meter.true_peak(c).ok()).fold(0.0, f64::max);
        Ok(Loudness {
            integrated_lufs: self.all_levels.integrated_lufs(),
            speech_lufs,
            speech_share,
            level_lufs: speech_lufs.or_else(|| self.all_levels.capped_lufs(OTHER_CAP)),
            median_lufs: self.all_levels.quantile_lufs(0.5),
            true_peak_dbtp: if peak > 1e-6 { amplitude_to_db(peak) } else { -120.0 },
            has_inverted_channel: self.side_energy > INVERTED_ENERGY_RATIO * self.mid_energy,
        })
    }
}

impl Loudness {
    /// Returns the gain that brings the speech to the target, or without speech the signal, in dB.
    /// Silence stays silent.
    pub fn gain_db(&self) -> f64 {
        let wanted_db = self.level_lufs.map_or(0.0, |level| TARGET_LUFS - level);
        let max_db = self.median_lufs.map_or(MAX_GAIN_DB, |median| MAX_MEDIAN_LUFS - median);
        wanted_db.min(max_db).min(MAX_GAIN_DB)
    }
}

fn meter_failed(error: ebur128::Error) -> Error {
    Error::internal("loudness was not measured").with_source(error)
}

/// Converts an amplitude to dB.
pub fn amplitude_to_db(amplitude: f64) -> f64 {
    20.0 * amplitude.log10()
}

/// Converts a level in dB to an amplitude.
pub fn db_to_amplitude(db: f64) -> f64 {
    10f64.powf(db / 20.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(seconds: f32, signal: impl Fn(usize) -> [f32; 2]) -> Loudness {
        let frames: Vec<_> = (0..(seconds * 48_000.0) as usize).map(signal).collect();
        let mut meter = LoudnessMeter::new(None).expect("a meter");
        frames.chunks(1000).for_each(|chunk| meter.add(chunk).expect("frames"));
        meter.finish().expect("a result")
    }

    fn tone(i: usize, level_db: f64) -> f32 {
        (i as f32 * std::f32::consts::TAU * 997.0 / 48_000.0).sin() * db_to_amplitude(level_db) as f32
    }

    /// Something like a voice: syllables three times a second, a vowel and a hiss by turns.
    fn voice(i: usize, level_db: f64) -> f32 {
        let at = i as f32 / 48_000.0 * 3.0;
        let envelope = (at.fract() * std::f32::consts::PI).sin().powi(4);
        let hiss = ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0;
        let vowel = (1..6).map(|h| (i as f32 * 0.018 * h as f32).sin() / h as f32).sum::<f32>();
        let sample = if at.fract() < 0.35 { hiss * 0.5 } else { vowel };
        sample * envelope * db_to_amplitude(level_db) as f32
    }

    #[test]
    fn a_reference_tone_reads_as_the_standard_says() {
        // EBU Tech 3341, case 1: 1 kHz at -23 dBFS in both channels reads -23 LUFS.
        let loudness = measure(5.0, |i| [tone(i, -23.0); 2]);
        let lufs = loudness.integrated_lufs.expect("loud");
        assert!((lufs + 23.0).abs() < 0.1, "{lufs}");
        assert!((loudness.true_peak_dbtp + 23.0).abs() < 0.2);
        assert!((loudness.gain_db() - 5.0).abs() < 0.1);
        assert!(!loudness.has_inverted_channel);
        assert_eq!((loudness.speech_lufs, loudness.speech_share), (None, 0.0));
    }

    #[test]
    fn silence_stays_silence_and_noise_is_not_blown_up() {
        let silence = measure(5.0, |_| [0.0; 2]);
        assert_eq!((silence.integrated_lufs, silence.gain_db()), (None, 0.0));
        let faint = measure(5.0, |i| [tone(i, -60.0); 2]);
        assert_eq!(faint.gain_db(), MAX_GAIN_DB);
    }

    #[test]
    fn channels_that_cancel_are_seen() {
        assert!(measure(5.0, |i| [tone(i, -20.0), -tone(i, -20.0)]).has_inverted_channel);
        assert!(!measure(5.0, |i| [tone(i, -20.0), 0.0]).has_inverted_channel);
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
