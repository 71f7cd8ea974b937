//! The PROXY header, versions 1 and 2, by which a proxy says who is behind it.
use ppp::{HeaderResult, v1, v2};
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes of the longest header that is read: version 2 with what little a proxy adds.
const HEADER_BYTES_MAX: usize = 1024;
/// The first line of version 1 is never longer.
const LINE_BYTES_MAX: usize = 107;
/// Before these bytes of version 2 its length is not known.
const FIXED_BYTES: usize = 16;
/// Enough to tell the versions, and anything else, apart.
const SHORTEST_BYTES: usize = 12;

/// Reads a header and nothing behind it. `None` is a proxy speaking for itself, as for a health check.
pub(super) async fn read_header<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<SocketAddr>> {
    // No longer than the shortest header of either version.
    let mut header = vec![0; SHORTEST_BYTES];
    stream.read_exact(&mut header).await?;
    if header.starts_with(b"PROXY ") {
        while !header.ends_with(b"\r\n") {
            if header.len() >= LINE_BYTES_MAX {
                return Err(no_header());
            }
            header.push(stream.read_u8().await?);
        }
    } else {
        if !header.starts_with(v2::PROTOCOL_PREFIX) {
            return Err(no_header());
        }
        header.resize(FIXED_BYTES, 0);
        stream.read_exact(header.get_mut(SHORTEST_BYTES..).unwrap_or_default()).await?;
        let length = header.get(14..16).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_be_bytes);
        let whole = FIXED_BYTES + usize::from(length);
        if whole > HEADER_BYTES_MAX {
            return Err(no_header());
        }
        header.resize(whole, 0);
        stream.read_exact(header.get_mut(FIXED_BYTES..).unwrap_or_default()).await?;
    }
    match HeaderResult::parse(&header) {
        HeaderResult::V1(Ok(header)) => Ok(match header.addresses {
            v1::Addresses::Tcp4(found) => Some((found.source_address, found.source_port).into()),
            v1::Addresses::Tcp6(found) => Some((found.source_address, found.source_port).into()),
            v1::Addresses::Unknown => None,
        }),
        HeaderResult::V2(Ok(header)) if header.command == v2::Command::Local => Ok(None),
        HeaderResult::V2(Ok(header)) => Ok(match header.addresses {
            v2::Addresses::IPv4(found) => Some((found.source_address, found.source_port).into()),
            v2::Addresses::IPv6(found) => Some((found.source_address, found.source_port).into()),
            v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
        }),
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => Err(no_header()),
    }
}

fn no_header() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "there is no PROXY header, which this listener's proxies have to send")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (io::Result<Option<SocketAddr>>, Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut rest = bytes;
        let header = runtime.block_on(read_header(&mut rest));
        (header, rest.to_vec())
    }

    fn version_2(command: u8, family: u8, addresses: &[u8], rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [v2::PROTOCOL_PREFIX, &[0x20 | command, family], &length, addresses, rest].concat()
    }

    #[test]
    fn both_versions_tell_the_address_and_leave_what_follows() {
        let (header, rest) = read(b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 1883\r\n\x10\x00");
        assert_eq!((header.unwrap(), rest), (Some("192.0.2.7:4711".parse().unwrap()), vec![0x10, 0]));
        let addresses = [192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 0x07, 0x5b];
        let (header, rest) = read(&version_2(1, 0x11, &addresses, &[0x10]));
        assert_eq!((header.unwrap(), rest), (Some("192.0.2.7:4711".parse().unwrap()), vec![0x10]));
    }

    #[test]
    fn a_proxy_may_speak_for_itself() {
        assert_eq!(read(b"PROXY UNKNOWN\r\n").0.unwrap(), None);
        assert_eq!(read(&version_2(0, 0, &[], b"")).0.unwrap(), None);
    }

    #[test]
    fn anything_else_is_an_error() {
        let endless = [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat();
        let huge = [v2::PROTOCOL_PREFIX, &[0x21, 0x11, 0xff, 0xff]].concat();
        for bytes in [
            &b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04abcd"[..],
            b"PROXY TCP4 x y 1 2\r\n",
            &endless,
            &huge,
            b"PR",
        ] {
            assert!(read(bytes).0.is_err(), "{bytes:?}");
        }
    }
}
