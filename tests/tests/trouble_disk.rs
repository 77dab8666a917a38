//! A full disk under `longhaul dev`: writes are rejected until there is space again.

use std::fs;
use std::path::Path;
use std::process::Command;

use longhaul_tests::port::Port;
use longhaul_tests::process::ProcessBuilder;
use longhaul_tests::tasks::{TASK_TIMEOUT, get, id, message, send, state, task_of};
use longhaul_tests::{Client, eventually};

/// A file system of eight megabytes; `None` if this user may not mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::TempDir::with_prefix("longhaul-disk-").ok()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(folder.path());
        mount.output().is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Fills the remaining space.
    fn fill(&self) {
        use std::io::Write;
        let ballast = self.path().join("ballast");
        let mut file = fs::File::create(&ballast).expect("a file can be made");
        while file.write_all(&[7; 4096]).is_ok() {}
    }

    fn make_space(&self) {
        fs::remove_file(self.path().join("ballast")).expect("the ballast is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_rejects_writes_until_there_is_space() {
    let Some(disk) = SmallDisk::mount() else {
        println!("skipped: this user may not mount a small file system");
        return;
    };
    let port = Port::reserve();
    let data = disk.path().join("data").display().to_string();
    let outside = tempfile::TempDir::new().expect("the temporary folder is writable");
    let dev = ProcessBuilder::lab(["dev", "--listen", &port.address(), "--data", &data])
        .current_dir(outside.path())
        .start();
    let base = format!("http://{}", port.address());
    dev.wait_ready(&base).await;
    let client = Client::new(&base);
    let kept = send(&client, "before").await;

    disk.fill();
    let refused = eventually(TASK_TIMEOUT, "a write is turned away", async || {
        let params = message(&"x".repeat(20_000));
        let body = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": longhaul_tests::tasks::return_immediately(params)});
        let answer = client.post("/", body.to_string()).await;
        if answer.status == 200 { Err(answer.text()) } else { Ok(answer) }
    })
    .await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(refused.json()["error"]["code"], -32053);
    assert_eq!(get(&client, &id(&kept)).await, kept, "what is there can be read");
    assert!(dev.is_running());

    disk.make_space();
    let params = message("after");
    let taken = eventually(TASK_TIMEOUT, "a message is taken again", async || {
        client.try_call("SendMessage", params.clone()).await
    });
    assert_eq!(state(&task_of(taken.await)), "COMPLETED");
    assert!(!dev.stderr().contains("panicked"), "{}", dev.stderr());
    drop(dev);
}
