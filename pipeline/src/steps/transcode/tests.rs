//! Checks keyframes and times of complete ladders, for the frame rates, sizes and thread counts of
//! real recordings and machines.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use gstreamer as gst;
use gstreamer_video as gst_video;
use proptest::prelude::*;

use super::{grid, ladder};
use crate::context::capturing_context;
use crate::fmp4::read::{ReadSample, samples};
use crate::gst::DecodedBuffer;
use crate::ladder::{KEYFRAME_INTERVAL_MS, Ladder, LadderSettings, RenditionPlan, Rung, plan};
use crate::media::{Orientation, Rational, VideoTrack};
use crate::steps::inspect::frame_rate;

/// Luma of the source's frames, in turn: far enough apart to identify each one after encoding.
const LUMA: [u8; 8] = [40, 200, 64, 176, 88, 224, 112, 152];

/// A recording, and the settings of its ladder.
#[derive(Clone, Debug)]
struct Case {
    gap_us: i64,
    /// Lengths of the source's frames, as multiples of the gap; all 1 at a constant rate.
    lengths: Vec<f64>,
    size: (u32, u32),
    threads: usize,
    preset: &'static str,
    max_frame_rate: u32,
}

fn cases() -> impl Strategy<Value = Case> {
    let usual = prop::sample::select(vec![
        30_000_000, 10_000_000, 4_000_000, 2_000_000, 1_000_000, 666_667, 500_000, 200_000, 100_000, 66_667,
        41_708, 40_000, 33_367, 33_333, 20_000, 16_667,
    ]);
    let gap_us = prop_oneof![3 => usual, 1 => 16_667_i64..30_000_000];
    let lengths = prop_oneof![
        Just(vec![1.0]),
        prop::collection::vec(prop_oneof![Just(0.05), Just(1.0), 0.1..3.0_f64], 2..9)
    ];
    let sizes = [(160, 90), (160, 90), (90, 160), (176, 144), (320, 180), (426, 240), (640, 360)];
    let size = prop_oneof![12 => prop::sample::select(sizes.to_vec()), 1 => Just((1920, 1080))];
    let preset = prop::sample::select(vec!["lesson", "lesson", "ultrafast", "veryfast", "slow"]);
    let max_frame_rate = prop::sample::select(vec![30, 30, 60, 15, 5, 1]);
    (gap_us, lengths, size, 1_usize..=4, preset, max_frame_rate).prop_map(
        |(gap_us, lengths, size, threads, preset, max_frame_rate)| Case {
            gap_us,
            lengths,
            size,
            threads,
            preset,
            max_frame_rate,
        },
    )
}

impl Case {
    /// Returns the presentation times of the source's frames in ns, enough for about `output`
    /// frames, and their end.
    fn times_ns(&self, rate: Rational, output: f64) -> (Vec<i64>, i64) {
        let length_ns = (output / rate.as_f64() * 1e9) as i64;
        let (mut times, mut at) = (Vec::new(), 0);
        for length in self.lengths.iter().cycle() {
            times.push(at);
            at += ((self.gap_us * 1000) as f64 * length) as i64;
            if at > length_ns || times.len() as f64 >= 4.0 * output {
                break;
            }
        }
        let last_ns = times[times.len() - 1];
        (times, at.min(length_ns.max(last_ns + 1_000_000)))
    }

    fn video_and_ladder(&self) -> (VideoTrack, Ladder) {
        // As `inspect` would find it in a longer recording of the same pace.
        let found =
            frame_rate::measure(&self.times_ns(Rational::new(1_000_000, self.gap_us as u32), 40.0).0, None);
        let rung = |name: &str, width, height, max_frame_rate| Rung {
            name: name.into(),
            width,
            height,
            max_frame_rate,
            // Flat frames of alternating brightness are all intra: the test is not about rate
            // control.
            bitrate_bps: 20_000_000,
        };
        let rungs = vec![
            rung("top", 1920, 1080, self.max_frame_rate),
            rung("weak", 160, 160, self.max_frame_rate.min(15)),
        ];
        let settings =
            LadderSettings { preset: self.preset.into(), quality: Some(23), drop_redundant: false, rungs };
        let video = VideoTrack {
            frame_rate: found.rate,
            variable_rate: found.is_variable,
            ..VideoTrack::for_tests(self.size.0, self.size.1)
        };
        let ladder = plan(&video, &settings);
        (video, ladder)
    }

    fn check(&self) {
        crate::gst::init().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (ctx, _) = capturing_context(folder.path());
        let (video, ladder) = self.video_and_ladder();
        let large = self.size.0 * self.size.1 > 1_000_000;
        let (times_ns, end_ns) = self.times_ns(ladder.full_rate, if large { 24.0 } else { 80.0 });
        let mut ladder_encoder =
            ladder::LadderEncoder::start(&ladder, &video, true, true, |_| self.threads, &ctx).unwrap();
        for (number, &time_ns) in times_ns.iter().enumerate() {
            ladder_encoder.push(flat(self.size, LUMA[number % LUMA.len()], time_ns), &ctx).unwrap();
        }
        let made = ladder_encoder.finish(end_ns, &ctx).unwrap();
        assert!(made.iframes.is_some() && made.trickplay.is_some());
        for plan in &ladder.renditions {
            let rendition = Rendition::read(&folder.path().join("video").join(&plan.name));
            rendition.check_keyframes(plan, ladder.full_rate, ladder.slowest_step);
            rendition.check_times(plan, &times_ns, end_ns);
        }
    }
}

fn flat((width, height): (u32, u32), luma: u8, time_ns: i64) -> DecodedBuffer {
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, width, height).build().unwrap();
    let mut data = vec![128; info.size()];
    data[..info.offset()[1]].fill(luma);
    let buffer = gst::Buffer::from_mut_slice(data);
    DecodedBuffer {
        buffer,
        caps: info.to_caps().unwrap(),
        time_ns,
        duration_ns: None,
        turn: Orientation::default(),
    }
}

/// A rendition as written.
struct Rendition {
    segments: Vec<Vec<ReadSample>>,
    /// Luma of its frames as ffmpeg decodes them, in presentation order.
    luma: Vec<u8>,
}

impl Rendition {
    fn read(folder: &Path) -> Self {
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "m4s"))
            .collect();
        files.sort();
        let mut joined = std::fs::read(folder.join("init.mp4")).unwrap();
        let mut segments = Vec::new();
        for file in files {
            let bytes = std::fs::read(file).unwrap();
            segments.push(samples(&bytes));
            joined.extend(bytes);
        }
        let path = folder.join("joined.mp4");
        std::fs::write(&path, joined).unwrap();
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-i"])
            .arg(&path)
            .args(["-vf", "crop=2:2,format=yuv420p", "-fps_mode", "passthrough"])
            .args(["-f", "rawvideo", "-"])
            .output()
            .expect("these tests need ffmpeg: install Debian's package ffmpeg");
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let luma = output.stdout.chunks_exact(6).map(|frame| frame[0]).collect();
        Self { segments, luma }
    }

    /// Asserts that every planned keyframe is there, and no other.
    fn check_keyframes(&self, plan: &RenditionPlan, full_rate: Rational, slowest: u64) {
        let (_, ticks) = grid::timescale(plan.frame_rate);
        let all: Vec<&ReadSample> = self.segments.iter().flatten().collect();
        let keyframes: BTreeSet<u64> =
            all.iter().filter(|read| read.3).map(|read| read.1 as u64 / u64::from(ticks)).collect();
        let step = plan.step_of(full_rate);
        let count = all.len() as u64 * step;
        // The first frame of the slowest rendition at or after each multiple of the interval.
        let (num, den) = (u64::from(full_rate.num), u64::from(full_rate.den));
        let planned: BTreeSet<u64> = (0..)
            .map(|number| {
                (number * KEYFRAME_INTERVAL_MS * num).div_ceil(1000 * den).next_multiple_of(slowest)
            })
            .take_while(|&full| full < count)
            .map(|full| full / step)
            .collect();
        assert_eq!(keyframes, planned, "keyframes of {}", plan.name);
        assert!(self.segments.iter().all(|segment| segment[0].3), "a segment starts with a keyframe");
    }

    /// Asserts that frames follow one another without gaps, and display the source's frames at
    /// their times.
    fn check_times(&self, plan: &RenditionPlan, times_ns: &[i64], end_ns: i64) {
        let (_, ticks) = grid::timescale(plan.frame_rate);
        let mut presented: Vec<i64> = self.segments.iter().flatten().map(|read| read.1).collect();
        presented.sort_unstable();
        let count = presented.len() as i64;
        let every: Vec<i64> = (0..count).map(|frame| frame * i64::from(ticks)).collect();
        assert_eq!(presented, every, "times of {}", plan.name);
        assert_eq!(self.luma.len() as i64, count, "frames of {} that decode", plan.name);
        let frame_ns = 1e9 / plan.frame_rate.as_f64();
        assert!((count as f64 * frame_ns - end_ns as f64).abs() < frame_ns * 1.01, "end of {}", plan.name);
        // Source frames may be off by half a frame here, and a little more if two of them tie.
        let slack = (frame_ns * 0.56) as i64 + 1;
        for (frame, luma) in self.luma.iter().enumerate() {
            let at = (frame as f64 * frame_ns) as i64;
            let near = |&(number, &from): &(usize, &i64)| {
                let until = times_ns.get(number + 1).copied().unwrap_or(i64::MAX);
                number == 0 && at <= from || from <= at + slack && until >= at - slack
            };
            let candidates = times_ns.iter().enumerate().filter(near);
            assert!(
                candidates.map(|(number, _)| LUMA[number % LUMA.len()]).any(|l| l.abs_diff(*luma) < 10),
                "frame {frame} of {} shows a luma of {luma}",
                plan.name
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 20, ..ProptestConfig::default() })]

    #[test]
    fn every_planned_keyframe_is_there_no_other_is_and_every_frame_is_at_its_time(case in cases()) {
        case.check();
    }
}

/// At one frame a second most frames are keyframes: each is requested before the last one has come
/// out.
#[test]
fn keyframes_that_follow_each_other_are_all_made_by_any_number_of_threads() {
    for threads in 1..=4 {
        for preset in ["lesson", "slow"] {
            let (gap_us, lengths, size) = (1_000_000, vec![1.0], (320, 180));
            Case { gap_us, lengths, size, threads, preset, max_frame_rate: 1 }.check();
        }
    }
}
