//! Decode times of a segment whose pictures are shown in another order than they are decoded. Pure.

/// Decode times of a segment's pictures, given when each is shown, in decode order. None is decoded after it is shown, and
/// the segment's first as it is shown: so there is no negative composition offset, which ffmpeg answers by showing
/// everything later, and `tfdt` is the segment's presentation time, which hls.js takes it for. Instead of a delay before
/// the first picture, those that must come early share the time there is.
pub fn decode_times(shown: &[u64]) -> Vec<u64> {
    // A picture is decoded no later than any of those after it is shown.
    let mut latest: Vec<u64> = shown.to_vec();
    for place in (1..latest.len()).rev() {
        latest[place - 1] = latest[place - 1].min(latest[place]);
    }
    let mut times = Vec::with_capacity(latest.len());
    let mut before = None::<u64>;
    for same in latest.chunk_by(|a, b| a == b) {
        let (until, count) = (same[0], same.len() as u64);
        let from = before.unwrap_or(until);
        times.extend((1..=count).map(|nth| from + (until - from) * nth / count));
        before = Some(until);
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_in_order_are_decoded_as_they_are_shown() {
        assert_eq!(decode_times(&[40, 50, 60]), [40, 50, 60]);
    }

    #[test]
    fn what_is_shown_later_is_decoded_early_in_the_time_there_is() {
        // A keyframe, then three groups in which the last shown comes first.
        assert_eq!(decode_times(&[0, 30, 10, 20, 60, 40, 50, 70]), [0, 5, 10, 20, 30, 40, 50, 70]);
        // A pyramid: 4 needs 0, 2 needs both, 1 and 3 need 2.
        assert_eq!(decode_times(&[240, 360, 300, 270, 330]), [240, 250, 260, 270, 330]);
    }

    #[test]
    fn times_rise_and_nothing_is_decoded_after_it_is_shown() {
        let groups = [[0, 4, 2, 1, 3], [5, 8, 6, 7, 9], [10, 14, 12, 11, 13]];
        for ticks in [7, 3000, 6006] {
            let shown: Vec<u64> = groups.concat().iter().map(|frame| frame * ticks).collect();
            let times = decode_times(&shown);
            assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
            assert!(times.iter().zip(&shown).all(|(time, shown)| time <= shown), "{times:?}");
            // A keyframe inside a segment waits one frame at most.
            assert_eq!(times[0], 0);
        }
    }
}
