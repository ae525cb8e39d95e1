//! Decode times of a segment whose frames are presented in another order than they are decoded.

/// Returns the decode times of a segment's frames, given their presentation times in decode order.
///
/// No frame is decoded after its presentation, because ffmpeg delays everything if a composition
/// offset is negative. The first frame is decoded at its presentation, because hls.js takes `tfdt`
/// for the segment's presentation time. There is no delay before the first frame: frames that are
/// needed early share the time until then.
pub fn decode_times(presented: &[u64]) -> Vec<u64> {
    // A frame is decoded no later than any frame after it is presented.
    let mut latest: Vec<u64> = presented.to_vec();
    for index in (1..latest.len()).rev() {
        latest[index - 1] = latest[index - 1].min(latest[index]);
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
    fn frames_in_order_are_decoded_as_they_are_presented() {
        assert_eq!(decode_times(&[40, 50, 60]), [40, 50, 60]);
    }

    #[test]
    fn frames_needed_early_share_the_time_until_then() {
        // A keyframe, then three groups in which the frame presented last comes first.
        assert_eq!(decode_times(&[0, 30, 10, 20, 60, 40, 50, 70]), [0, 5, 10, 20, 30, 40, 50, 70]);
        // A pyramid: 4 needs 0, 2 needs both, 1 and 3 need 2.
        assert_eq!(decode_times(&[240, 360, 300, 270, 330]), [240, 250, 260, 270, 330]);
    }

    #[test]
    fn times_rise_and_no_frame_is_decoded_after_its_presentation() {
        let groups = [[0, 4, 2, 1, 3], [5, 8, 6, 7, 9], [10, 14, 12, 11, 13]];
        for ticks in [7, 3000, 6006] {
            let presented: Vec<u64> = groups.concat().iter().map(|frame| frame * ticks).collect();
            let times = decode_times(&presented);
            assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
            assert!(times.iter().zip(&presented).all(|(time, presented)| time <= presented), "{times:?}");
            // A keyframe inside a segment waits one frame at most.
            assert_eq!(times[0], 0);
        }
    }
}
