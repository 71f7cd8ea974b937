//! One connection to the broker: a thread reads it into a queue of packets, the case waits on that queue.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::packet::{Packet, cut};
use super::websocket::WebSocket;

pub struct Link {
    stream: TcpStream,
    inbox: Arc<(Mutex<Inbox>, Condvar)>,
    /// The case itself dropped this connection, so its end says nothing about the broker.
    pub dropped_by_us: bool,
}

#[derive(Default)]
pub struct Inbox {
    pub packets: Vec<Packet>,
    pub closed: bool,
    version_5: bool,
    websocket: Option<WebSocket>,
    partial: Vec<u8>,
}

impl Inbox {
    /// The subprotocol of the WebSocket, once it is open.
    pub fn subprotocol(&self) -> Option<String> {
        self.websocket.as_ref()?.protocol.clone()
    }

    fn take(&mut self, received: &[u8]) {
        match &mut self.websocket {
            None => self.partial.extend_from_slice(received),
            Some(websocket) => {
                self.partial.extend(websocket.take(received));
                self.closed |= websocket.is_closed;
            }
        }
    }
}

impl Link {
    pub fn open(address: SocketAddr) -> Result<Link, String> {
        let refused = |error| format!("no connection: {error}");
        let stream = TcpStream::connect(address).map_err(refused)?;
        stream.set_nodelay(true).map_err(refused)?;
        let inbox = Arc::new((Mutex::new(Inbox::default()), Condvar::new()));
        let reader = stream.try_clone().map_err(refused)?;
        let filled = Arc::clone(&inbox);
        thread::spawn(move || read_into(reader, &filled));
        Ok(Link { stream, inbox, dropped_by_us: false })
    }

    /// Replies are read as MQTT 5 from now on.
    pub fn speak_version_5(&self) {
        self.inbox().version_5 = true;
    }

    /// What comes from now on is WebSocket.
    pub fn speak_websocket(&self) {
        self.inbox().websocket = Some(WebSocket::default());
    }

    /// A broker may close while the case still sends; what matters then is what it said before.
    pub fn send(&mut self, bytes: &[u8]) {
        if self.stream.write_all(bytes).is_err() {
            self.inbox.1.notify_all();
        }
    }

    pub fn send_slowly(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.send(&[*byte]);
            thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn drop_connection(&mut self) {
        self.dropped_by_us = true;
        self.shut();
    }

    pub fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.0.lock().expect("no thread panics while it holds an inbox")
    }

    /// Looks at the inbox now and after every change until `look` finds something or the time is over.
    pub fn wait<T>(&self, within: Duration, mut look: impl FnMut(&mut Inbox) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + within;
        let mut inbox = self.inbox();
        loop {
            if let Some(found) = look(&mut inbox) {
                return Some(found);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            inbox = self.inbox.1.wait_timeout(inbox, left).expect("no thread panics while it holds an inbox").0;
        }
    }

    fn shut(&self) {
        // The broker may have been first, which is no error here.
        self.stream.shutdown(Shutdown::Both).ok();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shut();
    }
}

fn read_into(mut stream: TcpStream, inbox: &(Mutex<Inbox>, Condvar)) {
    let mut chunk = vec![0; 65_536];
    loop {
        let count = stream.read(&mut chunk).unwrap_or(0);
        let mut filled = inbox.0.lock().expect("no thread panics while it holds an inbox");
        filled.closed = count == 0;
        filled.take(&chunk[..count]);
        let version_5 = filled.version_5;
        while let Some(packet) = cut(&mut filled.partial, version_5) {
            filled.packets.push(packet);
        }
        inbox.1.notify_all();
        if count == 0 {
            return;
        }
    }
}
