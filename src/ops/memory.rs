//! Keeping freed memory for the next step.
//!
//! A step of training allocates and frees the same few large buffers each time. glibc gives such
//! memory back to the system at once, and the next step gets it anew, page by page, each cleared by
//! the system: a third of the time of an epoch. So it is told, once, to keep it.
#![allow(unsafe_code)]

/// From the first large buffer on, freed memory stays with the process.
pub(super) fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::sync::Once;
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            const M_TRIM_THRESHOLD: i32 = -1;
            const M_MMAP_THRESHOLD: i32 = -3;
            unsafe extern "C" {
                fn mallopt(parameter: i32, value: i32) -> i32;
            }
            // SAFETY: mallopt takes two numbers and locks by itself. Where it refuses one, memory
            // goes back to the system as before.
            unsafe {
                mallopt(M_MMAP_THRESHOLD, 1 << 30);
                mallopt(M_TRIM_THRESHOLD, i32::MAX);
            }
        });
    }
}
