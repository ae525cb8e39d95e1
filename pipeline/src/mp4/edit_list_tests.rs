#![allow(clippy::unwrap_used)]
use super::*;

const SECOND: i64 = 1_000_000_000;
const NORMAL: u32 = 0x1_0000;

/// An edit list: durations in the movie's 600 ticks, media times in milliseconds, and speeds.
fn list(entries: &[(u32, i32, u32)]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 0];
    bytes.extend((entries.len() as u32).to_be_bytes());
    for (length, start, speed) in entries {
        bytes.extend(length.to_be_bytes());
        bytes.extend(start.to_be_bytes());
        bytes.extend(speed.to_be_bytes());
    }
    bytes
}

fn timing(media_s: i64) -> TrackTiming {
    let media_end_ns = (media_s > 0).then_some(media_s * SECOND);
    TrackTiming { movie_timescale: 600, media_timescale: 1000, media_end_ns, ..TrackTiming::default() }
}

fn read(entries: &[(u32, i32, u32)], media_s: i64) -> Option<EditList> {
    EditList::parse(&list(entries), timing(media_s))
}

#[test]
fn lists_of_one_part_are_understood() {
    let one = |entries: &[(u32, i32, u32)]| read(entries, 0).and_then(|edits| edits.single());
    let plain = Edit { start_ns: 4 * SECOND, delay_ns: 0, length_ns: Some(10 * SECOND) };
    assert_eq!(one(&[(6000, 4000, NORMAL)]), Some(plain));
    let late = Edit { delay_ns: SECOND / 2, ..plain };
    assert_eq!(one(&[(300, -1, NORMAL), (6000, 4000, NORMAL)]), Some(late));
    assert_eq!(one(&[(0, 0, NORMAL)]), Some(Edit { start_ns: 0, delay_ns: 0, length_ns: None }));
    assert_eq!(one(&[(600, 0, NORMAL), (600, 2000, NORMAL)]), None);
    assert_eq!(EditList::parse(&[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], timing(0)), None);
    // A speed of 0 or of 1/65536 for all of the media was meant to be 1.
    for speed in [0, 1] {
        assert_eq!(one(&[(6000, 4000, speed)]), Some(plain));
    }
}

#[test]
fn parts_keep_their_speed_and_position() {
    let edits = read(&[(1800, 0, NORMAL), (2400, 3000, NORMAL / 2), (1200, 5000, NORMAL)], 10).unwrap();
    assert_eq!(edits.end_ns(10 * SECOND), 9 * SECOND);
    let frames: Vec<i64> = (0..10).map(|s| s * SECOND).collect();
    let seconds: Vec<i64> = edits.presentation_times(&frames, 100).iter().map(|ns| ns / SECOND).collect();
    assert_eq!(seconds, [0, 1, 2, 3, 5, 7, 8]);
    assert_eq!(edits.forward_runs().len(), 1);
    assert_eq!(edits.single(), None);
}

#[test]
fn a_held_frame_lasts_as_long_as_it_is_held() {
    let edits = read(&[(600, 0, NORMAL), (1200, 1000, 0), (600, 1000, NORMAL)], 10).unwrap();
    let frames: Vec<i64> = (0..20).map(|half| half * SECOND / 2).collect();
    let halves: Vec<i64> = edits.presentation_times(&frames, 100).iter().map(|ns| ns * 2 / SECOND).collect();
    assert_eq!(halves, [0, 1, 2, 6, 7]);
    assert_eq!(edits.end_ns(10 * SECOND), 4 * SECOND);
}

#[test]
fn parts_that_go_back_are_runs_of_their_own() {
    let edits = read(&[(600, 5000, NORMAL), (600, 1000, NORMAL), (600, 2001, NORMAL)], 10).unwrap();
    let runs: Vec<usize> = edits.forward_runs().iter().map(Vec::len).collect();
    // The last two are one part: their seam is a millisecond wide.
    assert_eq!((edits.parts().len(), runs), (2, vec![1, 1]));
}

#[test]
fn the_samples_win_over_a_list_that_is_wrong() {
    let length = |ticks: u32, timing: TrackTiming| {
        EditList::parse(&list(&[(ticks, 0, NORMAL)]), timing).unwrap().end_ns(10 * SECOND)
    };
    // Fifteen times too long.
    assert_eq!(length(90_000, timing(10)), 10 * SECOND);
    // Fifteen times too short: in ticks of a movie of 10,000 a second, or against the track's
    // header.
    let fast = TrackTiming { movie_timescale: 10_000, ..timing(10) };
    assert_eq!(length(10_000, fast), 10 * SECOND);
    let header_ns = Some(10 * SECOND);
    assert_eq!(length(400, TrackTiming { header_ns, ..timing(10) }), 10 * SECOND);
    let media_header_ns = Some(400 * SECOND / 600);
    assert_eq!(length(400, TrackTiming { media_header_ns, ..timing(10) }), 10 * SECOND);
    // A trim is a trim.
    assert_eq!(
        length(400, TrackTiming { header_ns: Some(SECOND * 2 / 3), ..timing(10) }),
        400 * SECOND / 600
    );
    // A list that presents nothing of the media is no list.
    assert_eq!(read(&[(600, 20_000, NORMAL)], 10), None);
    assert_eq!(length(u32::MAX, timing(10)), 10 * SECOND);
}

#[test]
fn lists_of_centuries_are_not_believed() {
    // Version 1: durations and times of eight bytes.
    let mut bytes = vec![1, 0, 0, 0, 0, 0, 0, 3];
    for (length, start) in [(i64::MAX / 1_000_000_000, -1_i64), (i64::MAX / 1_000_000_000, -1), (1, 0)] {
        bytes.extend([&length.to_be_bytes()[..], &start.to_be_bytes(), &[0, 1, 0, 0]].concat());
    }
    let timing = TrackTiming { movie_timescale: 1, ..timing(0) };
    assert_eq!(EditList::parse(&bytes, timing), None);
    bytes[8..16].fill(0xff);
    assert_eq!(EditList::parse(&bytes, timing), None);
}
