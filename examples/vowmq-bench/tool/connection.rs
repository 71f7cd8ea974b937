//! A client's connection under load: one read and one write for each time it wakes the tool.
use super::link::Link;
use super::problem::{Problem, Tried};
use mio::net::TcpStream;
use std::io::{ErrorKind, Read, Write};

pub struct Connection {
    pub socket: TcpStream,
    /// The beginning of a packet whose end has not come.
    pub leftover: Vec<u8>,
    /// Packets to be sent; those before `taken` are.
    pub output: Vec<u8>,
    taken: usize,
    /// The socket takes no more until it says so.
    pub is_blocked: bool,
}

const SENT_AT_ONCE_BYTES: usize = 32 << 10;

impl Connection {
    pub fn new(link: Link) -> Tried<Self> {
        link.stream.set_read_timeout(None)?;
        link.stream.set_nonblocking(true)?;
        let leftover = link.input.to_vec();
        Ok(Self { leftover, ..Self::of(TcpStream::from_std(link.stream)) })
    }

    pub fn of(socket: TcpStream) -> Self {
        Self { socket, leftover: Vec::new(), output: Vec::new(), taken: 0, is_blocked: false }
    }

    pub fn unsent(&self) -> usize {
        self.output.len() - self.taken
    }

    /// Reads once behind what was left over. How many bytes there are in `scratch`, and whether there may be more.
    pub fn read(&mut self, scratch: &mut [u8]) -> Tried<(usize, bool)> {
        let kept = self.leftover.len();
        scratch[..kept].copy_from_slice(&self.leftover);
        self.leftover.clear();
        let place = &mut scratch[kept..];
        match self.socket.read(place) {
            Ok(0) => Err(Problem::new("the broker closed a connection")),
            Ok(read) => Ok((kept + read, read == place.len())),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok((kept, false)),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok((kept, true)),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends much at once without keeping it; keeps little, for the next flush.
    pub fn send(&mut self, bytes: &[u8]) -> Tried<()> {
        let mut bytes = bytes;
        if bytes.len() > SENT_AT_ONCE_BYTES && !self.is_blocked && self.unsent() == 0 {
            match self.socket.write(bytes) {
                Ok(written) => {
                    bytes = &bytes[written..];
                    self.is_blocked = !bytes.is_empty();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_blocked = true,
                Err(error) => return Err(error.into()),
            }
        }
        self.output.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes once.
    pub fn flush(&mut self) -> Tried<()> {
        if self.is_blocked || self.unsent() == 0 {
            return Ok(());
        }
        match self.socket.write(&self.output[self.taken..]) {
            Ok(written) => {
                self.taken += written;
                self.is_blocked = self.unsent() > 0;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_blocked = true,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
        if self.unsent() == 0 {
            self.output.clear();
            self.taken = 0;
        } else if self.taken > self.output.len() / 2 {
            self.output.drain(..self.taken);
            self.taken = 0;
        }
        Ok(())
    }
}
