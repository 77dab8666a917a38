//! No two answers are of the same task.

use crate::http::answer::Id;
use std::{
    collections::HashSet,
    sync::{LazyLock, Mutex},
};

static SEEN: LazyLock<Mutex<HashSet<Id>>> = LazyLock::new(Mutex::default);

/// Remembers ids; panics when one was there already.
pub fn note(ids: impl IntoIterator<Item = Id>) {
    let mut seen = SEEN.lock().expect("nobody panics while holding it, but for the panic below");
    for id in ids {
        assert!(seen.insert(id), "two answers are of the same task {id:032x}");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    #[should_panic(expected = "the same task")]
    fn an_id_that_comes_twice_fails_the_run() {
        super::note([1, 2, 3, 2]);
    }
}
