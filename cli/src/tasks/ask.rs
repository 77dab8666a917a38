//! Asks the person at the terminal.

use crate::exit::Failure;
use std::io::{self, BufRead, IsTerminal, Write};

/// Whether somebody is there to be asked.
pub fn possible() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Asks for a line; `None` when nothing is said.
pub async fn line() -> Result<Option<String>, Failure> {
    asked("answer> ").await
}

/// Whether the person at the terminal agrees; saying nothing is a no.
pub async fn agrees(question: &str) -> Result<bool, Failure> {
    let said = asked(&format!("{question} [y/N] ")).await?;
    Ok(said.is_some_and(|said| matches!(said.to_ascii_lowercase().as_str(), "y" | "yes")))
}

async fn asked(prompt: &str) -> Result<Option<String>, Failure> {
    let prompt = prompt.to_owned();
    let asked = tokio::task::spawn_blocking(move || read_line(&prompt)).await;
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::failed(format!("the terminal cannot be read: {error}"))
    };
    match asked {
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
