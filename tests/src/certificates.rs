//! Certificates of a throwaway CA, for servers on this machine.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::passwd::User;

/// A private CA and its server certificate for `localhost`, `127.0.0.1` and `::1`, in a temporary
/// folder.
#[derive(Debug)]
pub struct Certificates {
    folder: TempDir,
}

const CA: &str = "[req]\ndistinguished_name = name\nx509_extensions = ca\nprompt = no\n[name]\nCN = a private CA\n\
    [ca]\nbasicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign\n";

const SERVER: &str = "[req]\ndistinguished_name = name\nprompt = no\n[name]\nCN = a server\n[server]\n\
    subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1\nextendedKeyUsage = serverAuth\n";

impl Certificates {
    /// Creates CA and certificate with `openssl`.
    pub fn create() -> Self {
        let folder =
            TempDir::with_prefix("longhaul-tls-").expect("the temporary folder is writable");
        let made = Self { folder };
        for (name, text) in [("ca.conf", CA), ("server.conf", SERVER)] {
            fs::write(made.path(name), text).expect("our folder is writable");
        }
        let key = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        let (ca, server) = (
            ["-x509", "-days", "2", "-config", "ca.conf", "-keyout", "ca.key", "-out", "ca.pem"],
            ["-config", "server.conf", "-keyout", "server.key", "-out", "server.csr"],
        );
        made.openssl(&[&key[..], &ca[..]].concat());
        made.openssl(&[&key[..], &server[..]].concat());
        let signing = ["x509", "-req", "-days", "2", "-in", "server.csr", "-out", "server.pem"];
        let by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
        let extensions = ["-extfile", "server.conf", "-extensions", "server"];
        made.openssl(&[&signing[..], &by[..], &extensions[..]].concat());
        made.hand_to_server_user();
        made
    }

    /// The CA's certificate.
    pub fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// The server's certificate.
    pub fn server(&self) -> PathBuf {
        self.path("server.pem")
    }

    /// The server's key, owned by the user that runs servers.
    pub fn key(&self) -> PathBuf {
        self.path("server.key")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn hand_to_server_user(&self) {
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, Permissions::from_mode(mode)).expect("the file is ours");
        };
        mode(self.folder.path(), 0o755);
        mode(&self.key(), 0o600);
        if let Some(user) = User::for_servers() {
            user.own(&self.key());
        }
    }

    fn openssl(&self, arguments: &[&str]) {
        let mut command = Command::new("openssl");
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        let output = command.output();
        let output = output.unwrap_or_else(|error| panic!("cannot run openssl: {error}"));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments:?} failed: {complaint}");
    }
}
