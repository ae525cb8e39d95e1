//! Silences spans of the signal. It fades out before each and in after it, so that nothing clicks.

use super::sample_rate::RATE_HZ;

/// Frames of a fade: 10 ms.
const FADE_FRAMES: u64 = 480;

/// Silences spans of a signal that comes in blocks.
pub struct Silencer {
    /// Spans that are not over, the next one last, in frames.
    spans: Vec<(u64, u64)>,
    /// Number of the next frame.
    position: u64,
}

impl Silencer {
    /// Silences spans in ms, which are in order and further apart than two fades.
    pub fn new(spans_ms: &[(u64, u64)]) -> Self {
        let frames = |ms: u64| ms.saturating_mul(RATE_HZ) / 1000;
        let spans = spans_ms.iter().rev().map(|(start, end)| (frames(*start), frames(*end)));
        Self { spans: spans.collect(), position: 0 }
    }

    /// Silences the next frames where they are in a span.
    pub fn apply(&mut self, frames: &mut [[f32; 2]]) {
        for frame in frames {
            let position = self.position;
            self.position += 1;
            while self.spans.last().is_some_and(|(_, end)| end + FADE_FRAMES <= position) {
                self.spans.pop();
            }
            let Some((start, end)) = self.spans.last() else { continue };
            let distance = start.saturating_sub(position).max((position + 1).saturating_sub(*end));
            if distance < FADE_FRAMES {
                let gain = distance as f32 / FADE_FRAMES as f32;
                *frame = frame.map(|sample| sample * gain);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_silent_and_all_else_stays() {
        let mut silencer = Silencer::new(&[(100, 200), (300, 301)]);
        let mut signal = vec![[0.5, -0.5]; 24_000];
        signal.chunks_mut(1_000).for_each(|block| silencer.apply(block));
        let gains: Vec<f32> = signal.iter().map(|[left, _]| left * 2.0).collect();
        assert!(gains[4_800..9_600].iter().chain(&gains[14_400..14_448]).all(|gain| *gain == 0.0));
        let unchanged = [0..4_320, 10_080..13_920, 14_928..24_000];
        assert!(unchanged.into_iter().all(|range| gains[range].iter().all(|gain| *gain == 1.0)));
        let steepest = gains.windows(2).map(|pair| (pair[0] - pair[1]).abs()).fold(0.0, f32::max);
        assert!(steepest < 1.5 / FADE_FRAMES as f32, "{steepest}");
    }
}
