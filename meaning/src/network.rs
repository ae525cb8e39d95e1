//! The network: embeddings of the pieces, three convolutions over windows of 2, 3 and 5 of them,
//! and some dense layers on their sum.

use super::file::TABLE_SCALES;
use super::matrix::{Rows, add_product, multiply};
use super::vector::{DIMENSIONS, Embedding};

/// Channels of a convolution.
const CHANNELS: usize = 256;
/// Numbers of each piece before they are added up: its embedding and the three convolutions.
const FEATURES: usize = DIMENSIONS + BRANCHES.len() * CHANNELS;
/// Windows of the convolutions: their length, and how many of it lie before the piece.
const BRANCHES: [(usize, usize); 3] = [(2, 0), (3, 1), (5, 2)];
/// Keeps divisors above 0.
const EPSILON: f32 = 1e-12;

/// The weights.
pub struct Network {
    scales: Vec<f32>,
    offsets: Vec<f32>,
    projections: [Vec<f32>; 3],
    projection_bias: Vec<f32>,
    projection_norm: Norm,
    branches: [Branch; 3],
    norm: Norm,
    output: Dense,
    dense: [Vec<f32>; 6],
}

/// Gain and bias of a normalised layer.
struct Norm {
    gain: Vec<f32>,
    bias: Vec<f32>,
}

/// A layer of weights with a bias.
struct Dense {
    weights: Vec<f32>,
    bias: Vec<f32>,
}

/// The two layers of a convolution.
struct Branch {
    layers: [Dense; 2],
}

impl Network {
    /// A network of the weights in the file's order.
    pub fn new(weights: Vec<Vec<f32>>) -> Option<Self> {
        let mut weights = weights.into_iter();
        let mut next = || weights.next();
        let (scales, offsets) = (next()?, next()?);
        let projections = [next()?, next()?, next()?];
        let mut joined = || Some([next()?, next()?, next()?].concat());
        let projection_bias = joined()?;
        let projection_norm = Norm { gain: joined()?, bias: joined()? };
        let mut dense = || Some(Dense { weights: weights.next()?, bias: weights.next()? });
        let mut branch = || Some(Branch { layers: [dense()?, dense()?] });
        let branches = [branch()?, branch()?, branch()?];
        let Dense { weights: gain, bias } = dense()?;
        let output = dense()?;
        let mut next = || weights.next();
        let dense = [next()?, next()?, next()?, next()?, next()?, next()?];
        let norm = Norm { gain, bias };
        Some(Self {
            scales,
            offsets,
            projections,
            projection_bias,
            projection_norm,
            branches,
            norm,
            output,
            dense,
        })
    }

    /// The vector of a text whose pieces have these numbers, with `rows` of the table.
    pub fn embed(&self, ids: &[u32], rows: &[[u8; DIMENSIONS]]) -> Embedding {
        let count = ids.len();
        let mut features = vec![0.0; count * FEATURES];
        for ((id, row), to) in ids.iter().zip(rows).zip(features.chunks_exact_mut(FEATURES)) {
            let (scale, offset) = self.scale_of(*id);
            to.iter_mut().zip(row).for_each(|(to, value)| *to = f32::from(*value) * scale + offset);
        }
        let projected = self.project(&features, count);
        for (number, branch) in self.branches.iter().enumerate() {
            let from = number * CHANNELS;
            let channels =
                projected.chunks_exact(BRANCHES.len() * CHANNELS).map(|row| &row[from..from + CHANNELS]);
            let convolved = branch.run(channels, count, BRANCHES[number]);
            let at = DIMENSIONS + from;
            for (row, convolved) in features.chunks_exact_mut(FEATURES).zip(convolved.chunks_exact(CHANNELS))
            {
                row[at..at + CHANNELS].copy_from_slice(convolved);
            }
        }
        let mut sum = vec![0.0; FEATURES];
        for row in features.chunks_exact_mut(FEATURES) {
            self.norm.apply(row);
            add(&mut sum, row);
        }
        self.finish(&sum, count)
    }

    fn scale_of(&self, id: u32) -> (f32, f32) {
        let cycle = id as usize % TABLE_SCALES;
        (self.scales[cycle], self.offsets[cycle])
    }

    /// The embeddings, projected to the channels of all three convolutions.
    fn project(&self, features: &[f32], count: usize) -> Vec<f32> {
        let width = BRANCHES.len() * CHANNELS;
        let mut projected = vec![0.0; count * width];
        let embeddings = Rows { numbers: features, step: FEATURES };
        for (number, weights) in self.projections.iter().enumerate() {
            let to = &mut projected[number * CHANNELS..];
            multiply((count, DIMENSIONS, CHANNELS), embeddings, weights, to, width);
        }
        for row in projected.chunks_exact_mut(width) {
            add(row, &self.projection_bias);
            self.projection_norm.apply(row);
        }
        projected
    }

    /// The dense layers, from the sum over all pieces on.
    fn finish(&self, sum: &[f32], count: usize) -> Embedding {
        let [d0, p1, d1, d2, p3, d3] = &self.dense;
        let mut mean = vec![0.0; DIMENSIONS];
        add_product(sum, &self.output.weights, &mut mean);
        let root = (count as f32).sqrt();
        let biased =
            mean.iter().zip(&self.output.bias).map(|(number, bias)| (number + bias * count as f32) / root);
        let mean: Vec<f32> = biased.collect();
        let inner = d1.len().isqrt();
        let mut first = vec![0.0; inner];
        add_product(&mean, d0, &mut first);
        rectify(&mut first);
        let mut second = vec![0.0; inner];
        add_product(&mean, p1, &mut second);
        add_product(&first, d1, &mut second);
        rectify(&mut second);
        let mut third = vec![0.0; DIMENSIONS];
        add_product(&second, d2, &mut third);
        rectify(&mut third);
        let mut last = [0.0; DIMENSIONS];
        add_product(&second, p3, &mut last);
        add_product(&third, d3, &mut last);
        let last = last.map(f32::tanh);
        let length = last.iter().map(|number| number * number).sum::<f32>().max(EPSILON).sqrt();
        last.map(|number| number / length)
    }
}

impl Branch {
    /// Both layers over the channels of all pieces.
    fn run<'a>(
        &self,
        channels: impl Iterator<Item = &'a [f32]>,
        count: usize,
        (window, before): (usize, usize),
    ) -> Vec<f32> {
        // Zeros lie before the first piece and after the last. Each window is a row that begins
        // one piece after that of the piece before.
        let mut padded = vec![0.0; (count + window - 1) * CHANNELS];
        let own = before * CHANNELS..(before + count) * CHANNELS;
        for (to, from) in padded[own.clone()].chunks_exact_mut(CHANNELS).zip(channels) {
            to.copy_from_slice(from);
        }
        let mut convolved = vec![0.0; count * CHANNELS];
        for layer in &self.layers {
            let windows = Rows { numbers: &padded, step: CHANNELS };
            multiply((count, window * CHANNELS, CHANNELS), windows, &layer.weights, &mut convolved, CHANNELS);
            for row in convolved.chunks_exact_mut(CHANNELS) {
                add(row, &layer.bias);
                rectify(row);
            }
            add(&mut convolved, &padded[own.clone()]);
            padded[own.clone()].copy_from_slice(&convolved);
        }
        convolved
    }
}

impl Norm {
    /// Gives a row a mean of 0 and a variance of 1, then gain and bias.
    fn apply(&self, row: &mut [f32]) {
        let mean = row.iter().sum::<f32>() / row.len() as f32;
        row.iter_mut().for_each(|number| *number -= mean);
        let variance = row.iter().map(|number| number * number).sum::<f32>() / row.len() as f32;
        let factor = 1.0 / (variance + EPSILON).sqrt();
        for ((number, gain), bias) in row.iter_mut().zip(&self.gain).zip(&self.bias) {
            *number = *number * factor * gain + bias;
        }
    }
}

fn add(to: &mut [f32], numbers: &[f32]) {
    to.iter_mut().zip(numbers).for_each(|(to, number)| *to += number);
}

fn rectify(numbers: &mut [f32]) {
    numbers.iter_mut().for_each(|number| *number = number.max(0.0));
}
