//! The buffers that io_uring receives into: a ring shared with the kernel, which takes a buffer only when
//! there are bytes for it, so that an idle connection needs none.
#![expect(unsafe_code, reason = "memory shared with the kernel is reached through pointers")]

use io_uring::Submitter;
use io_uring::types::BufRingEntry;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{AtomicU16, Ordering};

/// The group that receiving operations name.
pub(super) const GROUP: u16 = 0;
/// The kernel wants the ring at the start of a page.
const PAGE: usize = 4096;

/// A ring of buffers of `size` bytes each. It must outlive the io_uring it is registered with.
#[derive(Debug)]
pub(super) struct Buffers {
    ring: NonNull<BufRingEntry>,
    memory: NonNull<u8>,
    count: u16,
    size: usize,
    tail: u16,
}

impl Buffers {
    /// `count` buffers, a power of two up to 32768, all of them the kernel's to take.
    pub(super) fn new(count: u16, size: usize) -> Buffers {
        assert!(count.is_power_of_two() && count <= 1 << 15 && size > 0, "{count} buffers of {size} bytes");
        let mut buffers = Buffers {
            ring: allocate(ring_layout(count)).cast(),
            memory: allocate(memory_layout(count, size)),
            count,
            size,
            tail: 0,
        };
        for buffer in 0..count {
            buffers.put(buffer);
        }
        buffers.publish();
        buffers
    }

    /// Makes the ring known to an io_uring.
    pub(super) fn register(&self, submitter: &Submitter<'_>) -> io::Result<()> {
        // SAFETY: the ring is page-aligned, has `count` entries, and lives as long as `self`, which its
        // owner drops after the io_uring.
        unsafe { submitter.register_buf_ring_with_flags(self.ring.as_ptr() as u64, self.count, GROUP, 0) }
    }

    /// The first `length` bytes of a buffer that the kernel has filled and that has not been [`Self::put`]
    /// back since.
    pub(super) fn bytes(&self, buffer: u16, length: usize) -> &[u8] {
        assert!(buffer < self.count && length <= self.size, "buffer {buffer}, {length} bytes");
        // SAFETY: within the allocation, initialised since it was zeroed, and not written to by the kernel
        // until it is put back, for which `self` must be borrowed mutably.
        unsafe { slice::from_raw_parts(self.memory.as_ptr().add(usize::from(buffer) * self.size), length) }
    }

    /// Gives a buffer back; the kernel sees it after [`Self::publish`].
    pub(super) fn put(&mut self, buffer: u16) {
        assert!(buffer < self.count, "buffer {buffer}");
        let index = usize::from(self.tail & (self.count - 1));
        // SAFETY: both pointers stay within their allocations, and the kernel does not look at an entry
        // beyond the published tail.
        unsafe {
            let entry = &mut *self.ring.as_ptr().add(index);
            entry.set_addr(self.memory.as_ptr().add(usize::from(buffer) * self.size) as u64);
            entry.set_len(self.size as u32);
            entry.set_bid(buffer);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// Lets the kernel see what was put back.
    pub(super) fn publish(&mut self) {
        // SAFETY: the tail is a field of the first entry, aligned for u16, and the kernel only reads it.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.ring.as_ptr()).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with these layouts, and nobody uses them any more: the io_uring is
        // dropped before its buffers.
        unsafe {
            dealloc(self.ring.as_ptr().cast(), ring_layout(self.count));
            dealloc(self.memory.as_ptr(), memory_layout(self.count, self.size));
        }
    }
}

fn allocate(layout: Layout) -> NonNull<u8> {
    // SAFETY: no layout here has size 0.
    NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}

fn ring_layout(count: u16) -> Layout {
    layout(usize::from(count) * size_of::<BufRingEntry>())
}

fn memory_layout(count: u16, size: usize) -> Layout {
    layout(usize::from(count) * size)
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, PAGE).expect("a few megabytes at the most")
}
