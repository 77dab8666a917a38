//! `longhaul config`.

use crate::{
    args::{ConfigArgs, ConfigCommand},
    exit::{CommandError, CommandResult, Completion},
    print, wiring,
};
use longhaul_executors::{ExecutorRegistry, ProcessConfig};
use longhaul_runtime::{
    Settings,
    settings::{SettingKey, keys},
};

/// Runs the command.
pub fn run(command: &ConfigCommand, registry: &ExecutorRegistry) -> CommandResult {
    match command {
        ConfigCommand::Check(config) => check(config, registry),
        ConfigCommand::Keys { json: true } => print_keys_as_json(),
        ConfigCommand::Keys { json: false } => {
            print::write_out(&describe(&keys()))?;
            Ok(Completion::Ok)
        }
    }
}

fn check(config: &ConfigArgs, registry: &ExecutorRegistry) -> CommandResult {
    let settings = wiring::load(config, config.overrides(), registry)?;
    print::write_out(&settings.to_redacted_toml())?;
    let addresses = wiring::address_warnings(&settings, settings.server.listen);
    for warning in wiring::key_warnings(&settings).into_iter().chain(addresses) {
        print::warning(&warning);
    }
    let missing = check_programs(&settings)?;
    // Last, as at the start of a node: the last line is then the error that would end it.
    wiring::key_ring(&settings)?;
    match missing {
        0 => Ok(Completion::Ok),
        n => Err(CommandError::failed(format!(
            "the programs of {n} agents cannot be started on this machine; a worker here runs the others, and \
             worker.agents says which it is to run"
        ))),
    }
}

/// Looks for the program of each agent that a worker here would run: prints a comment if it is
/// found, a warning if not. Returns the number of missing programs.
fn check_programs(settings: &Settings) -> Result<usize, CommandError> {
    let mut missing = 0;
    let wanted = settings.worker.agents.as_deref();
    let is_wanted = |name: &String| wanted.is_none_or(|wanted| wanted.contains(name));
    for agent in settings.agent.iter().filter(|agent| is_wanted(&agent.name)) {
        // Built-in executors need no program.
        let Some(process) = agent.process.as_ref() else { continue };
        match ProcessConfig::from(process).find_program() {
            Ok(program) => {
                print::line(&format!("# agent {}: ok: {}", agent.name, program.display()))?;
            }
            Err(problem) => {
                missing += 1;
                print::warning(&format!("agent {}: {problem}", agent.name));
            }
        }
    }
    Ok(missing)
}

fn print_keys_as_json() -> CommandResult {
    let text = serde_json::to_string_pretty(&keys())
        .map_err(|error| CommandError::failed(format!("the keys cannot be written: {error}")))?;
    print::line(&text)?;
    Ok(Completion::Ok)
}

/// Describes every key in a paragraph.
fn describe(keys: &[SettingKey]) -> String {
    let mut text = String::new();
    for key in keys {
        let default = key.default.as_deref().unwrap_or("unset");
        let variable = key.env.as_deref().map(|env| format!("  {env}")).unwrap_or_default();
        let SettingKey { path, doc, allowed, .. } = key;
        text.extend([
            path,
            &variable,
            "\n    ",
            doc,
            "\n    allowed: ",
            allowed,
            "; default: ",
            default,
            "\n",
        ]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_listed_with_its_variable_and_default() {
        let text = describe(&keys());
        assert!(text.contains("worker.lease  LONGHAUL_WORKER_LEASE\n"), "{text}");
        assert!(text.contains("default: \"15s\""), "{text}");
        assert!(text.contains("agent[].name\n"), "{text}");
    }
}
