//! Questions to the person at the terminal.

use crate::exit::CommandError;
use std::io::{self, BufRead, IsTerminal, Write};

/// Returns true if standard input and output are a terminal.
pub fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Asks for an answer to a task; an empty line gives `None`.
pub async fn answer() -> Result<Option<String>, CommandError> {
    ask("answer> ").await
}

/// Asks for consent; an empty line is a no.
pub async fn confirm(question: &str) -> Result<bool, CommandError> {
    let answer = ask(&format!("{question} [y/N] ")).await?;
    Ok(answer.is_some_and(|answer| matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes")))
}

async fn ask(prompt: &str) -> Result<Option<String>, CommandError> {
    let prompt = prompt.to_owned();
    // A read of the terminal blocks its thread, and cannot be cancelled.
    let line = tokio::task::spawn_blocking(move || read_line(&prompt)).await;
    let unreadable = |error: &dyn std::fmt::Display| {
        CommandError::failed(format!("the terminal cannot be read: {error}"))
    };
    match line {
        Ok(Ok(line)) => Ok(Some(line.trim().to_owned()).filter(|line| !line.is_empty())),
        Ok(Err(error)) => Err(unreadable(&error)),
        Err(error) => Err(unreadable(&error)),
    }
}

fn read_line(prompt: &str) -> io::Result<String> {
    print_prompt(prompt)?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line)
}

fn print_prompt(prompt: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(prompt.as_bytes())?;
    out.flush()
}
