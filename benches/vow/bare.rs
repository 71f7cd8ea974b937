//! What the disk and the loopback do by themselves.
use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;

/// A file written in full beforehand, as a log with segments made ahead is: a sync pays for data alone.
pub struct Bare {
    file: File,
    /// Held for its Drop, which removes the file.
    _named: NamedTempFile,
    position: u64,
    group: Vec<u8>,
}

const FILE_BYTES: u64 = 64 << 20;
const CHUNK_BYTES: usize = 1 << 20;

impl Bare {
    pub fn new(directory: &Path) -> Self {
        let named = NamedTempFile::with_prefix_in("vow-bench-bare-", directory).expect("a file can be made");
        let file = named.reopen().expect("the file can be opened again");
        for at in (0..FILE_BYTES).step_by(CHUNK_BYTES) {
            file.write_all_at(&[0; CHUNK_BYTES], at).expect("the file can be written");
        }
        file.sync_all().expect("the file can be synced");
        Self { file, _named: named, position: 0, group: Vec::new() }
    }

    /// Appends and syncs groups of a size one after the other; how long one takes on average.
    pub fn append(&mut self, groups: u64, bytes: u64) -> Duration {
        let begun = Instant::now();
        for _ in 0..groups {
            self.append_one(bytes);
        }
        begun.elapsed().div_f64(groups.max(1) as f64)
    }

    fn append_one(&mut self, bytes: u64) {
        let bytes = bytes.clamp(1, FILE_BYTES);
        self.group.resize(usize::try_from(bytes).expect("below the file's size"), 0x5a);
        if self.position + bytes > FILE_BYTES {
            self.position = 0;
        }
        self.file.write_all_at(&self.group, self.position).expect("the file can be written");
        self.file.sync_data().expect("the file can be synced");
        self.position += bytes;
    }

    /// Requests over the loopback to a thread that answers each, one after the other; how long one takes on average.
    /// With `synced_bytes` the thread appends and syncs that much before it answers.
    pub fn round_trip(&mut self, count: u64, bytes: Exchange, synced_bytes: Option<u64>) -> Duration {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("127.0.0.1 has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().expect("the other thread connects");
                stream.set_nodelay(true).expect("a socket takes its options");
                let (mut request, answer) = (vec![0; bytes.request], vec![1; bytes.answer]);
                for _ in 0..count {
                    stream.read_exact(&mut request).expect("a request comes");
                    if let Some(bytes) = synced_bytes {
                        self.append_one(bytes);
                    }
                    stream.write_all(&answer).expect("the answer is taken");
                }
            });
            let mut stream = TcpStream::connect(address).expect("the other thread listens");
            stream.set_nodelay(true).expect("a socket takes its options");
            let (request, mut answer) = (vec![1; bytes.request], vec![0; bytes.answer]);
            let begun = Instant::now();
            for _ in 0..count {
                stream.write_all(&request).expect("the request is taken");
                stream.read_exact(&mut answer).expect("an answer comes");
            }
            black_box(&answer);
            begun.elapsed().div_f64(count.max(1) as f64)
        })
    }
}

/// Bytes of a request and of its answer.
#[derive(Debug, Clone, Copy)]
pub struct Exchange {
    pub request: usize,
    pub answer: usize,
}
