//! Decoded buffers cut to what an edit list presents.

use gstreamer as gst;

use super::boxes::Edit;
use super::decode::Decoded;

/// The presented part of a buffer with its presentation time; none if nothing of it is presented. Sound is cut to the
/// sample; a picture that is on when the edit begins begins there.
pub fn clip(mut decoded: Decoded, edit: Edit) -> Option<Decoded> {
    let (from, until) = edit.bounds();
    let time = edit.presented(decoded.time_ns);
    let length = decoded.duration_ns.unwrap_or(0) as i64;
    let end = time.saturating_add(length);
    if time >= until || (end <= from && length > 0) || (length == 0 && time < from) {
        return None;
    }
    let (start, stop) = (time.max(from), end.min(until));
    if length > 0 && (start, stop) != (time, end) {
        if decoded.caps.structure(0).is_some_and(|s| s.name() == "audio/x-raw") {
            decoded.buffer = samples(&decoded, start - time, stop - time)?;
        }
        decoded.duration_ns = Some((stop - start) as u64);
    }
    decoded.time_ns = start;
    Some(decoded)
}

/// The samples between two times of an interleaved buffer, in ns from its start.
fn samples(decoded: &Decoded, from_ns: i64, until_ns: i64) -> Option<gst::Buffer> {
    let rate = decoded.caps.structure(0)?.get::<i32>("rate").ok()?;
    let count = |ns: i64| (ns as f64 * f64::from(rate) / 1e9).round() as usize;
    let all = count(decoded.duration_ns? as i64);
    let size = decoded.buffer.size();
    if all == 0 || !size.is_multiple_of(all) {
        return Some(decoded.buffer.clone());
    }
    let each = size / all;
    let (first, last) = (count(from_ns).min(all), count(until_ns).min(all));
    if last <= first {
        return None;
    }
    decoded.buffer.copy_region(gst::BufferCopyFlags::all(), first * each..last * each).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::media::Turn;

    fn sound(time_ns: i64) -> Decoded {
        gst::init().unwrap();
        let caps = gst::Caps::builder("audio/x-raw").field("rate", 1000).build();
        // 100 ms of samples of two bytes.
        let buffer = gst::Buffer::from_mut_slice((0..200).collect::<Vec<u8>>());
        Decoded { buffer, caps, time_ns, duration_ns: Some(100_000_000), turn: Turn::default() }
    }

    #[test]
    fn sound_is_cut_to_the_sample_at_both_ends() {
        let ms = 1_000_000;
        let edit = Edit { start_ns: 30 * ms, delay_ns: 500 * ms, length_ns: Some(120 * ms) };
        let first = clip(sound(0), edit).unwrap();
        assert_eq!((first.time_ns, first.duration_ns), (500 * ms, Some(70_000_000)));
        assert_eq!(first.buffer.size(), 140);
        assert_eq!(first.buffer.map_readable().unwrap()[0], 60);
        let second = clip(sound(100 * ms), edit).unwrap();
        assert_eq!((second.time_ns, second.buffer.size()), (570 * ms, 100));
        assert!(clip(sound(200 * ms), edit).is_none());
    }
}
