//! Loads settings: merges file, environment and flags, then checks the result.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use serde_path_to_error::Segment;
use toml::{Table, Value};

use super::{
    error::{KeyOrigins, SettingOrigin, SettingsError},
    file,
    overrides::{self, CONFIG_VARIABLE, SettingOverride},
    sections::{Settings, kind_of},
    validate,
};

/// The sources of settings.
#[derive(Debug)]
pub struct SettingSources<E> {
    /// The file named on the command line, which must exist. Overrides `LONGHAUL_CONFIG`.
    pub file: Option<PathBuf>,
    /// The file to read, if it exists, when no other is named.
    pub fallback_file: Option<PathBuf>,
    /// The environment variables.
    pub env: E,
    /// The values of flags.
    pub overrides: Vec<SettingOverride>,
}

impl SettingSources<std::vec::IntoIter<(String, String)>> {
    /// The sources of this process: its environment, and `longhaul.toml` in the working directory
    /// when no file is named.
    pub fn from_process(file: Option<PathBuf>, overrides: Vec<SettingOverride>) -> Self {
        // Variables of other programs may hold any bytes. Invalid text in ours is reported as a bad
        // value later.
        let env: Vec<(String, String)> = std::env::vars_os()
            .map(|(name, value)| {
                (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
            })
            .collect();
        Self {
            file,
            fallback_file: Some(PathBuf::from("longhaul.toml")),
            env: env.into_iter(),
            overrides,
        }
    }
}

impl Settings {
    /// Reads, merges and checks the settings. The error is the first problem found, with the key,
    /// its origin and the allowed values.
    pub fn load<E: Iterator<Item = (String, String)>>(
        sources: SettingSources<E>,
    ) -> Result<Self, SettingsError> {
        Self::load_with(sources, &[])
    }

    /// Reads the settings like [`load`](Self::load), for a program that registers executors of these
    /// names.
    pub fn load_with<E: Iterator<Item = (String, String)>>(
        sources: SettingSources<E>,
        registered_executors: &[&str],
    ) -> Result<Self, SettingsError> {
        let env: Vec<(String, String)> = sources.env.collect();
        let mut origins = KeyOrigins::default();
        // Sources in ascending precedence: each one overrides the values before it.
        let file = choose_file(sources.file, sources.fallback_file, &env);
        let mut table = match &file {
            Some(path) => file::read(path, &mut origins)?,
            None => Table::new(),
        };
        // Before the overrides: errors of the file must name its lines.
        file::check_keys(&table, &origins)?;
        overrides::apply_variables(&env, &mut table, &mut origins)?;
        overrides::apply_flags(&sources.overrides, &mut table, &mut origins)?;
        // Types and limits are checked on the merged result, whatever the source.
        let mut settings = deserialize(table, &origins)?;
        validate::all(&settings, &origins, registered_executors)?;
        // Last, because validation speaks of paths as the user wrote them.
        if let Some(file) = file {
            settings.resolve_paths(&file, &origins)?;
        }
        Ok(settings)
    }

    /// Resolves paths of programs, and of key files set in the file, against the configuration
    /// file's folder.
    fn resolve_paths(&mut self, file: &Path, origins: &KeyOrigins) -> Result<(), SettingsError> {
        let absolute = std::path::absolute(file).map_err(|error| {
            SettingsError::new(
                "",
                SettingOrigin::File(file.to_owned(), None),
                format!("the folder of the file is not known: {error}"),
            )
        })?;
        let folder = absolute.parent().unwrap_or(Path::new("/"));
        for (key, paths) in [
            ("cards.signing_keys", &mut self.cards.signing_keys),
            ("cards.published_keys", &mut self.cards.published_keys),
        ] {
            if matches!(origins.origin_of(key), SettingOrigin::File(..)) {
                // Only the folder can be invalid UTF-8; the path itself comes from text.
                for path in paths {
                    *path = folder.join(&*path).to_str().map(str::to_owned).unwrap_or_default();
                }
            }
        }
        for process in self.agent.iter_mut().filter_map(|agent| agent.process.as_mut()) {
            if let Some(working_dir) = &mut process.working_dir {
                *working_dir = folder.join(&*working_dir);
            }
            let program = process.command.first_mut().filter(|program| program.contains('/'));
            // Only the folder can be invalid UTF-8; TOML strings are text.
            let resolved = program
                .as_ref()
                .and_then(|program| folder.join(&**program).to_str().map(str::to_owned));
            if let Some((program, resolved)) = program.zip(resolved) {
                *program = resolved;
            }
        }
        Ok(())
    }
}

fn choose_file(
    flag: Option<PathBuf>,
    fallback: Option<PathBuf>,
    env: &[(String, String)],
) -> Option<PathBuf> {
    let variable = || {
        env.iter()
            .find(|(name, value)| name == CONFIG_VARIABLE && !value.is_empty())
            .map(|(_, value)| PathBuf::from(value))
    };
    flag.or_else(variable).or_else(|| fallback.filter(|path| path.exists()))
}

/// Replaces `localhost` in listen addresses by 127.0.0.1, the address that clients resolve it to.
fn resolve_localhost(table: &mut Table) {
    let sections = table.iter_mut().filter_map(|(_, section)| section.as_table_mut());
    for listen in sections.filter_map(|section| section.get_mut("listen")) {
        let port = listen.as_str().and_then(|address| address.strip_prefix("localhost:"));
        if let Some(resolved) = port.map(|port| format!("127.0.0.1:{port}")) {
            *listen = resolved.into();
        }
    }
}

fn deserialize(mut table: Table, origins: &KeyOrigins) -> Result<Settings, SettingsError> {
    resolve_localhost(&mut table);
    serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| {
        let path = dotted_path(error.path());
        let kind = kind_of(&path);
        // An unknown kind may be anything, so do not quote its value.
        let hidden = kind.is_none_or(|kind| kind.is_secret());
        let problem = if hidden {
            "has a wrong type".to_owned()
        } else {
            first_line(error.inner().message())
        };
        let refused = SettingsError::new(&path, origins.origin_of(&path), problem);
        match kind {
            Some(kind) => refused.allowed(kind.allowed()),
            None => refused,
        }
    })
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}

fn dotted_path(path: &serde_path_to_error::Path) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => {
                // Writing to text cannot fail.
                let _ = write!(text, "[{index}]");
            }
            Segment::Map { key } | Segment::Enum { variant: key } => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(key);
            }
            Segment::Unknown => {}
        }
    }
    text
}
