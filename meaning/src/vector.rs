//! The vector of a text: as computed, and as stored.

/// Numbers in a vector.
pub const DIMENSIONS: usize = 512;

/// A text's vector as the network computes it, of length 1.
pub type Embedding = [f32; DIMENSIONS];

/// A vector in 8 bits a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector {
    /// By this the values are multiplied.
    scale: f32,
    values: [i8; DIMENSIONS],
}

impl Vector {
    /// Bytes of a stored vector.
    pub const BYTES: usize = 4 + DIMENSIONS;
    /// Words of [`Vector::signs`].
    pub const SIGN_WORDS: usize = DIMENSIONS / 64;

    /// Rounds a vector to 8 bits.
    pub fn new(embedding: &Embedding) -> Self {
        let greatest = embedding.iter().fold(0.0_f32, |most, number| most.max(number.abs()));
        let scale = greatest.max(f32::MIN_POSITIVE) / 127.0;
        Self { scale, values: embedding.map(|number| (number / scale).round() as i8) }
    }

    /// The product of two vectors: the cosine of the angle between them.
    pub fn dot(&self, other: &Self) -> f32 {
        let products = self.values.iter().zip(&other.values).map(|(a, b)| i32::from(*a) * i32::from(*b));
        products.sum::<i32>() as f32 * self.scale * other.scale
    }

    /// One bit a number: whether it is positive. The more bits two vectors share, the smaller is
    /// the angle between them.
    pub fn signs(&self) -> [u64; Self::SIGN_WORDS] {
        let mut words = [0; Self::SIGN_WORDS];
        for (word, values) in words.iter_mut().zip(self.values.chunks_exact(64)) {
            *word = values.iter().fold(0, |bits, value| bits << 1 | u64::from(*value > 0));
        }
        words
    }

    /// The vector as bytes: the scale as a little-endian float, then the values.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.scale.to_le_bytes());
        bytes[4..].iter_mut().zip(&self.values).for_each(|(byte, value)| *byte = *value as u8);
        bytes
    }

    /// Reads a vector. `None` if the bytes are none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (scale, values) = bytes.split_first_chunk::<4>()?;
        let scale = f32::from_le_bytes(*scale);
        let values: &[u8; DIMENSIONS] = values.try_into().ok()?;
        (scale.is_finite() && scale > 0.0).then_some(Self { scale, values: values.map(|byte| byte as i8) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Two vectors of length 1 with a known angle.
    fn pair() -> [Embedding; 2] {
        let mut one = [0.0; DIMENSIONS];
        let mut other = [0.0; DIMENSIONS];
        for n in 0..DIMENSIONS {
            let angle = n as f32;
            one[n] = angle.sin() / 16.0;
            other[n] = (angle + 0.5).sin() / 16.0;
        }
        [one, other]
    }

    #[test]
    fn eight_bits_keep_the_angle() {
        let [one, other] = pair();
        let exact: f32 = one.iter().zip(&other).map(|(a, b)| a * b).sum();
        let [one, other] = [Vector::new(&one), Vector::new(&other)];
        assert!((one.dot(&other) - exact).abs() < 0.005, "{} {exact}", one.dot(&other));
        assert!((one.dot(&one) - 1.0).abs() < 0.01);
        let shared = one.signs().iter().zip(other.signs()).map(|(a, b)| (!(a ^ b)).count_ones()).sum::<u32>();
        // Of an angle of 0.5 radians, 84% of the signs are the same.
        assert!((420..440).contains(&shared), "{shared}");
        assert_eq!(Vector::from_bytes(&one.to_bytes()).unwrap(), one);
    }

    #[test]
    fn damaged_bytes_are_no_vector() {
        let bytes = Vector::new(&pair()[0]).to_bytes();
        assert_eq!(Vector::from_bytes(&bytes[1..]), None);
        let mut infinite = bytes;
        infinite[..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
        assert_eq!(Vector::from_bytes(&infinite), None);
        let zero = Vector::new(&[0.0; DIMENSIONS]);
        assert_eq!(zero.dot(&zero), 0.0);
    }
}
