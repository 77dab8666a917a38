//! The deployment files agree with one another and with the binary: a stack that is started from them comes up.
//!
//! Nothing here needs a container engine. What the files say is read and compared ([`rules`]); what they ask of the binary is
//! asked of the real one ([`binary`]).

mod address;
mod binary;
mod breakage;
mod dockerfile;
mod nginx;
mod rules;
mod stack;
mod systemd;

use stack::Stack;

#[test]
fn the_files_of_the_stack_agree() {
    let complaints = rules::complaints(&Stack::of_this_workspace());
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
