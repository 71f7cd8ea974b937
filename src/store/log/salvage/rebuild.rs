//! A frame whose header is spoilt, and whose records are all there, is a frame again.
use super::super::file::{Files, read_full};
use super::super::frame::{FRAME_HEADER_BYTES, FrameHeader, Kind, RECORD_HEADER_BYTES, crc_at, record_header, u32_at};
use super::super::segment::Segment;
use super::super::{LogError, Lsn};

/// The header that belongs at `from`, if what is between it and the next header at `to` can be proved whole.
pub(super) fn header(
    files: &dyn Files,
    segment: &Segment,
    (from, to): (u64, u64),
    known: Option<FrameHeader>,
) -> Result<Option<FrameHeader>, LogError> {
    let lsn = Lsn::new(from);
    let body_at = from + FRAME_HEADER_BYTES;
    // Only a frame without records is as short as this.
    if to == body_at {
        return Ok(Some(FrameHeader {
            lsn,
            kind: Kind::Mark,
            body_bytes: 0,
            records: 0,
            body_crc: crc_at(segment.header.salt, lsn, &[]),
        }));
    }
    let (Some(length), Ok(body_bytes)) = (to.checked_sub(body_at), u32::try_from(to - from)) else { return Ok(None) };
    let mut body = vec![0; usize::try_from(length).expect("a segment is within the memory's address space")];
    let path = || files.path(&segment.name());
    read_full(&*segment.file, &mut body, segment.offset(body_at)).map_err(LogError::io("read", path()))?;
    let Some(records) = whole_records(&body, body_at, segment.header.salt) else { return Ok(None) };
    let is_as_counted = known.is_none_or(|known| known.kind == Kind::Group && known.records == records);
    let body_bytes = body_bytes - FRAME_HEADER_BYTES as u32;
    let body_crc = crc_at(segment.header.salt, lsn, &body);
    Ok(is_as_counted.then_some(FrameHeader { lsn, kind: Kind::Group, body_bytes, records, body_crc }))
}

/// The seal that belongs at a position, if all but a few bytes of it are there. Any other header would differ in its
/// kind and in both checksums.
pub(super) fn seal(files: &dyn Files, segment: &Segment, at: u64) -> Result<Option<FrameHeader>, LogError> {
    const SPOILT_BYTES_MAX: usize = 4;
    let lsn = Lsn::new(at);
    let body_crc = crc_at(segment.header.salt, lsn, &[]);
    let seal = FrameHeader { lsn, kind: Kind::Seal, body_bytes: 0, records: 0, body_crc };
    let mut found = [0; FRAME_HEADER_BYTES as usize];
    let path = || files.path(&segment.name());
    read_full(&*segment.file, &mut found, segment.offset(at)).map_err(LogError::io("read", path()))?;
    let expected = seal.encode(segment.header.salt);
    let spoilt = expected.iter().zip(&found).filter(|(expected, found)| expected != found);
    Ok((spoilt.count() <= SPOILT_BYTES_MAX).then_some(seal))
}

/// The number of records that fill the body, each whole by its own checksum; `None` if they do not.
fn whole_records(body: &[u8], body_at: u64, salt: u64) -> Option<u32> {
    let (mut rest, mut at, mut records) = (body, body_at, 0);
    while rest.len() >= RECORD_HEADER_BYTES {
        let (header, behind) = rest.split_at(RECORD_HEADER_BYTES);
        let (record, behind) = behind.split_at_checked(usize::try_from(u32_at(header, 0)).ok()?)?;
        if record_header(salt, Lsn::new(at), record) != *header {
            return None;
        }
        at += (rest.len() - behind.len()) as u64;
        rest = behind;
        records += 1;
    }
    (records > 0).then_some(records)
}
