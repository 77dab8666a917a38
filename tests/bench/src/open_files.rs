//! The limit on open files of this process and its children. Each connection takes one at both
//! ends.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit to at least `wanted` files; child processes started later inherit it.
///
/// # Errors
///
/// A description when the limit cannot be raised.
pub fn raise_limit(wanted: usize) -> Result<(), String> {
    let wanted = wanted as u64;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    // Without the right to raise the hard limit, the soft one can be raised up to it.
    let most = limit.maximum.unwrap_or(u64::MAX);
    let raised = Rlimit { current: Some(wanted.min(most)), maximum: limit.maximum };
    let higher = Rlimit { current: Some(wanted), maximum: Some(wanted.max(most)) };
    let done = if wanted > most {
        setrlimit(Resource::Nofile, higher)
    } else {
        setrlimit(Resource::Nofile, raised)
    };
    done.map_err(|_| {
        format!("it needs {wanted} open files a process, and the limit is {most}; raise it with `ulimit -n {wanted}`")
    })
}
