#![allow(clippy::unwrap_used)]

use super::defaults::default_settings;
use super::*;

fn video(width: u32, height: u32, num: u32, den: u32) -> VideoTrack {
    VideoTrack { frame_rate: Rational::new(num, den), ..VideoTrack::for_tests(width, height) }
}

fn shape(width: u32, height: u32, num: u32, den: u32) -> Vec<(String, u32, u32, Rational)> {
    plan(&video(width, height, num, den), &default_settings().unwrap())
        .renditions
        .into_iter()
        .map(|r| (r.name, r.width, r.height, r.frame_rate))
        .collect()
}

#[test]
fn full_hd_gets_all_five() {
    let made = shape(1920, 1080, 30, 1);
    let names: Vec<_> = made.iter().map(|r| (r.0.as_str(), r.1, r.2)).collect();
    assert_eq!(
        names,
        [
            ("v1080", 1920, 1080),
            ("v720", 1280, 720),
            ("v480", 854, 480),
            ("v360", 640, 360),
            ("v240", 426, 240)
        ]
    );
    assert_eq!(made[0].3, Rational::new(30, 1));
    assert_eq!(made[4].3, Rational::new(15, 1));
}

#[test]
fn portrait_video_stands_in_turned_boxes() {
    let made = shape(2160, 3840, 60, 1);
    assert_eq!((made[0].1, made[0].2), (1080, 1920));
    assert_eq!((made[4].1, made[4].2), (240, 426));
    assert_eq!(made[0].3, Rational::new(30, 1));
}

#[test]
fn small_video_gets_its_own_size_only_and_all_of_its_frames() {
    let at = |name: &str, width, height, num, den| (name.to_owned(), width, height, Rational::new(num, den));
    assert_eq!(shape(176, 144, 15, 1), [at("v240", 176, 144, 15, 1)]);
    for (width, height) in [(2, 2), (176, 144), (320, 240), (426, 240), (240, 320)] {
        let full = at("v360", width, height, 25, 1);
        assert_eq!(shape(width, height, 25, 1), [full, at("v240", width, height, 25, 2)]);
    }
    assert_eq!(shape(320, 240, 60, 1), [at("v360", 320, 240, 30, 1), at("v240", 320, 240, 15, 1)]);
    assert_eq!(shape(480, 270, 30, 1), [at("v360", 480, 270, 30, 1), at("v240", 426, 240, 15, 1)]);
    // Of one size, the one with more frames may take as many bits at least.
    let ladder = plan(&video(176, 144, 30, 1), &default_settings().unwrap());
    assert!(ladder.renditions[0].bitrate_bps >= ladder.renditions[1].bitrate_bps);
}

#[test]
fn nothing_is_enlarged_and_all_is_even() {
    for width in (2..2400).step_by(46) {
        for height in (2..2400).step_by(34) {
            let ladder = plan(&video(width, height, 30, 1), &default_settings().unwrap());
            assert_eq!(ladder.renditions.last().unwrap().name, "v240");
            for r in &ladder.renditions {
                assert!(r.width <= width && r.height <= height && r.width >= 2 && r.height >= 2);
                assert!(r.width % 2 == 0 && r.height % 2 == 0, "{width}x{height} {r:?}");
            }
            for pair in ladder.renditions.windows(2) {
                assert!(pair[0].width >= pair[1].width && pair[0].height >= pair[1].height);
            }
        }
    }
}

#[test]
fn frame_rates_are_divided_and_those_of_slides_multiplied() {
    for (from, to) in [
        ((60, 1), (30, 1)),
        ((60_000, 1001), (30_000, 1001)),
        ((50, 1), (25, 1)),
        ((120, 1), (30, 1)),
        ((30_000, 1001), (30_000, 1001)),
        ((24, 1), (24, 1)),
        ((10, 1), (10, 1)),
        ((48, 1), (24, 1)),
        ((5, 1), (5, 1)),
        ((4, 1), (16, 1)),
        ((2, 1), (16, 1)),
        ((3, 2), (15, 1)),
        ((1, 1), (15, 1)),
        ((1, 4), (15, 1)),
        ((31, 1), (30, 1)),
        ((36, 1), (30, 1)),
        ((144, 1), (144, 5)),
        ((1, 30), (15, 1)),
        ((2, 3), (46, 3)),
    ] {
        let made = output_rate(Rational::new(from.0, from.1), 30);
        assert_eq!(made, Rational::new(to.0, to.1));
    }
    // The maximum holds even below the least rate.
    for max_fps in 1..=15 {
        assert!(output_rate(Rational::new(1, 10), max_fps).as_f64() <= f64::from(max_fps) * 1.02);
        assert!(output_rate(Rational::new(4, 1), max_fps).as_f64() <= f64::from(max_fps) * 1.02);
    }
}

#[test]
fn a_part_of_a_ladder_keeps_the_grid_of_the_complete_one() {
    let complete = plan(&video(1920, 1080, 60_000, 1001), &default_settings().unwrap());
    assert_eq!((complete.full_rate, complete.slowest_step), (Rational::new(30_000, 1001), 2));
    let weak = complete.part(|r| r.name == "v240");
    assert_eq!((weak.full_rate, weak.slowest_step), (complete.full_rate, complete.slowest_step));
    assert_eq!(weak.renditions.iter().map(|r| r.step_of(weak.full_rate)).collect::<Vec<_>>(), [2]);
    assert_eq!(complete.part(|r| r.name != "v240").renditions.len(), 4);
}
