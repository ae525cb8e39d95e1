//! Clusters: windows of speech that sound like one voice.

use std::cmp::Ordering;

/// Minimum similarity of two clusters that are joined: the mean over all pairs of their windows.
const MIN_JOINED_SIMILARITY: f32 = 0.71;
/// Minimum similarity of the directions of two clusters that are joined. Several windows together
/// are a better likeness of a voice than each alone.
const MIN_DIRECTION_SIMILARITY: f32 = 0.86;

/// Windows that sound like one voice.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Sum of their embeddings, weighted by duration.
    sum: Vec<f32>,
    /// Their duration, in ms.
    pub duration_ms: f32,
}

impl Cluster {
    /// A cluster of one window.
    pub fn new(embedding: &[f32], duration_ms: f32) -> Self {
        Self { sum: embedding.iter().map(|value| value * duration_ms).collect(), duration_ms }
    }

    /// Returns how similar an embedding is to the cluster, up to 1.
    pub fn similarity(&self, embedding: &[f32]) -> f32 {
        dot(&self.sum, embedding) / dot(&self.sum, &self.sum).sqrt().max(f32::EPSILON)
    }

    fn join(&mut self, other: &Self) {
        self.sum.iter_mut().zip(&other.sum).for_each(|(sum, value)| *sum += value);
        self.duration_ms += other.duration_ms;
    }

    /// The mean similarity over all pairs of windows.
    fn mean_similarity(&self, other: &Self) -> f32 {
        dot(&self.sum, &other.sum) / (self.duration_ms * other.duration_ms)
    }

    fn direction_similarity(&self, other: &Self) -> f32 {
        self.similarity(&other.sum) / dot(&other.sum, &other.sum).sqrt().max(f32::EPSILON)
    }
}

/// Joins the clusters of one voice; returns them, the longest first.
pub fn join_voices(clusters: Vec<Cluster>) -> Vec<Cluster> {
    let joined = join_similar(clusters, Cluster::mean_similarity, MIN_JOINED_SIMILARITY);
    let mut joined = join_similar(joined, Cluster::direction_similarity, MIN_DIRECTION_SIMILARITY);
    joined.sort_by(|a, b| b.duration_ms.total_cmp(&a.duration_ms));
    joined
}

/// Joins the two most similar clusters until none is similar enough.
fn join_similar(
    mut clusters: Vec<Cluster>,
    similarity: fn(&Cluster, &Cluster) -> f32,
    min_similarity: f32,
) -> Vec<Cluster> {
    // Every row holds a cluster's similarity to those before it.
    let mut rows: Vec<Vec<f32>> = (0..clusters.len())
        .map(|row| (0..row).map(|other| similarity(&clusters[row], &clusters[other])).collect())
        .collect();
    while let Some((second, first)) = most_similar(&rows, min_similarity) {
        let other = clusters.remove(second);
        rows.remove(second);
        for row in &mut rows[second..] {
            row.remove(second);
        }
        clusters[first].join(&other);
        for index in 0..clusters.len() {
            let value = similarity(&clusters[first], &clusters[index]);
            match index.cmp(&first) {
                Ordering::Less => rows[first][index] = value,
                Ordering::Equal => {}
                Ordering::Greater => rows[index][first] = value,
            }
        }
    }
    clusters
}

/// Returns the row and column of the greatest similarity that is at least `min_similarity`.
fn most_similar(rows: &[Vec<f32>], min_similarity: f32) -> Option<(usize, usize)> {
    let mut best = None;
    let mut greatest = min_similarity;
    for (index, row) in rows.iter().enumerate() {
        for (other, value) in row.iter().enumerate() {
            if *value >= greatest {
                (best, greatest) = (Some((index, other)), *value);
            }
        }
    }
    best
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    // Several sums at once, which the compiler turns into vector instructions.
    let mut sums = [0.0; 16];
    for (a, b) in a.chunks_exact(16).zip(b.chunks_exact(16)) {
        for lane in 0..16 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::speech::speakers::network::SIZE;

    /// An embedding near a direction: `spread` turns it towards another one.
    fn near(direction: usize, spread: usize, amount: f32) -> Vec<f32> {
        let mut out = vec![0.0; SIZE];
        out[direction] = (1.0 - amount * amount).sqrt();
        out[SIZE - 1 - spread] = amount;
        out
    }

    #[test]
    fn windows_of_one_voice_are_joined_and_the_longest_voice_is_first() {
        let windows = (0..30).map(|n| Cluster::new(&near(n % 3 / 2, n, 0.3), 400.0)).collect();
        let voices = join_voices(windows);
        let durations: Vec<f32> = voices.iter().map(|voice| voice.duration_ms).collect();
        assert_eq!(durations, [8_000.0, 4_000.0]);
        assert!(voices[0].similarity(&near(0, 99, 0.0)) > 0.9);
        assert!(voices[0].similarity(&near(1, 99, 0.0)) < 0.1);
    }

    #[test]
    fn what_sounds_like_nothing_else_stays_alone() {
        assert_eq!(join_voices((0..5).map(|n| Cluster::new(&near(n, n, 0.5), 100.0)).collect()).len(), 5);
        assert!(join_voices(Vec::new()).is_empty());
    }
}
