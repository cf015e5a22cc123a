//! The page of `smpcall report`: one HTML file that needs no network and no script.
//!
//! | module | what it is |
//! |---|---|
//! | [`data`] | what was measured, as it is written to JSON and read again |
//! | [`machine`] | what the system says of itself: processor, kernel, cores, idle states |
//! | [`warnings`] | what of that, and of what was measured, makes figures worse or less sure, in words |
//! | [`compare`] | what changed since an earlier report, and what is within the noise |
//! | [`page`] | the HTML |
//!
//! It measures nothing: the command does. So a page can be made again from what a report wrote.

#![forbid(unsafe_code)]

pub mod compare;
pub mod data;
pub mod machine;
pub mod page;
pub mod warnings;

/// The compiler that built this.
pub const RUSTC: &str = env!("SMPCALL_RUSTC");
