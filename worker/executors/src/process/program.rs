//! The search for a plugin's program. It finds the file that a start would run, so that problems
//! are reported beforehand.

use super::config::ProcessConfig;
use rustix::fs::{Access, access};
use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

/// Folders that are searched when there is no `PATH`.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// A problem with the program of a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// The working folder is not a folder.
    #[error("working_dir {0} is not a folder")]
    WorkingDir(PathBuf),
    /// No folder of `PATH` has a program of this name.
    #[error("there is no program {name:?} in PATH ({path})")]
    NotInPath {
        /// The configured name.
        name: String,
        /// The folders that were searched.
        path: String,
    },
    /// The file does not exist.
    #[error("{0} does not exist")]
    Missing(PathBuf),
    /// The path is a folder or another special file.
    #[error("{0} is not a file")]
    NotAFile(PathBuf),
    /// The file is not executable.
    #[error("{0} is not executable; chmod +x it, or name its interpreter first in command")]
    NotExecutable(PathBuf),
}

impl ProcessConfig {
    /// Finds the file that starting the plugin would run.
    ///
    /// # Errors
    /// The working folder or the program does not exist, or the program cannot be executed.
    pub fn find_program(&self) -> Result<PathBuf, ProgramError> {
        if let Some(dir) = self.working_dir.as_ref().filter(|dir| !dir.is_dir()) {
            return Err(ProgramError::WorkingDir(dir.clone()));
        }
        let name = self.command.first().map(String::as_str).unwrap_or_default();
        // Names are relative to the folder that the program will run in.
        let base = self.working_dir.clone().unwrap_or_default();
        if name.contains('/') {
            return check(base.join(name));
        }
        let path = match self.env.get("PATH") {
            Some(path) => OsString::from(path.expose()),
            None => env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into()),
        };
        let found: Vec<_> =
            env::split_paths(&path).map(|folder| check(base.join(folder).join(name))).collect();
        let refused = |tried: &Result<PathBuf, ProgramError>| {
            matches!(tried, Err(ProgramError::NotExecutable(_)))
        };
        // Like `execvp`: a file that is not executable hides no later one, but is the better error.
        let best = found.iter().find(|tried| tried.is_ok());
        best.or_else(|| found.iter().find(|tried| refused(tried))).cloned().unwrap_or_else(|| {
            let path = path.to_string_lossy().into_owned();
            Err(ProgramError::NotInPath { name: name.to_owned(), path })
        })
    }
}

fn check(path: PathBuf) -> Result<PathBuf, ProgramError> {
    match path.metadata() {
        Err(_) => Err(ProgramError::Missing(path)),
        Ok(metadata) if !metadata.is_file() => Err(ProgramError::NotAFile(path)),
        Ok(_) if !is_executable(&path) => Err(ProgramError::NotExecutable(path)),
        Ok(_) => Ok(path),
    }
}

fn is_executable(path: &Path) -> bool {
    access(path, Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_runtime::Secret;
    use std::{fs, os::unix::fs::PermissionsExt};

    #[test]
    fn a_program_is_found_or_its_problem_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let (good, bad) = (folder.path().join("good"), folder.path().join("bad"));
        fs::write(&good, "#!/bin/sh\n").unwrap();
        fs::write(&bad, "").unwrap();
        fs::set_permissions(&good, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&bad, fs::Permissions::from_mode(0o644)).unwrap();
        let find = |program: &str| {
            let mut config = ProcessConfig::new([program]);
            let path = Secret::new(format!("/nowhere:{}", folder.path().display()));
            config.env.insert("PATH".to_owned(), path);
            config.find_program()
        };
        assert_eq!(find("good"), Ok(good.clone()));
        assert_eq!(find(good.to_str().unwrap()), Ok(good));
        assert_eq!(find("bad"), Err(ProgramError::NotExecutable(bad)));
        let missing = find("pyton3").unwrap_err().to_string();
        assert!(missing.contains("\"pyton3\" in PATH (/nowhere:"), "{missing}");
        assert!(find("/nowhere/x").unwrap_err().to_string().contains("does not exist"));
        assert!(matches!(find("/tmp"), Err(ProgramError::NotAFile(_))));
    }

    #[test]
    fn a_path_is_relative_to_the_folder_that_the_program_runs_in() {
        let mut config = ProcessConfig::new(["./sh"]);
        config.working_dir = Some("/bin".into());
        assert_eq!(config.find_program(), Ok("/bin/./sh".into()));
        config.working_dir = Some("/nowhere".into());
        assert_eq!(config.find_program(), Err(ProgramError::WorkingDir("/nowhere".into())));
    }
}
