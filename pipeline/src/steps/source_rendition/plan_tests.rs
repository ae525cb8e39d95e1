#![allow(clippy::unwrap_used)]
use super::*;
use crate::mp4::sample_tables::tests::words;

/// Tables of samples of one size in one chunk: (duration, presentation minus decode time, sync).
fn stbl(samples: &[(u32, i32, bool)]) -> Vec<u8> {
    let count = samples.len() as u32;
    let runs = |value: &dyn Fn(&(u32, i32, bool)) -> u32| {
        [0, count].into_iter().chain(samples.iter().flat_map(|s| [1, value(s)])).collect::<Vec<_>>()
    };
    let syncs: Vec<u32> = (1..=count).filter(|&n| samples[n as usize - 1].2).collect();
    [
        words(b"stts", &runs(&|s| s.0)),
        words(b"ctts", &runs(&|s| s.1 as u32)),
        words(b"stsz", &[0, 10, count]),
        words(b"stsc", &[0, 1, 1, count, 1]),
        words(b"stco", &[0, 1, 1000]),
        words(b"stss", &[&[0, syncs.len() as u32], &syncs[..]].concat()),
    ]
    .concat()
}

/// Groups of four frames, 100 ticks each, presented in the order 0 3 1 2 and decoded in sequence.
fn groups(count: usize) -> Vec<(u32, i32, bool)> {
    (0..count * 4).map(|n| (100, [100, 300, 0, 0][n % 4], n % 4 == 0)).collect()
}

fn planned(
    samples: &[(u32, i32, bool)],
    edit: Option<Edit>,
    origin_ns: i64,
) -> Result<(SegmentPlan, Vec<u64>), String> {
    let stbl = stbl(samples);
    let tables = SampleTables::read(&stbl).unwrap();
    let clock = TrackClock::new(1000, edit, origin_ns).unwrap();
    let plan = keyframes(&tables)
        .and_then(|keys| plan_video(&tables, &keys, clock, 100_000_000, 6000))
        .map_err(|declined| declined.code)?;
    let from = plan.cuts[0].number as usize;
    let times = tables.samples().take(plan.until as usize).skip(from).map(|s| plan.time(&s)).collect();
    Ok((plan, times))
}

const MS: i64 = 1_000_000;

fn edit(start_ms: i64, length_ms: i64) -> Option<Edit> {
    Some(Edit { start_ns: start_ms * MS, delay_ns: 0, length_ns: (length_ms > 0).then_some(length_ms * MS) })
}

#[test]
fn reordered_frames_begin_at_zero_and_keep_their_times() {
    let (plan, times) = planned(&groups(20), edit(100, 8000), 0).unwrap();
    assert_eq!(times[..5], [0, 300, 100, 200, 400]);
    let cuts: Vec<_> = plan.cuts.iter().map(|cut| (cut.number, cut.start)).collect();
    assert_eq!(cuts, [(0, 0), (32, 3200), (64, 6400)]);
    assert_eq!((plan.until, plan.end), (80, 8000));
}

#[test]
fn without_an_edit_list_the_first_frame_is_displayed_from_the_beginning() {
    let (plan, times) = planned(&groups(3), None, 0).unwrap();
    assert_eq!(times[..3], [0, 400, 200], "shown 100 early, the others when they were");
    assert_eq!(plan.end, 1300);
    // Audio begins 300 before the video.
    let (_, late) = planned(&groups(3), edit(100, 0), -300 * MS).unwrap();
    assert_eq!(late[..3], [0, 600, 400]);
}

#[test]
fn a_start_at_a_later_keyframe_leaves_out_what_is_before_it() {
    let (plan, times) = planned(&groups(20), edit(4100, 0), 0).unwrap();
    assert_eq!((plan.cuts[0], times[0], times[1]), (SegmentStart { number: 40, start: 0 }, 0, 300));
    assert_eq!(plan.end, 4000);
    // A start just before a keyframe means that keyframe.
    assert_eq!(planned(&groups(20), edit(4050, 0), 0).unwrap().0.cuts[0].number, 40);
    assert_eq!(planned(&groups(20), edit(4300, 0), 0).unwrap_err(), "starts_between_keyframes");
    // The keyframe lasts long, and is what the viewer sees first.
    let slow = [(1000, 0, true), (1000, 0, false), (1000, 0, true)];
    assert_eq!(planned(&slow, edit(600, 0), 0).unwrap().1, [0, 400, 1400]);
}

#[test]
fn an_early_end_keeps_what_others_need() {
    let (plan, times) = planned(&groups(20), edit(100, 4200), 0).unwrap();
    assert_eq!(plan.until, 43, "the last picture shown before 4200 is decoded after one shown at 4300");
    assert_eq!((times.len(), times[42], plan.end), (43, 4100, 4400));
}

#[test]
fn open_groups_and_rare_keyframes_are_declined() {
    let mut open = groups(4);
    // A frame decoded after the third keyframe and presented before it.
    open[9].1 = -200;
    assert_eq!(planned(&open, None, 0).unwrap_err(), "open_gop");
    let mut late = groups(4);
    late[7].1 = 900;
    assert_eq!(planned(&late, None, 0).unwrap_err(), "open_gop");
    let rare: Vec<_> = (0..100).map(|n| (100, 0, n % 70 == 0)).collect();
    assert_eq!(planned(&rare, None, 0).unwrap_err(), "keyframes_apart");
    let tail: Vec<_> = (0..100).map(|n| (100, 0, n == 0 || n == 30)).collect();
    assert_eq!(planned(&tail, None, 0).unwrap_err(), "keyframes_apart");
    assert_eq!(
        planned(&[(100, 0, false), (100, 0, false)], None, 0).unwrap_err(),
        "starts_between_keyframes"
    );
}

#[test]
fn segments_are_cut_at_the_nearest_keyframes() {
    let every = |distance: i64, end: i64| {
        let times: Vec<i64> = (0..end / distance).map(|n| n * distance).collect();
        cuts(&times, end, 3200, 6000).map(|chosen| chosen.iter().map(|&p| times[p]).collect::<Vec<_>>())
    };
    assert_eq!(every(1000, 14_000).unwrap(), [0, 3000, 6000, 10_000, 13_000]);
    assert_eq!(every(4000, 16_000).unwrap(), [0, 4000, 8000, 12_000]);
    assert_eq!(every(6000, 18_000).unwrap(), [0, 6000, 12_000]);
    assert!(every(7000, 21_000).is_none());
    // No segment is longer than allowed, even if its end is nearest to its multiple.
    let chosen = cuts(&[0, 1000, 1700, 4900, 6000, 8100], 10_000, 3200, 4000).unwrap();
    assert_eq!(chosen, [0, 2, 3, 4, 5], "1700 to 6000 would be too long");
    assert_eq!(cuts(&[0, 1000, 5200, 6000], 8000, 3200, 5000), Some(vec![0, 1, 2, 3]));
    assert_eq!(cuts(&[0], 100, 3200, 6000), Some(vec![0]));
}

#[test]
fn slow_clocks_are_counted_finer() {
    let clock = TrackClock::new(25, edit(40, 0), -20 * MS).unwrap();
    assert_eq!((clock.timescale, clock.time(1), clock.time(2)), (1000, 20, 60));
    assert!(TrackClock::new(0, None, 0).is_err() && TrackClock::new(u32::MAX, None, 0).is_err());
}

fn planned_audio(count: usize, edit: Option<Edit>, origin_ns: i64) -> Option<(SegmentPlan, Vec<u64>)> {
    let stbl = stbl(&vec![(1024, 0, true); count]);
    let tables = SampleTables::read(&stbl).unwrap();
    let plan =
        plan_audio(&tables, TrackClock::new(48_000, edit, origin_ns).unwrap(), &[0, 3200, 6500, 8000])?;
    let from = plan.cuts[0].number as usize;
    let times = tables.samples().take(plan.until as usize).skip(from).map(|s| plan.time(&s)).collect();
    Some((plan, times))
}

fn samples_at_48k(start: i64) -> Option<Edit> {
    // Rounded up, because the clock rounds down.
    Some(Edit { start_ns: (start * 1_000_000_000 + 47_999) / 48_000, delay_ns: 0, length_ns: None })
}

#[test]
fn encoder_priming_is_left_out() {
    let (plan, times) = planned_audio(400, samples_at_48k(1024), 0).unwrap();
    assert_eq!((plan.cuts[0].number, &times[..3]), (1, &[0, 1024, 2048][..]));
    // Apple's 2112 samples of priming: most of the third packet is presented.
    let (plan, times) = planned_audio(400, samples_at_48k(2112), 0).unwrap();
    assert_eq!((plan.cuts[0].number, &times[..3]), (2, &[0, 960, 1984][..]));
    let (_, times) = planned_audio(400, None, -100 * MS).unwrap();
    assert_eq!(times[..2], [4800, 5824], "sound that begins later does");
    assert!(planned_audio(400, None, -600 * MS).is_none(), "but not much later");
}

#[test]
fn audio_is_cut_where_the_video_is() {
    let (plan, _) = planned_audio(800, None, 0).unwrap();
    let cuts: Vec<_> = plan.cuts.iter().map(|cut| cut.start).collect();
    // 3.2 s and 6.5 s to the nearest packet, then the end of the video, then every 3.2 s.
    assert_eq!(cuts, [0, 153_600, 312_320, 384_000, 537_600, 691_200]);
    assert_eq!((plan.until, plan.end), (800, 819_200));
}
