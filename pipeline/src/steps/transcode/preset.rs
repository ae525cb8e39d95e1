//! Chooses the settings of x264 for a rendition. Pure.

use crate::ladder::RenditionPlan;

/// Our own preset; all other names are x264's.
pub const LESSON: &str = "lesson";

/// Most B-frames between two other frames.
const B_FRAMES: usize = 3;

/// Settings of one x264 encoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct X264Settings {
    /// Preset of x264 that the options start from.
    pub base: String,
    /// Options: `name=value`, separated by colons.
    pub options: String,
}

/// Returns the settings for a rendition and a number of threads. Keyframes come on request only,
/// and begin closed groups.
pub fn x264_settings(plan: &RenditionPlan, threads: usize) -> X264Settings {
    let lookahead = lookahead(&plan.preset);
    // With several threads x264 looks ahead in one more. That thread keeps one frame more than
    // there are B-frames.
    let sync_lookahead = if threads > 1 { B_FRAMES + 1 } else { 0 };
    let mut options =
        format!("scenecut=0:open-gop=0:rc-lookahead={lookahead}:sync-lookahead={sync_lookahead}");
    let lesson = plan.preset == LESSON;
    // As many B-frames as x264's own presets have.
    if plan.preset != "ultrafast" {
        options += &format!(":bframes={B_FRAMES}");
    }
    if lesson {
        options += &format!(":mbtree=1:b-adapt={}:subme={}", b_adapt(plan), subme(plan));
    }
    X264Settings { base: if lesson { "superfast" } else { &plan.preset }.to_owned(), options }
}

/// Lookahead of each of x264's presets, in frames. At 0, macroblock-tree rate control is off.
fn lookahead(preset: &str) -> usize {
    match preset {
        "ultrafast" | "superfast" => 0,
        "veryfast" | LESSON => 10,
        "faster" => 20,
        "fast" => 30,
        "medium" => 40,
        "slow" => 50,
        _ => 60,
    }
}

/// Whether x264 places B-frames adaptively. In a fixed pattern a flash of three frames seems to
/// cost more than the rate control has, and the frames around it get almost no bits. That starves
/// small renditions. Large ones have bits enough, and adaptive placement would cost up to 6% of
/// their CPU time.
fn b_adapt(plan: &RenditionPlan) -> u8 {
    u8::from(is_small(plan))
}

/// Sub-sample precision of motion search. That search is a third of the cost of large
/// renditions, and its cheapest form loses them nothing visible. Small renditions with few bits do
/// lose by it, and cost little.
fn subme(plan: &RenditionPlan) -> u8 {
    if is_small(plan) { 3 } else { 1 }
}

fn is_small(plan: &RenditionPlan) -> bool {
    plan.width * plan.height < 320_000
}

/// Returns the bitrate that x264 is asked for. At the smallest size our settings spend all of it,
/// while x264's own presets leave one bit in twenty. So it is 2% less, at which SSIM was 0.004
/// above theirs.
pub fn bitrate_bps(plan: &RenditionPlan) -> u64 {
    let small = plan.preset == LESSON && plan.width * plan.height < 150_000;
    if small { plan.bitrate_bps * 98 / 100 } else { plan.bitrate_bps }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Rational;

    fn plan(width: u32, height: u32, preset: &str) -> RenditionPlan {
        RenditionPlan {
            name: "v".into(),
            width,
            height,
            frame_rate: Rational::new(30, 1),
            profile: "high".into(),
            bitrate_bps: 1_000_000,
            quality: None,
            vbv_ms: 2000,
            preset: preset.into(),
        }
    }

    #[test]
    fn large_renditions_are_cheaper_than_small_ones() {
        let made = x264_settings(&plan(1920, 1080, LESSON), 1);
        assert_eq!(made.base, "superfast");
        assert!(made.options.contains("rc-lookahead=10") && made.options.contains(":subme=1"), "{made:?}");
        assert!(x264_settings(&plan(640, 360, LESSON), 1).options.contains(":subme=3"));
    }

    #[test]
    fn the_smallest_is_asked_for_a_little_less() {
        assert_eq!(bitrate_bps(&plan(426, 240, LESSON)), 980_000);
        assert_eq!(bitrate_bps(&plan(640, 360, LESSON)), 1_000_000);
        assert_eq!(bitrate_bps(&plan(426, 240, "veryfast")), 1_000_000);
    }

    #[test]
    fn another_preset_is_x264s_own() {
        let made = x264_settings(&plan(640, 360, "veryfast"), 1);
        assert_eq!(made.base, "veryfast");
        assert!(made.options.contains("rc-lookahead=10") && made.options.contains(":bframes=3"), "{made:?}");
        assert!(!made.options.contains("subme"));
    }

    /// In a fixed pattern, a flash between two P-frames can lose almost all its bits. Whether it
    /// does depends on timing, so this checks the setting.
    #[test]
    fn x264_places_b_frames_around_short_flashes() {
        assert!(x264_settings(&plan(640, 360, LESSON), 2).options.contains(":b-adapt=1:"));
    }

    #[test]
    fn several_threads_look_ahead_next_to_the_encoder() {
        assert!(
            x264_settings(&plan(640, 360, LESSON), 2).options.contains("rc-lookahead=10:sync-lookahead=4")
        );
        assert!(x264_settings(&plan(640, 360, LESSON), 1).options.contains("sync-lookahead=0"));
    }
}
