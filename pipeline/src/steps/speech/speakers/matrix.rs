//! Products of matrices in row order.
#![allow(unsafe_code)]

/// Computes `c = a × bᵀ + keep × c`, where `a` has `rows` rows and `b` has `columns` rows, of
/// `inner` numbers each.
///
/// # Panics
/// If a slice is too short for its shape.
pub fn multiply_transposed(
    (rows, inner, columns): (usize, usize, usize),
    a: &[f32],
    b: &[f32],
    keep: f32,
    c: &mut [f32],
) {
    assert!(a.len() >= rows * inner && b.len() >= columns * inner && c.len() >= rows * columns);
    let (inner_step, column_step) = (inner as isize, columns as isize);
    // SAFETY: the shapes and steps stay within the slices, as just checked; `c` is borrowed alone.
    unsafe {
        matrixmultiply::sgemm(
            rows,
            inner,
            columns,
            1.0,
            a.as_ptr(),
            inner_step,
            1,
            b.as_ptr(),
            1,
            inner_step,
            keep,
            c.as_mut_ptr(),
            column_step,
            1,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_added_to_what_is_kept() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0, 9.0, 10.0]);
        let mut c = [100.0; 6];
        multiply_transposed((2, 2, 3), &a, &b, 1.0, &mut c);
        assert_eq!(c, [117.0, 123.0, 129.0, 139.0, 153.0, 167.0]);
        multiply_transposed((2, 2, 3), &a, &b, 0.0, &mut c);
        assert_eq!(c, [17.0, 23.0, 29.0, 39.0, 53.0, 67.0]);
    }
}
