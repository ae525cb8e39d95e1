//! Returns the memory of frame copies that libav's plug-in keeps but never reads.
//!
//! libav keeps a frame for reference in memory that is mapped for writing. GStreamer's base class
//! of decoders cannot share such memory, so it hands on a deep copy. The plug-in holds this copy
//! for as long as libav holds the frame, which takes the memory of each reference frame twice.
#![allow(unsafe_code)]

use std::sync::LazyLock;

use gstreamer as gst;
use gstreamer::prelude::*;

/// Minimum size for which it is worthwhile. A frame of 8K takes 50 MB.
const MIN_FRAME_BYTES: usize = 32 << 20;

/// Returns the memory of a `decoder`'s copies to the system once no element behind it uses them.
pub fn install(decoder: &gst::Element) {
    let is_libav = decoder.factory().is_some_and(|factory| factory.name().starts_with("avdec_"));
    let Some(pad) = decoder.static_pad("src").filter(|_| is_libav) else { return };
    pad.add_probe(gst::PadProbeType::BUFFER, |_, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data
            && buffer.size() >= MIN_FRAME_BYTES
            // Buffers with one owner are not held by the plug-in.
            && buffer.get_mut().is_none()
            && is_copy(buffer)
            && let Some(lent) = lent(buffer)
        {
            *buffer = lent;
        }
        gst::PadProbeReturn::Ok
    });
}

/// Whether a buffer is a copy: libav's own frames come from a pool. Its memory must be a block of
/// GStreamer's default allocator.
fn is_copy(buffer: &gst::BufferRef) -> bool {
    // SAFETY: the pointer is that of a live buffer, which no thread changes while it has more than
    // one owner. The field is only compared.
    let has_pool = unsafe { !(*buffer.as_ptr()).pool.is_null() };
    if has_pool || buffer.n_memory() != 1 {
        return false;
    }
    let memory = buffer.peek_memory(0);
    memory.is_type("SystemMemory") && memory.parent().is_none()
}

/// A buffer that lends the memory of a copy to the elements behind the decoder. Its description of
/// planes and strides is that of the copy.
fn lent(copy: &gst::Buffer) -> Option<gst::Buffer> {
    let loan = Loan(Some(copy.clone().into_mapped_buffer_readable().ok()?));
    let mut lent = copy.copy();
    let made = lent.get_mut()?;
    made.remove_all_memory();
    made.append_memory(gst::Memory::from_slice(loan));
    Some(lent)
}

/// The memory of a copy, mapped. It lasts as long as the memory of the buffer that lends it.
struct Loan(Option<gst::MappedBuffer<gst::buffer::Readable>>);

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |mapped| mapped.as_slice())
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(mapped) = self.0.take() {
            release_pages(&mapped.into_buffer());
        }
    }
}

/// Returns the pages of a copy to the system, unless another buffer or a map uses them.
fn release_pages(copy: &gst::Buffer) {
    if !is_copy(copy) {
        return;
    }
    let memory = copy.peek_memory(0).as_ptr().cast_mut();
    let mut map = std::mem::MaybeUninit::uninit();
    // SAFETY: the buffer keeps its memory alive. The call takes GStreamer's lock for writing, which
    // it refuses while the memory is in another buffer or is mapped.
    if unsafe { gst::ffi::gst_memory_map(memory, map.as_mut_ptr(), gst::ffi::GST_MAP_WRITE) } == 0 {
        return;
    }
    // SAFETY: the call above has filled it.
    let mut map = unsafe { map.assume_init() };
    let (start, end) = (map.data as usize, map.data as usize + map.size);
    let (start, end) = (start.next_multiple_of(*PAGE_BYTES), end - end % *PAGE_BYTES);
    if start < end {
        // SAFETY: the pages hold nothing but this memory's samples: they lie inside one block,
        // which the map above allows us to write. The block outlives the call and stays allocated;
        // its samples read as zeros from now on, as if they had been written. The lock guarantees
        // that no element reads or writes them. The plug-in, the copy's other owner, only frees it:
        // libav reads its own frame.
        unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED) };
    }
    // SAFETY: the map is that of this memory, and is not used again.
    unsafe { gst::ffi::gst_memory_unmap(memory, &raw mut map) };
}

/// Length of a page of memory, in bytes.
static PAGE_BYTES: LazyLock<usize> = LazyLock::new(|| {
    // SAFETY: the function only reads a constant of the system.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
});

#[cfg(test)]
mod tests {
    use gstreamer_video as gst_video;

    use super::*;

    const OFFSET: usize = 4096 * 4096;

    /// A buffer as the plug-in's base class copies it: one block, filled with 7.
    fn copy() -> gst::Buffer {
        crate::gst::init().unwrap();
        let mut buffer = gst::Buffer::with_size(MIN_FRAME_BYTES).unwrap();
        let made = buffer.get_mut().unwrap();
        made.set_pts(gst::ClockTime::from_seconds(3));
        made.map_writable().unwrap().fill(7);
        let (offsets, strides) = ([0, OFFSET, OFFSET], [4096, 2048, 2048]);
        let (flags, format) = (gst_video::VideoFrameFlags::empty(), gst_video::VideoFormat::I420);
        gst_video::VideoMeta::add_full(made, flags, format, 4000, 4000, &offsets, &strides).unwrap();
        buffer
    }

    fn bytes_of(buffer: &gst::Buffer, value: u8) -> usize {
        buffer.map_readable().unwrap().iter().filter(|&&byte| byte == value).count()
    }

    #[test]
    fn memory_is_given_back_after_the_last_use() {
        let kept = copy();
        assert!(is_copy(&kept));
        let lent = lent(&kept).unwrap();
        assert_eq!((lent.pts(), lent.size()), (kept.pts(), kept.size()));
        let meta = lent.meta::<gst_video::VideoMeta>().unwrap();
        assert_eq!((meta.offset()[1], meta.stride()[0]), (OFFSET, 4096), "planes lie where they did");
        // As if an element held a part of it, such as a shared copy with another time.
        let part = lent.copy_region(gst::BufferCopyFlags::MEMORY, MIN_FRAME_BYTES / 2..).unwrap();
        drop(lent);
        assert_eq!(bytes_of(&part, 7), part.size());
        assert_eq!(bytes_of(&kept, 7), MIN_FRAME_BYTES);
        drop(part);
        // All but the ends, which share their pages with others.
        assert!(bytes_of(&kept, 0) > MIN_FRAME_BYTES - 2 * *PAGE_BYTES);
    }

    #[test]
    fn memory_that_others_may_read_is_kept() {
        // In two buffers.
        let kept = copy();
        let other = kept.copy();
        release_pages(&kept);
        assert_eq!(bytes_of(&other, 7), MIN_FRAME_BYTES);
        drop(other);
        // In two buffers after it was lent.
        let lent = lent(&kept).unwrap();
        let other = kept.copy();
        drop(lent);
        assert_eq!(bytes_of(&other, 7), MIN_FRAME_BYTES);
        // Of a pool.
        let pool = gst::BufferPool::new();
        let mut config = pool.config();
        config.set_params(None, MIN_FRAME_BYTES as u32, 1, 1);
        pool.set_config(config).unwrap();
        pool.set_active(true).unwrap();
        let pooled = pool.acquire_buffer(None).unwrap();
        assert!(!is_copy(&pooled));
        drop(pooled);
        pool.set_active(false).unwrap();
    }
}
