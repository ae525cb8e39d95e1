//! Products of matrices in row order.
#![allow(unsafe_code)]

/// A matrix in a slice: each row begins `step` numbers after the one before. Rows may overlap.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// The numbers.
    pub numbers: &'a [f32],
    /// Distance between the starts of two rows.
    pub step: usize,
}

/// Computes `c = a × b`. `a` has `rows` rows of `inner` numbers, `b` has `inner` rows of `columns`
/// numbers, one after another. The rows of `c` begin `c_step` numbers apart.
///
/// # Panics
/// If a slice is too short for its shape.
pub fn multiply(
    (rows, inner, columns): (usize, usize, usize),
    a: Rows<'_>,
    b: &[f32],
    c: &mut [f32],
    c_step: usize,
) {
    if rows == 0 {
        return;
    }
    assert!(a.numbers.len() >= (rows - 1) * a.step + inner, "a is too short");
    assert!(b.len() >= inner * columns, "b is too short");
    assert!(c_step >= columns && c.len() >= (rows - 1) * c_step + columns, "c is too short");
    // SAFETY: with these shapes and steps all reads and writes stay within the slices, as just
    // checked. `c` is borrowed alone, and its rows do not overlap.
    unsafe {
        matrixmultiply::sgemm(
            rows,
            inner,
            columns,
            1.0,
            a.numbers.as_ptr(),
            a.step as isize,
            1,
            b.as_ptr(),
            columns as isize,
            1,
            0.0,
            c.as_mut_ptr(),
            c_step as isize,
            1,
        );
    }
}

/// Adds `row × b` to `sum`, where `b` has as many rows as `row` has numbers.
pub fn add_product(row: &[f32], b: &[f32], sum: &mut [f32]) {
    for (number, weights) in row.iter().zip(b.chunks_exact(sum.len())) {
        sum.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += number * weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_may_overlap_and_lie_apart() {
        // Two windows of three numbers each, one number apart.
        let a = Rows { numbers: &[1.0, 2.0, 3.0, 4.0], step: 1 };
        let b = [1.0, 10.0, 0.0, 1.0, 2.0, 0.0];
        let mut c = [9.0; 5];
        multiply((2, 3, 2), a, &b, &mut c, 3);
        assert_eq!(c, [7.0, 12.0, 9.0, 10.0, 23.0]);
        let mut sum = [1.0, 1.0];
        add_product(&[2.0, 3.0], &[1.0, 2.0, 3.0, 4.0], &mut sum);
        assert_eq!(sum, [12.0, 17.0]);
    }
}
