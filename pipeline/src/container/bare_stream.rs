//! Bare streams, which have no container. They are recognised by several headers in a row, at the
//! distances given by the frames' lengths.

use super::mpegts::PACKET_SIZES;

/// Frames in a row that are required.
const MIN_FRAMES: usize = 4;
/// Bytes of a frame that have its length.
const MIN_HEADER_BYTES: usize = 8;
/// Packets of a transport stream in a row that are required.
const MIN_PACKETS: usize = 5;

/// Name of the stream, wherever in the front its first complete frame starts.
pub fn detect(front: &[u8]) -> Option<&'static str> {
    detect_video(front).or_else(|| {
        (0..front.len()).find_map(|at| {
            let rest = &front[at..];
            match rest {
                [0xff, second, ..] if second & 0xf6 == 0xf0 => has_frames(rest, adts).then_some("aac"),
                [0xff, second, ..] if second & 0xe0 == 0xe0 => has_frames(rest, mpeg_audio).then_some("mp3"),
                [0x0b, 0x77, ..] => has_frames(rest, ac3).then_some("ac3"),
                [0x47, ..] => PACKET_SIZES.iter().any(|&size| has_packets(rest, size)).then_some("mpegts"),
                // MXF with a run-in (SMPTE ST 377-1, 6.5).
                [6, 0x0e, 0x2b, 0x34, 2, 5, 1, 1, 0x0d, 1, 2, ..] => Some("mxf"),
                // A pack of MPEG-2, with its marker bits.
                [0, 0, 1, 0xba, first, ..] if first & 0xc4 == 0x44 => Some("mpegps"),
                _ => None,
            }
        })
    })
}

/// Detects H.264 or H.265 in Annex B: NAL units with start codes, the first of a type that may come
/// first, and a sequence parameter set among them.
fn detect_video(front: &[u8]) -> Option<&'static str> {
    if !front.starts_with(&[0, 0, 1]) && !front.starts_with(&[0, 0, 0, 1]) {
        return None;
    }
    let units: Vec<[u8; 2]> = front
        .windows(5)
        .filter(|window| window.starts_with(&[0, 0, 1]))
        .map(|window| [window[3], window[4]])
        .collect();
    // ITU-T H.264, 7.4.1: nal_ref_idc is 0 for units without samples of a reference frame.
    let is_avc = |unit: &[u8; 2]| {
        let (kind, ref_idc) = (unit[0] & 0x1f, unit[0] >> 5);
        match kind {
            6 | 9..=12 => ref_idc == 0,
            5 | 7 | 8 | 13 | 15 => (1..4).contains(&ref_idc),
            1..=4 | 14 | 19 | 20 => ref_idc < 4,
            _ => false,
        }
    };
    // ITU-T H.265, 7.4.2: nuh_layer_id is 0 except in scalable streams, and
    // nuh_temporal_id_plus1 is never 0.
    let is_hevc = |unit: &[u8; 2]| unit[0] & 0x81 == 0 && unit[1] >> 3 == 0 && unit[1] & 7 > 0;
    let kinds = |shift: u32, mask: u8| units.iter().map(move |unit| unit[0] >> shift & mask);
    let &[first, _] = units.first()?;
    if units.iter().all(is_avc) && matches!(first & 0x1f, 6 | 7 | 9) && kinds(0, 0x1f).any(|k| k == 7) {
        return Some("h264");
    }
    (units.iter().all(is_hevc) && matches!(first >> 1, 32 | 33 | 35 | 39) && kinds(1, 0x3f).any(|k| k == 33))
        .then_some("h265")
}

/// Whether frames follow one another. The front may end before the last one does.
fn has_frames(front: &[u8], length: fn(&[u8]) -> Option<usize>) -> bool {
    let mut at = 0;
    for frame in 0..MIN_FRAMES {
        match front.get(at..) {
            Some(rest) if rest.len() >= MIN_HEADER_BYTES => match length(rest) {
                Some(length) => at += length,
                None => return false,
            },
            // Two headers at the right distance may be coincidence.
            _ => return frame > 2,
        }
    }
    true
}

/// Returns the offset behind the last frame or packet in a part of a stream; `None` if it has none,
/// or if those of its container do not state their lengths.
pub fn end_of_frames(container: &str, part: &[u8]) -> Option<usize> {
    match container {
        "aac" => end_of_runs(part, MIN_HEADER_BYTES, |rest| has_frames(rest, adts), adts),
        "mp3" => end_of_runs(part, MIN_HEADER_BYTES, |rest| has_frames(rest, mpeg_audio), mpeg_audio),
        "ac3" => end_of_runs(part, MIN_HEADER_BYTES, |rest| has_frames(rest, ac3), ac3),
        "mpegts" => PACKET_SIZES.into_iter().find_map(|size| {
            let packet = |rest: &[u8]| (rest[0] == 0x47).then_some(size);
            let end = end_of_runs(part, 1, |rest| has_packets(rest, size), packet)?;
            // A camera's time code belongs to the next packet.
            Some(if size == 192 { end - 4 } else { end })
        }),
        _ => None,
    }
}

/// Returns the end of the last of several runs: between two of them the stream is damaged.
fn end_of_runs(
    part: &[u8],
    min_bytes: usize,
    is_run: impl Fn(&[u8]) -> bool,
    length: impl Fn(&[u8]) -> Option<usize>,
) -> Option<usize> {
    let mut end = None;
    let mut at = 0;
    while let Some(start) = (at..part.len()).find(|&at| is_run(&part[at..])) {
        at = start;
        while let Some(bytes) = part.get(at..).filter(|rest| rest.len() >= min_bytes).and_then(&length) {
            at += bytes;
        }
        end = Some(at.min(part.len()));
    }
    end
}

/// Length of an ADTS frame (ISO/IEC 13818-7, 6.2).
fn adts(frame: &[u8]) -> Option<usize> {
    let rate = frame[2] >> 2 & 15;
    let length = usize::from(frame[3] & 3) << 11 | usize::from(frame[4]) << 3 | usize::from(frame[5]) >> 5;
    (frame[0] == 0xff && frame[1] & 0xf6 == 0xf0 && rate < 13 && length > 7).then_some(length)
}

/// Length of a frame of MPEG audio, layer II or III (ISO/IEC 11172-3 and 13818-3, 2.4.1).
fn mpeg_audio(frame: &[u8]) -> Option<usize> {
    const LAYER_3: [usize; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
    const LAYER_2: [usize; 15] = [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384];
    const LOW: [usize; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    let (version, layer) = (frame[1] >> 3 & 3, frame[1] >> 1 & 3);
    let rate = usize::from(frame[2] >> 4);
    if frame[0] != 0xff || frame[1] & 0xe0 != 0xe0 || version == 1 || !matches!(layer, 1 | 2) {
        return None;
    }
    let full = version == 3;
    let kbps = *if !full {
        LOW.get(rate)
    } else if layer == 1 {
        LAYER_3.get(rate)
    } else {
        LAYER_2.get(rate)
    }?;
    let hz = *[44_100, 48_000, 32_000].get(usize::from(frame[2] >> 2 & 3))?;
    let hz = match version {
        3 => hz,
        2 => hz / 2,
        _ => hz / 4,
    };
    let samples = if layer == 1 && !full { 576 } else { 1152 };
    let length = samples / 8 * kbps * 1000 / hz + usize::from(frame[2] >> 1 & 1);
    (kbps > 0).then_some(length)
}

/// Length of an AC-3 frame (ATSC A/52, table 5.18) or of one of E-AC-3 (annex E).
fn ac3(frame: &[u8]) -> Option<usize> {
    const KBPS: [usize; 19] =
        [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];
    if frame[..2] != [0x0b, 0x77] {
        return None;
    }
    if frame[5] >> 3 > 10 {
        let words = usize::from(frame[2] & 7) << 8 | usize::from(frame[3]);
        return (frame[5] >> 3 <= 16).then_some((words + 1) * 2);
    }
    let (rate, code) = (frame[4] >> 6, usize::from(frame[4] & 63));
    let kbps = *KBPS.get(code / 2)?;
    match rate {
        0 => Some(kbps * 4),
        1 => Some((kbps * 96_000 / 44_100 + (code & 1)) * 2),
        2 => Some(kbps * 6),
        _ => None,
    }
}

/// Whether packets of a transport stream follow one another.
fn has_packets(front: &[u8], size: usize) -> bool {
    (0..MIN_PACKETS).all(|packet| front.get(packet * size) == Some(&0x47))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adts_frames(lengths: &[usize]) -> Vec<u8> {
        let frame = |&length: &usize| {
            let mut made = vec![0xff, 0xf1, 0x4c, 0x80 | (length >> 11) as u8, (length >> 3) as u8];
            made.extend([(length << 5) as u8 | 0x1f, 0xfc]);
            made.resize(length, 0xaa);
            made
        };
        lengths.iter().flat_map(frame).collect()
    }

    #[test]
    fn a_stream_that_starts_inside_a_frame_is_recognised() {
        let frames = adts_frames(&[200, 310, 150, 280, 90]);
        for cut in [0, 1, 50, 199, 230] {
            assert_eq!(detect(&frames[cut..]), Some("aac"), "{cut}");
        }
        assert_eq!(detect(&frames[..480]), None, "two frames may be coincidence");
        assert_eq!(detect(&[0xff, 0xf1, 0x4c, 0x80, 0, 0x1f, 0xfc]), None);
        let mp3: Vec<u8> =
            (0..6).flat_map(|_| [&[0xff, 0xfb, 0x90, 0x64][..], &[0x55; 413]].concat()).collect();
        assert_eq!(detect(&mp3[30..]), Some("mp3"));
        let ac3: Vec<u8> =
            (0..6).flat_map(|_| [&[0x0b, 0x77, 1, 2, 0x08, 0x40][..], &[0x55; 250]].concat()).collect();
        assert_eq!(detect(&ac3[9..]), Some("ac3"));
        let mut ts = vec![0x55; 188 * 7];
        ts.iter_mut().skip(61).step_by(188).for_each(|byte| *byte = 0x47);
        assert_eq!(detect(&ts), Some("mpegts"));
    }

    #[test]
    fn annex_b_is_recognised_by_its_units() {
        let avc =
            [&[0, 0, 0, 1, 0x67, 0x42][..], &[9; 9], &[0, 0, 1, 0x68, 0xce], &[0, 0, 1, 0x65, 0x88]].concat();
        assert_eq!(detect(&avc), Some("h264"));
        assert_eq!(detect(&[&[0, 0, 0, 1, 9, 0x10][..], &avc].concat()), Some("h264"), "with a delimiter");
        assert_eq!(detect(&avc[15..]), None, "without a sequence parameter set");
        let hevc = [&[0, 0, 0, 1, 0x40, 1, 12][..], &[0, 0, 1, 0x42, 1], &[0, 0, 1, 0x26, 1]].concat();
        assert_eq!(detect(&hevc), Some("h265"));
        assert_eq!(detect(&[0, 0, 1, 0xb5, 1, 0, 0, 1, 0x67, 1]), None);
        for cut_off in [&[0, 0, 1][..], &[0, 0, 0, 1], &[0, 0, 1, 0x67], &[0, 0, 0, 1, 0x67]] {
            assert_eq!(detect(cut_off), None, "{cut_off:?}");
        }
    }

    #[test]
    fn noise_and_text_are_no_stream() {
        let mut state = 1_u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        for _ in 0..200 {
            let front: Vec<u8> = (0..8192).map(|_| noise()).collect();
            assert_eq!(detect(&front), None);
        }
    }
}
