//! Comparison of the signs of two vectors.
#![allow(unsafe_code)]

use super::vector::Vector;

/// The signs of a vector, one bit each.
pub type Signs = [u64; Vector::SIGN_WORDS];

/// Counts the signs in which two vectors differ. A scan calls it for each passage, and the
/// processor's own instruction makes that several times as fast.
pub fn count_different_signs(one: &Signs, other: &Signs) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("popcnt") {
        // SAFETY: the processor has the instruction, as just checked.
        return unsafe { count_by_instruction(one, other) };
    }
    count(one, other)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "popcnt")]
fn count_by_instruction(one: &Signs, other: &Signs) -> u32 {
    count(one, other)
}

#[inline(always)]
fn count(one: &Signs, other: &Signs) -> u32 {
    one.iter().zip(other).map(|(one, other)| (one ^ other).count_ones()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_count_the_same() {
        let one: Signs = std::array::from_fn(|n| 0x0123_4567_89ab_cdef << n);
        let mut other = one;
        (other[0], other[7]) = (!one[0], one[7] ^ 0b1011);
        assert_eq!((count(&one, &other), count_different_signs(&one, &other)), (67, 67));
    }
}
