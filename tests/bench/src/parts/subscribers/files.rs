//! How many files this process and those that it starts may have open: each connection is one, on both of its ends.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of this process so far that `wanted` files may be open; what is started from now on inherits it. Says why
/// where that is not allowed.
pub fn allow(wanted: usize) -> Result<(), String> {
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
