//! What the tests of several Levada crates share. Never published, never a normal dependency.

pub mod browser;
pub mod docs;
mod folder;
pub mod fuzz;
pub mod numbers;
pub mod peers;
pub mod skip;
pub mod soft_hsm;

pub use folder::Folder;
