//! The deployment files agree with one another and with the binary: a stack started from them
//! works.
//!
//! No container engine is needed. The files are read and compared ([`rules`]), and their commands
//! and settings are tried on the real binary ([`binary`]).

mod address;
mod binary;
mod breakage;
mod dockerfile;
mod nginx;
mod rules;
mod stack;
mod systemd;

use stack::Deployment;

#[test]
fn the_files_of_the_stack_agree() {
    let complaints = rules::complaints(&Deployment::of_this_workspace());
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
