//! Histogram of the loudness of blocks, and the loudness they add up to. Pure.

/// Loudness below which blocks are silence (EBU R128, absolute gate), in LUFS.
const SILENCE_LUFS: f64 = -70.0;
/// Distance below the mean at which blocks do not count (EBU R128, relative gate), in dB.
pub const GATE_DB: f64 = 10.0;
/// Number of bins per dB.
const BINS_PER_DB: f64 = 10.0;
/// Number of bins, up to +30 LUFS: more than samples of four times full scale reach.
const BINS: usize = 1_000;

/// Histogram of blocks by loudness. Its memory does not depend on their number.
#[derive(Clone, Debug)]
pub struct LoudnessHistogram {
    counts: Vec<u64>,
}

impl Default for LoudnessHistogram {
    fn default() -> Self {
        Self { counts: vec![0; BINS] }
    }
}

/// A cap for blocks that must not set the level, because they are louder than nearly all others.
#[derive(Clone, Copy, Debug)]
pub struct LevelCap {
    /// Share of the blocks that sets the cap.
    pub share: f64,
    /// Distance above them up to which a block counts with its own level, in dB.
    pub margin_db: f64,
    /// Distance below the mean at which blocks do not count, in dB.
    pub gate_db: f64,
}

impl LoudnessHistogram {
    /// Adds a block by its loudness in LUFS, unless it is silent.
    pub fn add(&mut self, lufs: f64) {
        if lufs >= SILENCE_LUFS {
            let bin = ((lufs - SILENCE_LUFS) * BINS_PER_DB) as usize;
            self.counts[bin.min(BINS - 1)] += 1;
        }
    }

    /// Returns the number of blocks that are not silent.
    pub fn block_count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the integrated loudness by EBU R128, in LUFS. `None` for silence.
    pub fn integrated_lufs(&self) -> Option<f64> {
        self.mean_lufs(BINS - 1, GATE_DB)
    }

    /// Like [`LoudnessHistogram::integrated_lufs`], but blocks above the cap count as if they were
    /// at it.
    pub fn capped_lufs(&self, cap: LevelCap) -> Option<f64> {
        let margin = (cap.margin_db * BINS_PER_DB) as usize;
        self.mean_lufs((self.quantile(cap.share)? + margin).min(BINS - 1), cap.gate_db)
    }

    /// Returns the loudness that a share of the blocks does not exceed, in LUFS. `None` for
    /// silence.
    pub fn quantile_lufs(&self, share: f64) -> Option<f64> {
        self.quantile(share).map(bin_lufs)
    }

    fn quantile(&self, share: f64) -> Option<usize> {
        let target = (self.block_count() as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        self.counts.iter().position(|count| {
            seen += count;
            seen >= target
        })
    }

    /// Returns the mean energy of the blocks within the relative gate, none counted above `cap`.
    fn mean_lufs(&self, cap: usize, gate_db: f64) -> Option<f64> {
        let mean = |from: usize| {
            let (mut sum, mut blocks) = (0.0, 0);
            for (bin, count) in self.counts.iter().enumerate().skip(from) {
                sum += energy(bin_lufs(bin.min(cap))) * *count as f64;
                blocks += count;
            }
            (blocks > 0).then(|| 10.0 * (sum / blocks as f64).log10())
        };
        let gate = ((mean(0)? - gate_db - SILENCE_LUFS) * BINS_PER_DB).max(0.0);
        mean(gate as usize)
    }
}

/// Returns the middle of a bin.
fn bin_lufs(bin: usize) -> f64 {
    SILENCE_LUFS + (bin as f64 + 0.5) / BINS_PER_DB
}

fn energy(lufs: f64) -> f64 {
    10f64.powf(lufs / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAP: LevelCap = LevelCap { share: 0.8, margin_db: 6.0, gate_db: GATE_DB };

    fn levels(blocks: &[(f64, u64)]) -> LoudnessHistogram {
        let mut levels = LoudnessHistogram::default();
        blocks.iter().for_each(|(lufs, count)| (0..*count).for_each(|_| levels.add(*lufs)));
        levels
    }

    #[test]
    fn silence_and_what_is_far_below_the_rest_do_not_count() {
        assert_eq!(LoudnessHistogram::default().integrated_lufs(), None);
        assert_eq!(levels(&[(-80.0, 50), (f64::NEG_INFINITY, 50)]).block_count(), 0);
        let integrated = levels(&[(-23.0, 100), (-60.0, 300), (-90.0, 9000)]).integrated_lufs();
        assert!(integrated.is_some_and(|lufs| (lufs + 23.0).abs() < 0.1), "{integrated:?}");
    }

    #[test]
    fn the_loudest_fifth_cannot_set_the_level() {
        let voice = levels(&[(-50.0, 40), (-46.0, 40), (-44.0, 20)]);
        let plain = voice.integrated_lufs();
        assert_eq!(voice.capped_lufs(CAP), plain, "speech itself is not capped");
        let banged = levels(&[(-50.0, 40), (-46.0, 40), (-44.0, 20), (-5.0, 20)]);
        assert!(banged.integrated_lufs() > Some(-14.0));
        let (plain, capped) = (plain.unwrap_or(0.0), banged.capped_lufs(CAP).unwrap_or(0.0));
        assert!((capped - plain).abs() < 3.5, "{plain} became {capped}");
    }

    #[test]
    fn a_wider_gate_counts_a_quieter_voice() {
        let voices = levels(&[(-13.0, 60), (-28.0, 40)]);
        let near = |gate_db: f64, lufs: f64| {
            let level = voices.capped_lufs(LevelCap { gate_db, ..CAP });
            assert!(level.is_some_and(|level| (level - lufs).abs() < 0.2), "{gate_db}: {level:?}");
        };
        near(GATE_DB, -13.0);
        near(20.0, -15.1);
    }

    #[test]
    fn quantiles_are_those_of_the_blocks() {
        let levels = levels(&[(-50.0, 60), (-10.0, 40)]);
        let near =
            |share: f64, lufs: f64| levels.quantile_lufs(share).is_some_and(|q| (q - lufs).abs() < 0.1);
        assert!(near(0.5, -50.0) && near(0.6, -50.0) && near(0.61, -10.0));
        assert_eq!(LoudnessHistogram::default().quantile_lufs(0.5), None);
    }
}
