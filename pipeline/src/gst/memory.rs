//! Bounds on the memory of decoded frames: how many there are at a time.

/// Frames of more pixels than this are large.
///
/// One of 8K takes 50 MB or more, with motion vectors 70 MB. A decoder keeps six for reference if
/// the stream obeys its level.
const LARGE_PIXELS: u64 = 4096 * 2304;

/// Maximum memory of a decoder's frames, in bytes. Streams of 8K that obey the levels of H.264 and
/// H.265 stay below it with 4:2:0 samples of 8 or 10 bits.
pub const MAX_DECODER_BYTES: u64 = 1_000_000_000;

/// Maximum number of reference frames of an H.264 or H.265 stream.
pub const MAX_REFERENCE_FRAMES: u32 = 16;

/// Whether frames of this size are so large that only a few fit into a step's memory.
pub fn is_large(pixels: u64) -> bool {
    pixels > LARGE_PIXELS
}

/// Number of threads of a decoder, by the pixels of its frames; 0 pixels if the size is not known.
///
/// Two threads keep all encoders busy. The third makes up for the one that usually waits to hand on
/// its frame. The number is bounded because each thread keeps another frame, and memory must not
/// depend on the machine.
pub fn decoder_threads(pixels: u64) -> usize {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    if pixels == 0 || is_large(pixels) { 1 } else { (cores + 1).min(3) }
}

/// Maximum number of decoded frames that wait to be pulled, by their pixels.
pub fn max_queued_frames(pixels: u64) -> u32 {
    if is_large(pixels) { 1 } else { 4 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_frames_above_4k_are_large() {
        assert!(!is_large(4096 * 2160) && !is_large(3840 * 2160));
        assert!(is_large(7680 * 4320) && is_large(5760 * 2880));
        assert_eq!((decoder_threads(0), decoder_threads(7680 * 4320)), (1, 1));
        assert!(decoder_threads(1920 * 1080) > 1);
    }
}
