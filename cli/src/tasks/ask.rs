//! Asks the person at the terminal.

use crate::exit::Failure;
use std::io::{self, BufRead, IsTerminal, Write};

/// Whether somebody is there to be asked.
pub fn possible() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Asks for a line; `None` when nothing is said.
pub async fn line() -> Result<Option<String>, Failure> {
    let asked = tokio::task::spawn_blocking(read_line).await;
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::failed(format!("the terminal cannot be read: {error}"))
    };
    match asked {
        Ok(Ok(line)) => Ok(Some(line.trim().to_owned()).filter(|line| !line.is_empty())),
        Ok(Err(error)) => Err(unreadable(&error)),
        Err(error) => Err(unreadable(&error)),
    }
}

fn read_line() -> io::Result<String> {
    print_prompt()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line)
}

fn print_prompt() -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(b"answer> ")?;
    out.flush()
}
