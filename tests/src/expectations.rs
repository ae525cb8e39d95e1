//! Right results for the small files of kinds that went wrong: by file name, since they carry no
//! truth with them.

use crate::ground_truth::{FfmpegError, GroundTruth, Refusal, Words};

/// The words of a synthetic teacher in them, and their times in the voice's own time. The rest of
/// the sentence recognition gets wrong.
const GREETING: &[&str] = &["good", "morning", "class", "today", "will", "learn", "about", "fractions"];
/// The second thing it says.
const REQUEST: &[&str] = &["please", "open", "your", "books", "page", "anybody", "tell", "what"];

/// Each two seconds from 1 s on.
fn each_two(until_s: f64) -> Vec<f64> {
    (0..).map(|n| 1.0 + 2.0 * f64::from(n)).take_while(|at| *at < until_s).collect()
}

/// Flashes and beeps come together.
fn together(length_s: f64) -> GroundTruth {
    GroundTruth {
        length_s: Some(length_s),
        flashes_s: each_two(length_s - 0.5),
        beeps_s: each_two(length_s - 0.5),
        ..GroundTruth::default()
    }
}

/// Most of some words, the first of them at a time.
fn words(said: &[&str], first_s: f64) -> Option<Words> {
    let said: Vec<String> = said.iter().map(|&word| word.to_owned()).collect();
    Some(Words { at_least: said.len() - 1, said, first_s: Some(first_s) })
}

/// Returns the right result for a file of this name.
pub fn for_file(name: &str) -> Option<GroundTruth> {
    let truth = match name {
        // Its frames hold no flash: they are compared with what ffmpeg decodes.
        "slides_quarter_fps.mp4" => {
            GroundTruth { length_s: Some(20.0), beeps_s: each_two(20.0), ..GroundTruth::default() }
        }
        "chrome_mdhd_in_movie_ticks.mp4" => GroundTruth { frames: Some(300), ..together(10.0) },
        "safari_fragments_sound_320ms_late.mp4" => GroundTruth {
            length_s: Some(10.33),
            beeps_s: each_two(10.0).iter().map(|at| at + 0.32).collect(),
            ..together(10.0)
        },
        // ffprobe knows the first frame's size alone.
        "mr_vp8_grows_160_to_720.webm" => {
            GroundTruth { size: Some((1280, 720)), misread: vec![FfmpegError::Frames], ..together(10.0) }
        }
        // ffmpeg stretches all frames to the first one's shape.
        "mr_vp8_phone_turns.webm" => GroundTruth {
            length_s: Some(8.0),
            beeps_s: each_two(8.0),
            squares_s: vec![0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5],
            upright_s: vec![0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5],
            misread: vec![FfmpegError::Frames],
            ..GroundTruth::default()
        },
        "mr_tablet_poseroll_-90.webm" => GroundTruth {
            length_s: Some(4.0),
            size: Some((360, 640)),
            beeps_s: vec![1.0, 3.0],
            squares_s: vec![0.5, 2.0, 3.5],
            upright_s: vec![0.5, 2.0, 3.5],
            ..GroundTruth::default()
        },
        "obs_desktop_silent_mic_second.mkv" => GroundTruth {
            length_s: Some(7.0),
            flashes_s: each_two(6.0),
            voice_s: vec![(0.3, 5.2)],
            words: words(REQUEST, 0.31),
            audio_track: Some(1),
            ..GroundTruth::default()
        },
        // ffmpeg's mono has no voice either.
        "voice_opposed_after_music.mp4" => GroundTruth {
            length_s: Some(17.0),
            voice_s: vec![(6.2, 11.9), (12.5, 16.4)],
            words: words(GREETING, 6.21),
            misread: vec![FfmpegError::Audio],
            ..GroundTruth::default()
        },
        // ffmpeg fills and cuts where the stamps jitter.
        "opus_stamps_jitter_15ms.mkv" => GroundTruth {
            length_s: Some(10.0),
            tone_hz: Some(440.0),
            misread: vec![FfmpegError::Audio],
            ..GroundTruth::default()
        },
        "clock_drift_2pct.mkv" => GroundTruth { misread: vec![FfmpegError::Audio], ..together(20.0) },
        // ffmpeg presents each frame when it is decoded.
        "divx_b_frames.avi" => {
            GroundTruth { frames: Some(300), misread: vec![FfmpegError::Frames], ..together(10.0) }
        }
        "png_screen.mov" => {
            GroundTruth { frames: Some(30), flashes_s: vec![1.0], beeps_s: vec![1.0], ..together(3.0) }
        }
        // ffmpeg starts the clock of the second again.
        "mr_two_blobs_joined.webm" => GroundTruth {
            length_s: Some(10.0),
            flashes_s: vec![1.0, 3.0, 6.0, 8.0],
            beeps_s: vec![1.0, 3.0, 6.0, 8.0],
            first_part_s: Some(5.0),
            misread: vec![FfmpegError::Ends, FfmpegError::Frames, FfmpegError::Audio],
            ..GroundTruth::default()
        },
        "voice_memo.caf" => GroundTruth {
            length_s: Some(6.2),
            voice_s: vec![(0.2, 5.9)],
            words: words(GREETING, 0.22),
            refusal: Some(Refusal { names: &["caf", "core audio"], or_played: true }),
            ..GroundTruth::default()
        },
        "camera_mpeg2_pcm.mxf" => GroundTruth {
            length_s: Some(3.0),
            flashes_s: vec![0.5, 1.5, 2.5],
            beeps_s: vec![0.5, 1.5, 2.5],
            frames: Some(75),
            refusal: Some(Refusal { names: &["mxf"], or_played: true }),
            ..GroundTruth::default()
        },
        "bell_then_quiet_voice.wav" => GroundTruth {
            length_s: Some(13.5),
            voice_s: vec![(2.2, 7.9), (8.5, 13.3)],
            words: words(GREETING, 2.22),
            ..GroundTruth::default()
        },
        // Media from 3 to 5 s takes 4 s; that from 7 s on is cut away. ffmpeg plays all edits at
        // normal speed.
        "edit_list_half_speed.mov" => GroundTruth {
            length_s: Some(9.0),
            flashes_s: vec![1.0, 3.0, 7.0],
            beeps_s: vec![1.0, 3.0, 7.0],
            slowed_beeps_s: vec![3.0],
            misread: vec![FfmpegError::Ends, FfmpegError::Frames, FfmpegError::Audio],
            ..GroundTruth::default()
        },
        "doccam_not_closed.avi" => GroundTruth {
            warned: &["ends", "closed", "cut", "complete"],
            flashes_s: vec![1.0, 3.0],
            beeps_s: vec![1.0, 3.0],
            ..together(4.2)
        },
        _ => return None,
    };
    Some(truth)
}
