//! One thing that is fed with bytes: saved inputs first, then mutations of good ones. A panic, an input that takes too
//! long and memory that grows are failures; the input is saved, and the message says how to run it again.
use crate::mutation::Mutator;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub struct Target {
    /// Also its directory in the corpus; the test's name must contain it, so that the command to run an input again is right.
    pub name: &'static str,
    pub run: fn(&[u8]),
    pub mutate: fn(&mut Mutator, &[Vec<u8>]) -> Vec<u8>,
    /// Inputs of one run, where `FUZZ_SECONDS` is not set.
    pub inputs: u64,
}

/// One input may take so long, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(30);
/// MiB by which memory may grow in a run: nothing is to be kept from one input to the next.
const GROWTH_MIB_MAX: u64 = 512;

pub fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn seed() -> u64 {
    std::env::var("FUZZ_SEED").map_or(1, |value| value.parse().expect("FUZZ_SEED is a number"))
}

/// How long each target goes on, if that was asked for.
pub fn duration() -> Option<Duration> {
    let seconds = std::env::var("FUZZ_SECONDS").ok()?;
    Some(Duration::from_secs(seconds.parse().expect("FUZZ_SECONDS is a number")))
}

/// Resident memory of a process, in MiB.
pub fn resident_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is running");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the system tells");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

impl Target {
    /// Runs what is saved, and then mutations of that and of the seeds.
    pub fn fuzz(&self, mut seeds: Vec<Vec<u8>>) {
        if let Some(file) = std::env::var_os("FUZZ_INPUT").map(PathBuf::from) {
            return self.run_again(&file);
        }
        let watch = Watch::default();
        std::thread::scope(|scope| {
            scope.spawn(|| watch.keep(self));
            let done = catch_unwind(AssertUnwindSafe(|| self.fuzz_watched(&mut seeds, &watch)));
            watch.is_over.store(true, Ordering::Relaxed);
            if let Err(panic) = done {
                std::panic::resume_unwind(panic);
            }
        });
    }

    fn fuzz_watched(&self, seeds: &mut Vec<Vec<u8>>, watch: &Watch) {
        seeds.extend(self.corpus());
        seeds.iter().for_each(|input| self.run_watched(input, watch));
        let (mut mutator, begun, mut count) = (Mutator::new(seed()), Instant::now(), 0);
        let before = resident_mib(std::process::id());
        let is_over = |count| duration().map_or(count >= self.inputs, |duration| begun.elapsed() >= duration);
        while !is_over(count) {
            self.run_watched(&(self.mutate)(&mut mutator, seeds), watch);
            count += 1;
        }
        let after = resident_mib(std::process::id());
        assert!(after < before + GROWTH_MIB_MAX, "{}: memory grew from {before} to {after} MiB", self.name);
        let seconds = begun.elapsed().as_secs_f64();
        println!("{}: {count} inputs in {seconds:.1} s, {:.0} a second", self.name, count as f64 / seconds);
    }

    /// Inputs that once did harm, and such as are hard to find.
    fn corpus(&self) -> Vec<Vec<u8>> {
        let directory = package().join("tests/fuzz/corpus").join(self.name);
        let entries = std::fs::read_dir(directory).expect("the corpus is there");
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("the directory stays there").path()).collect();
        paths.sort();
        paths.iter().map(|path| std::fs::read(path).expect("the corpus can be read")).collect()
    }

    fn run_watched(&self, input: &[u8], watch: &Watch) {
        watch.begin(input);
        if catch_unwind(|| (self.run)(input)).is_err() {
            panic!("{}", self.save(input));
        }
    }

    fn run_again(&self, file: &Path) {
        let is_ours = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(self.name));
        if is_ours {
            (self.run)(&std::fs::read(file).expect("FUZZ_INPUT names a file that can be read"));
        }
    }

    /// Saves an input and says what to do with it.
    fn save(&self, input: &[u8]) -> String {
        let name = self.name;
        let directory = package().join("target/fuzz");
        let file = directory.join(format!("{name}-{:08x}", crc32c::crc32c(input)));
        let saved = std::fs::create_dir_all(&directory).and_then(|()| std::fs::write(&file, input));
        let mut told =
            format!("this input does harm to the {name}; fix it, and keep it in tests/fuzz/corpus/{name}.\n");
        let file = file.display();
        match saved {
            Ok(()) => write!(told, "To run it again: FUZZ_INPUT={file} cargo test --test fuzz {name}"),
            Err(error) => write!(told, "It could not be saved ({file}: {error}): {input:02x?}"),
        }
        .expect("text can be written to");
        told
    }
}

/// Looks after inputs that do not come to an end.
#[derive(Default)]
struct Watch {
    current: Mutex<Option<(Instant, Vec<u8>)>>,
    is_over: AtomicBool,
}

impl Watch {
    fn begin(&self, input: &[u8]) {
        *self.current.lock().expect("nobody panics with it") = Some((Instant::now(), input.to_vec()));
    }

    fn keep(&self, target: &Target) {
        while !self.is_over.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(20));
            let current = self.current.lock().expect("nobody panics with it");
            if let Some((begun, input)) = &*current
                && begun.elapsed() > PATIENCE
            {
                // A thread that is caught in a loop cannot be ended in any other way.
                eprintln!("after {PATIENCE:?} it has not come to an end: {}", target.save(input));
                std::process::abort();
            }
        }
    }
}
