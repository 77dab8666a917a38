//! `longhaul card key`.

use super::source;
use crate::{
    args::{CardKeyCommand, NewCardKeyArgs, ShowCardKeyArgs},
    exit::{CommandError, CommandResult, Completion},
    print,
};
use longhaul_runtime::{IdSource, SystemIds};
use longhaul_signing::{KeyRing, PrivateKey, PublicKey};
use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Runs the command.
pub fn run(command: CardKeyCommand) -> CommandResult {
    match command {
        CardKeyCommand::New(args) => new(&args),
        CardKeyCommand::Show(args) => show(&args),
    }
}

fn new(args: &NewCardKeyArgs) -> CommandResult {
    let key = PrivateKey::generate(args.alg, || random_seed(&SystemIds));
    let pem = key.to_pem().map_err(|error| CommandError::failed(error.to_string()))?;
    if args.out.as_os_str() == "-" {
        print::write_out(&pem)?;
        return Ok(Completion::Ok);
    }
    write_new(&args.out, &pem).map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::AlreadyExists => "is there already, and is not written over".to_owned(),
            _ => format!("cannot be written: {error}"),
        };
        CommandError::failed(format!("{}: {why}", args.out.display()))
    })?;
    print::line(&key_line(&args.out, &key.public()))?;
    Ok(Completion::Ok)
}

fn random_seed(ids: &dyn IdSource) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&ids.random_u128().to_be_bytes());
    bytes[16..].copy_from_slice(&ids.random_u128().to_be_bytes());
    bytes
}

/// Writes a new file that only its owner can read.
fn write_new(path: &Path, pem: &str) -> io::Result<()> {
    // The mode is set at creation, so that the key is never readable by others.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(pem.as_bytes())?;
    // Clients may trust the key soon: it must survive a crash of the machine.
    file.sync_all()
}

fn show(args: &ShowCardKeyArgs) -> CommandResult {
    let read = |path: &std::path::PathBuf| source::read_key(path, PublicKey::from_pem);
    let keys: Vec<PublicKey> = args.files.iter().map(read).collect::<Result<_, _>>()?;
    if args.jwks {
        print::line(&super::view::pretty(&KeyRing::new(None, keys).jwks()))?;
        return Ok(Completion::Ok);
    }
    for (path, key) in args.files.iter().zip(&keys) {
        if args.pem {
            print::write_out(
                &key.to_pem().map_err(|error| CommandError::failed(error.to_string()))?,
            )?;
        } else {
            print::line(&key_line(path, key))?;
        }
    }
    Ok(Completion::Ok)
}

fn key_line(path: &Path, key: &PublicKey) -> String {
    format!("{}  {}  {}", key.algorithm(), key.thumbprint(), path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_signing::Algorithm;
    use std::{fs, os::unix::fs::PermissionsExt};

    #[test]
    fn a_key_file_is_private_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("key.pem");
        let args = NewCardKeyArgs { alg: Algorithm::EdDsa, out: out.clone() };
        new(&args).unwrap();
        let first = fs::read_to_string(&out).unwrap();
        assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
        let error = new(&args).unwrap_err();
        assert!(error.to_string().contains("not written over"), "{error}");
        assert_eq!(fs::read_to_string(&out).unwrap(), first);
        assert!(PrivateKey::from_pem(&first).is_ok());
    }

    #[test]
    fn seeds_are_random() {
        assert_ne!(random_seed(&SystemIds), random_seed(&SystemIds));
    }
}
