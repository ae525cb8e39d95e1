//! Memory that decoded frames take: how many there are at a time.

/// Frames of more pixels than this are large. One of 8K takes 50 MB or more, with motion vectors 70. A decoder keeps
/// six for reference where the stream obeys its level.
const LARGE_PIXELS: u64 = 4096 * 2304;

/// Most memory that the frames of a decoder may take, in bytes. The levels of H.264 and H.265 stay
/// below it at 8K with 4:2:0 samples, of 10 bits too.
pub const MAX_DECODER_BYTES: u64 = 1_000_000_000;

/// Most frames that H.264 and H.265 let a stream refer to.
pub const MAX_REFERENCES: u32 = 16;

/// Whether frames of so many pixels are so large that few of them fit into a step's memory.
pub fn is_large(pixels: u64) -> bool {
    pixels > LARGE_PIXELS
}

/// Threads of a decoder of frames of so many pixels, 0 if that is not known yet.
///
/// One more than two, which keep all encoders busy: one of them usually waits for its turn to hand a
/// frame on. Each keeps a frame more, and memory is to be the same on every machine.
pub fn decoder_threads(pixels: u64) -> usize {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    if pixels == 0 || is_large(pixels) { 1 } else { (cores + 1).min(3) }
}

/// DecodedBuffer frames that may wait for us, each of so many pixels.
pub fn max_waiting(pixels: u64) -> u32 {
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
