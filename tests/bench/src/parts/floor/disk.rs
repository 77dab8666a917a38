//! Synced writes to the disk.

use super::row::row;
use crate::figure::Figure;
use std::{
    fs::File,
    os::unix::fs::FileExt,
    time::{Duration, Instant},
};

/// Bytes of a page.
const PAGE_BYTES: usize = 8 * 1024;

/// Pages of the file, which is preallocated.
const FILE_PAGES: u64 = 2_048;

/// Measures `fdatasync` after each page.
pub fn run(time: Duration) -> Vec<Figure> {
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let file = File::create(folder.path().join("pages")).expect("our folder is writable");
    let page = [7; PAGE_BYTES];
    for number in 0..FILE_PAGES {
        file.write_all_at(&page, number * 8_192).expect("the disk has room");
    }
    file.sync_all().expect("the disk takes it");
    let (begun, mut times) = (Instant::now(), Vec::new());
    for number in (0..FILE_PAGES).cycle() {
        let start = Instant::now();
        file.write_all_at(&page, number * 8_192).expect("the disk has room");
        file.sync_data().expect("the disk takes it");
        times.push(start.elapsed());
        if begun.elapsed() > time {
            break;
        }
    }
    vec![row("8 KiB written and synced".to_owned(), "/s", &mut times, begun.elapsed(), 1)]
}
