//! Transformation matrices of an MP4: frames are transformed by the track's, then by the movie's.

use chalkstream_formats::boxes::u32_at;

/// The linear part of a matrix: the change of x and y by a step in x, then by a step in y.
pub type Matrix = [f64; 4];

/// The identity.
pub const UPRIGHT: Matrix = [1.0, 0.0, 0.0, 1.0];

/// Reads a matrix whose nine words start at an offset of a header.
pub fn read_matrix(header: &[u8], offset: usize) -> Option<Matrix> {
    let word = |index: usize| u32_at(header, offset + index * 4).map(|w| f64::from(w as i32));
    Some([word(0)?, word(1)?, word(3)?, word(4)?])
}

/// Reads the matrix of a movie from its `mvhd`. A singular one counts as the identity.
pub fn read_movie_matrix(header: &[u8]) -> Matrix {
    let offset = if header.first() == Some(&1) { 48 } else { 36 };
    read_matrix(header, offset).filter(|[a, b, c, d]| a * d - b * c != 0.0).unwrap_or(UPRIGHT)
}

/// Applies the first matrix, then the second.
pub fn compose([a, b, c, d]: Matrix, [e, f, g, h]: Matrix) -> Matrix {
    [a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h]
}

/// Returns the clockwise turn in a matrix, and whether frames are mirrored before it.
///
/// The scale does not matter. The demuxer itself mistakes the movie's scale for a half turn.
pub fn rotation([a, b, c, d]: Matrix) -> (u16, bool) {
    let mirrored = a * d - b * c < 0.0;
    // Mirrored first: (x, y) becomes (-x, y), so the first row's signs change.
    let (a, b) = if mirrored { (-a, -b) } else { (a, b) };
    let degrees = match (a.abs() >= b.abs(), a >= 0.0, b >= 0.0) {
        (true, true, _) => 0,
        (true, false, _) => 180,
        (false, _, true) => 90,
        (false, _, false) => 270,
    };
    (degrees, mirrored)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn matrices_say_how_to_turn() {
        let one = 65_536.0;
        assert_eq!(rotation([one, 0.0, 0.0, one]), (0, false));
        assert_eq!(rotation([0.0, one, -one, 0.0]), (90, false));
        assert_eq!(rotation([-one, 0.0, 0.0, -one]), (180, false));
        assert_eq!(rotation([0.0, -one, one, 0.0]), (270, false));
        assert_eq!(rotation([-one, 0.0, 0.0, one]), (0, true));
        assert_eq!(rotation([one, 0.0, 0.0, -one]), (180, true));
        // Scaled, as QuickTime's own tools write.
        assert_eq!(rotation([108_442.0, 0.0, 0.0, 108_407.0]), (0, false));
    }

    #[test]
    fn a_movie_turns_what_its_tracks_have_turned() {
        let quarter: Matrix = [0.0, 1.0, -1.0, 0.0];
        assert_eq!(rotation(compose(UPRIGHT, quarter)), (90, false));
        assert_eq!(rotation(compose(quarter, quarter)), (180, false));
        assert_eq!(rotation(compose([-1.0, 0.0, 0.0, 1.0], quarter)), (90, true), "mirrored, then turned");
        let head = |version: u8, words: [i32; 5]| {
            let mut head = vec![version; 1];
            head.resize(if version == 1 { 48 } else { 36 }, 0);
            head.extend(words.iter().flat_map(|word| word.to_be_bytes()));
            read_movie_matrix(&head)
        };
        let one = 0x1_0000;
        assert_eq!(rotation(head(0, [0, one, 0, -one, 0])), (90, false));
        assert_eq!(rotation(head(1, [0, one, 0, -one, 0])), (90, false));
        assert_eq!(head(0, [0; 5]), UPRIGHT);
        assert_eq!(read_movie_matrix(&[]), UPRIGHT);
    }
}
