//! A pooler that refuses startup parameters: processes end at once with a sentence. Poolers in
//! session and in transaction mode are tested with the real PgBouncer in the tests of
//! `store-postgres`.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    thread,
};

const AGENT: &str = "[[agent]]\nname = \"echo\"\nexecutor = \"echo\"\n";

/// Code of the request for an encrypted connection (PostgreSQL protocol, `SSLRequest`).
const SSL_REQUEST_CODE: u32 = 80_877_103;

/// Answers every session as a pooler does that refuses settings at its start.
fn pooler() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that is gone needs no answer.
            let _ = refuse(stream);
        }
    });
    address
}

fn refuse(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = [0; 8];
    loop {
        stream.read_exact(&mut head)?;
        let number =
            |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        if number(4) != SSL_REQUEST_CODE {
            let mut rest = vec![0; (number(0) as usize).saturating_sub(head.len())];
            stream.read_exact(&mut rest)?;
            break;
        }
        stream.write_all(b"N")?;
    }
    let fields =
        b"SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter in options: statement_timeout\0\0";
    let length = u32::try_from(fields.len() + 4).expect("it is short");
    stream.write_all(&[b"E".as_slice(), &length.to_be_bytes(), fields].concat())
}

#[test]
fn a_pooler_that_refuses_startup_parameters_ends_a_process_with_a_sentence() {
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    std::fs::write(folder.path().join("longhaul.toml"), AGENT).expect("our folder is writable");
    let place = pooler();
    let url = format!("postgres://u:hunter2@{place}/longhaul?options=-c%20statement_timeout%3D1s");
    for arguments in [["worker", "--concurrency=1"], ["api", "--listen=127.0.0.1:0"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul"));
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LONGHAUL_"))
        {
            command.env_remove(name);
        }
        // Waiting would not help, so there is none: the limit on the wait is longer than a test may
        // take.
        command.args(arguments).env("LONGHAUL_DATABASE_URL", &url);
        command.env("LONGHAUL_DATABASE_START_TIMEOUT", "1h").current_dir(folder.path());
        let output = command.output().expect("the binary was built with this test");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
        assert!(
            error.contains("startup parameter") && error.contains("remove `options`"),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }
}
