//! The right result for a recording: known from how it was made, not by reading it.

/// Facts about a recording that its stream is checked against. What is empty is not checked.
#[derive(Clone, Debug, Default)]
pub struct GroundTruth {
    /// Length, in s.
    pub length_s: Option<f64>,
    /// How much flashes and beeps may be off together, in s: where two recordings meet, either may
    /// end or begin with packets that others do not count.
    pub seam_s: f64,
    /// When a white frame appears for a moment, in s.
    pub flashes_s: Vec<f64>,
    /// When a beep of 1 kHz begins, in s. The `n`th belongs to the `n`th flash.
    pub beeps_s: Vec<f64>,
    /// Those of them that are played at another speed: they may have another pitch, or be silent.
    pub slowed_beeps_s: Vec<f64>,
    /// Brightness of the frames over time.
    pub levels: Vec<Level>,
    /// Frames of the largest rendition.
    pub frames: Option<u64>,
    /// Width and height of the largest rendition, in pixels.
    pub size: Option<(usize, usize)>,
    /// When a yellow square is in the frame, in s.
    pub squares_s: Vec<f64>,
    /// When the frame's top left quarter is red and no other is, in s.
    pub upright_s: Vec<f64>,
    /// Frequency of a steady tone, in Hz.
    pub tone_hz: Option<f64>,
    /// When there is speech, from and to, in s.
    pub voice_s: Vec<(f64, f64)>,
    /// The words.
    pub words: Option<Words>,
    /// The audio track to choose, counted from 0.
    pub audio_track: Option<u64>,
    /// A warning has one of these words.
    pub warned: &'static [&'static str],
    /// Where the first part of the recording ends, in s: with a warning, a result may end there.
    pub first_part_s: Option<f64>,
    /// The file is not read, and the refusal names it.
    pub refusal: Option<Refusal>,
    /// Questions that ffmpeg is not asked about the source, because it is wrong there.
    pub misread: Vec<FfmpegError>,
}

/// From `at_s` until the next one the frames are grey, of this brightness.
#[derive(Clone, Copy, Debug)]
pub struct Level {
    /// Begin, in s.
    pub at_s: f64,
    /// Brightness, 0 to 255.
    pub grey: u8,
}

/// Requirements of a transcript.
#[derive(Clone, Debug)]
pub struct Words {
    /// Words that are said, in lower case.
    pub said: Vec<String>,
    /// How many of them are enough: recognition is not perfect.
    pub at_least: usize,
    /// When the first word begins, in s.
    pub first_s: Option<f64>,
}

/// How a file that is not read is refused.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    /// The message has one of these words.
    pub names: &'static [&'static str],
    /// Whether it may be played instead.
    pub or_played: bool,
}

/// Properties that ffmpeg reads otherwise than players do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FfmpegError {
    /// Where the tracks end.
    Ends,
    /// Which frame is on screen when, and its shape.
    Frames,
    /// Where the audio is.
    Audio,
}

impl GroundTruth {
    /// Whether ffmpeg is asked.
    pub fn trusts_ffmpeg(&self, about: FfmpegError) -> bool {
        !self.misread.contains(&about)
    }
}
