//! An allocator that counts: what threads for voice allocate, and what is asked to be counted.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static COUNT: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Whether this thread's allocations count, once that is known.
    static COUNTS: Cell<Option<bool>> = const { Cell::new(None) };
}

struct Counting;

/// Allocations that counted so far.
pub(crate) fn count() -> u64 {
    COUNT.load(Relaxed)
}

/// Counts what this allocates.
pub(crate) fn counted<T>(act: impl FnOnce() -> T) -> T {
    let before = COUNTS.replace(Some(true));
    let outcome = act();
    COUNTS.set(before);
    outcome
}

fn note() {
    let counts = COUNTS.try_with(|counts| {
        counts.get().unwrap_or_else(|| {
            // To learn the name may allocate.
            counts.set(Some(false));
            let current = thread::current();
            let name = current.name();
            // Nameless is who has not been given a name yet.
            counts.set(name.map(|name| name.starts_with("voice-")));
            counts.get().unwrap_or(false)
        })
    });
    if counts.unwrap_or(false) {
        COUNT.fetch_add(1, Relaxed);
    }
}

// SAFETY: everything is the system's allocator's, as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller keeps what this asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller keeps what this asks for.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: the caller keeps what this asks for.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps what this asks for.
        unsafe { System.dealloc(pointer, layout) }
    }
}
