//! A program without the standard library. It does not compile if that comes in by any way: there
//! would be a second panic handler then.
#![no_std]

extern crate levada_core;

use core::alloc::{GlobalAlloc, Layout};
use core::panic::PanicInfo;
use core::ptr;

use levada_core::{ClosePolicy, Goodbyes, Life, Step};

/// There is no memory here.
struct None;

// SAFETY: null is what the contract wants when there is no memory.
unsafe impl GlobalAlloc for None {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static NONE: None = None;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

pub fn lives() -> bool {
    let mut goodbyes = Goodbyes::new(ClosePolicy::Both);
    Life::new().step(Step::Carry).is_ok() && goodbyes.sent().is_none()
}
