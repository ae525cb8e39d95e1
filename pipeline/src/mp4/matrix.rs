//! How an MP4 turns its pictures: by a matrix of the track's, and then by one of the movie's.

use chalkstream_formats::boxes::u32_at;

/// The part of a matrix that turns: how far x and y go by a step in x, and by a step in y.
pub type Matrix = [f64; 4];

/// Nothing is turned.
pub const UPRIGHT: Matrix = [1.0, 0.0, 0.0, 1.0];

/// A matrix whose nine words begin at a place.
pub fn read_matrix(head: &[u8], at: usize) -> Option<Matrix> {
    let part = |place: usize| u32_at(head, at + place * 4).map(|w| f64::from(w as i32));
    Some([part(0)?, part(1)?, part(3)?, part(4)?])
}

/// What a movie does with all its tracks, by its `mvhd`. One that would leave nothing of them does nothing.
pub fn read_movie_matrix(head: &[u8]) -> Matrix {
    let at = if head.first() == Some(&1) { 48 } else { 36 };
    read_matrix(head, at).filter(|[a, b, c, d]| a * d - b * c != 0.0).unwrap_or(UPRIGHT)
}

/// One after the other.
pub fn compose([a, b, c, d]: Matrix, [e, f, g, h]: Matrix) -> Matrix {
    [a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h]
}

/// The clockwise turn in a matrix, and whether there is a mirror before it; the matrix's scale does not matter. The demuxer's own reading takes the movie's scale for a
/// half turn.
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
