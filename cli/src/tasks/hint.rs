//! Commands that are proposed to the user: they work as they are pasted.

use crate::args::{DEFAULT_URL, Server};
use std::fmt::Display;

/// A command about a task, on the same server.
pub fn command(verb: &str, task: &dyn Display, server: &Server) -> String {
    let mut line = format!("longhaul tasks {verb} {}", quoted(&task.to_string()));
    if server.url != DEFAULT_URL {
        line.extend([" --url ", &quoted(&server.url)]);
    }
    if let Some(agent) = &server.agent {
        line.extend([" --agent ", &quoted(agent)]);
    }
    line
}

/// The command that answers a task.
pub fn answer(task: &dyn Display, server: &Server) -> String {
    command("send 'YOUR ANSWER' --task", task, server)
}

/// A word for the shell.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposed_command_names_the_server_when_it_must() {
        let near = Server { url: DEFAULT_URL.to_owned(), ..Server::default() };
        assert_eq!(command("watch", &"t1", &near), "longhaul tasks watch t1");
        let far =
            Server { url: "https://a".to_owned(), agent: Some("b".to_owned()), api_key: None };
        assert_eq!(
            answer(&"t1", &far),
            "longhaul tasks send 'YOUR ANSWER' --task t1 --url https://a --agent b"
        );
    }

    #[test]
    fn what_a_server_names_cannot_become_a_command() {
        assert_eq!(quoted("a;rm -rf 'b'"), "'a;rm -rf '\\''b'\\'''");
        assert_eq!(quoted(""), "''");
    }
}
