//! From a store to lines.
use super::line::{BodyLine, FORMAT, Line, MessageLine, SessionLine};
use crate::store::{Checkpointer, ExportError, Exported, Queued};
use std::io::{self, BufWriter, Write};

/// Writes everything that is kept at this moment.
pub fn write(checkpointer: &mut Checkpointer, out: impl Write) -> Result<(), ExportError> {
    let mut out = BufWriter::new(out);
    put(&mut out, &Line::Begin { format: FORMAT, vowmq: env!("CARGO_PKG_VERSION").to_owned() })?;
    let (mut sessions, mut messages, mut retained) = (0, 0, 0);
    let exported = checkpointer.export(&mut |exported| {
        let line = match exported {
            Exported::Session(image) => {
                sessions += 1;
                Line::Session(Box::new(SessionLine::of(&image)))
            }
            Exported::Queued(Queued::Received { position }) => {
                messages += 1;
                Line::Received { position }
            }
            Exported::Queued(Queued::Message { message, target }) => {
                messages += 1;
                Line::Message(Box::new(MessageLine::of(&message, &target)))
            }
            Exported::Retained(message) => {
                retained += 1;
                Line::Retained(Box::new(BodyLine::of(&message)))
            }
        };
        put(&mut out, &line)
    });
    if let Err(error) = exported {
        put(&mut out, &Line::Error { why: error.to_string() })?;
        out.flush()?;
        return Err(error);
    }
    put(&mut out, &Line::End { sessions, messages, retained })?;
    out.flush()?;
    Ok(())
}

fn put(out: &mut impl Write, line: &Line) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}
