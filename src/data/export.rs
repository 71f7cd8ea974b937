//! `vowmq data export` and `vowmq data import`.
use super::Failure;
use crate::clock::seed;
use crate::dump::{self, Counts};
use crate::store::log::LogError;
use crate::store::{DurableStore, ExportError, Options, StoreError};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Writes everything in the data directory to a file, or to standard output. A broker that runs in it does it itself.
pub(super) fn export(directory: &Path, to: Option<&Path>) -> Result<ExitCode, Failure> {
    let Some(to) = to else {
        into(directory, &mut io::stdout().lock())?;
        return Ok(ExitCode::SUCCESS);
    };
    let cannot = |error: io::Error| Failure(format!("{}: {error}", to.display()));
    let new = PathBuf::from(format!("{}.new", to.display()));
    let mut file = File::create(&new).map_err(cannot)?;
    into(directory, &mut file)?;
    file.sync_all().and_then(|()| std::fs::rename(&new, to)).map_err(cannot)?;
    eprintln!("{}: written", to.display());
    Ok(ExitCode::SUCCESS)
}

fn into(directory: &Path, out: &mut impl Write) -> Result<(), Failure> {
    if !directory.is_dir() {
        return Err(Failure::of(directory, StoreError::Io(io::ErrorKind::NotFound.into())));
    }
    let opened = match DurableStore::open(directory, Options::new(seed())) {
        Err(error) if is_in_use(&error) => return from_broker(directory, out),
        opened => opened,
    };
    let (mut store, _) = opened.map_err(|error| Failure::of(directory, error))?;
    let exported = dump::write(&mut store.checkpointer(), out);
    let closed = crate::store::Store::rest(&mut store).and_then(|()| store.close());
    match exported {
        Err(ExportError::Store(error)) => Err(Failure::of(directory, error)),
        Err(ExportError::Sink(error)) => Err(error.into()),
        Ok(()) => closed.map_err(|error| Failure::of(directory, error)),
    }
}

fn is_in_use(error: &StoreError) -> bool {
    match error {
        StoreError::Log(error) => matches!(**error, LogError::InUse { .. }),
        StoreError::Cold(error) => matches!(**error, crate::store::cold::ColdError::InUse { .. }),
        StoreError::Io(_) => false,
    }
}

fn from_broker(directory: &Path, out: &mut impl Write) -> Result<(), Failure> {
    let socket = directory.join(dump::CONTROL_SOCKET);
    let cannot = |error: io::Error| {
        let socket = socket.display();
        Failure(format!("{socket}: {error}; the data directory is in use, and its broker does not answer"))
    };
    let mut broker = UnixStream::connect(&socket).map_err(cannot)?;
    broker
        .write_all(dump::EXPORT_REQUEST.as_bytes())
        .and_then(|()| broker.shutdown(Shutdown::Write))
        .map_err(cannot)?;
    let mut last = String::new();
    for line in BufReader::new(broker).lines() {
        last = line.map_err(cannot)?;
        writeln!(out, "{last}")?;
    }
    out.flush()?;
    match serde_json::from_str(&last) {
        Ok(dump::Line::End { .. }) => Ok(()),
        Ok(dump::Line::Error { why }) => Err(Failure(format!("the broker could not export: {why}"))),
        _ => Err(Failure("the broker ended before the export did; try again".to_owned())),
    }
}

/// Reads an export into a data directory that holds nothing yet.
pub(super) fn import(directory: &Path, from: Option<&Path>) -> Result<ExitCode, Failure> {
    let input: Box<dyn BufRead> = match from {
        None => Box::new(BufReader::new(io::stdin())),
        Some(path) => {
            let file = File::open(path).map_err(|error| Failure(format!("{}: {error}", path.display())))?;
            Box::new(BufReader::new(file))
        }
    };
    let of_directory = |error| Failure::of(directory, error);
    let (mut store, restored) = DurableStore::open(directory, Options::new(seed())).map_err(of_directory)?;
    let mut retained = 0;
    store.each_retained(|_| retained += 1).map_err(of_directory)?;
    if restored.last_session > 0 || retained > 0 {
        let why = "holds sessions or messages already; import into a directory that does not exist yet";
        return Err(Failure(format!("{}: {why}", directory.display())));
    }
    let name = from.map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
    let counts = dump::read(input, &mut store).map_err(|error| {
        let directory = directory.display();
        Failure(format!("{name}: {error}; remove {directory}, which holds a part of it"))
    })?;
    let mut checkpointer = store.checkpointer();
    checkpointer.finish().and_then(|()| store.close()).map_err(of_directory)?;
    let Counts { sessions, messages, retained } = counts;
    eprintln!(
        "{}: {sessions} sessions, {messages} queued messages and {retained} retained messages read from {name}",
        directory.display()
    );
    Ok(ExitCode::SUCCESS)
}
