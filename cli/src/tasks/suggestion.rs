//! Commands that are suggested to the user, ready to paste into a shell.

use crate::args::{DEFAULT_URL, ServerArgs};
use std::fmt::Display;

/// Formats a command about a task, for the same server.
pub fn command(verb: &str, task: &dyn Display, server: &ServerArgs) -> String {
    let mut line = format!("longhaul tasks {verb} {}", shell_quoted(&task.to_string()));
    if server.url != DEFAULT_URL {
        line.extend([" --url ", &shell_quoted(&server.url)]);
    }
    if let Some(agent) = &server.agent {
        line.extend([" --agent ", &shell_quoted(agent)]);
    }
    line
}

/// Formats the command that answers a task.
pub fn answer(task: &dyn Display, server: &ServerArgs) -> String {
    command("send 'YOUR ANSWER' --task", task, server)
}

/// Quotes a word for a POSIX shell, if it needs quotes.
pub fn shell_quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    // Within single quotes the shell interprets nothing but the quote itself.
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suggested_command_names_the_server_if_it_is_not_the_default() {
        let near = ServerArgs { url: DEFAULT_URL.to_owned(), ..ServerArgs::default() };
        assert_eq!(command("watch", &"t1", &near), "longhaul tasks watch t1");
        let far =
            ServerArgs { url: "https://a".to_owned(), agent: Some("b".to_owned()), api_key: None };
        assert_eq!(
            answer(&"t1", &far),
            "longhaul tasks send 'YOUR ANSWER' --task t1 --url https://a --agent b"
        );
    }

    #[test]
    fn text_of_a_server_cannot_become_a_command() {
        assert_eq!(shell_quoted("a;rm -rf 'b'"), "'a;rm -rf '\\''b'\\'''");
        assert_eq!(shell_quoted(""), "''");
    }
}
