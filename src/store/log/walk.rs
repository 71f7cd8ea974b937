//! The way through the frames of a chain of segments, and the judgement on a frame that is not whole.
use memchr::memmem;
use std::sync::Arc;

use super::file::{Files, read_full};
use super::frame::{ALIGN, FRAME_HEADER_BYTES, FrameHeader, Kind, MAGIC};
use super::segment::Segment;
use super::{LogError, Lsn};

const HEADER: usize = FRAME_HEADER_BYTES as usize;
/// Read at once from a segment.
const WINDOW_BYTES: u64 = 1024 * 1024;

/// One step along the log.
pub(super) enum Step<'a> {
    /// A whole frame.
    Frame { header: FrameHeader, body: &'a [u8] },
    /// A part that a repair gave up.
    Gap(Gap),
    /// A frame that was synced once (others follow it) is spoilt. The next step goes on with the next one found.
    Damage(Damage),
    /// The log goes on in a segment that does not exist. There is no next step.
    Missing { base: u64 },
    /// The log ends here. There is no next step.
    End(End),
}

/// A part of one segment that a repair gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    /// The number of the segment in the chain.
    pub segment: usize,
    pub position: u64,
    pub end: u64,
    /// The records in it, where their number is known.
    pub lost: Option<u32>,
    /// The gap is the whole segment: there is nothing of it but its header.
    pub is_void: bool,
}

impl Gap {
    /// Its header, for one that is not a void.
    pub fn header(&self) -> FrameHeader {
        FrameHeader::gap(Lsn::new(self.position), Lsn::new(self.end), self.lost)
    }
}

/// A spoilt frame, and where the next header was found.
#[derive(Debug)]
pub(super) struct Damage {
    pub error: LogError,
    /// The number of the segment in the chain.
    pub segment: usize,
    pub position: u64,
    /// Its header, where that could still be read.
    pub header: Option<FrameHeader>,
    pub next_segment: usize,
    pub next_position: u64,
}

/// Where a log ends.
pub(super) struct End {
    /// The number of the segment in the chain.
    pub segment: usize,
    pub position: u64,
    /// A write that was begun here and is not whole.
    pub unfinished: Option<Unfinished>,
}

/// A write that was begun and is not whole.
pub(super) struct Unfinished {
    /// Its size, where its header can still be read.
    pub bytes: Option<u64>,
}

/// Where a walk is.
pub(super) struct Walk<'a> {
    files: &'a dyn Files,
    chain: &'a [Arc<Segment>],
    segment: usize,
    position: u64,
    /// Where the next segment should begin, and does not.
    missing: Option<u64>,
    window: Window,
}

/// What is at one position.
enum Slot {
    Whole(FrameHeader),
    Gap(Gap),
    /// No header was ever begun here.
    Empty,
    Broken {
        header: Option<FrameHeader>,
        what: &'static str,
    },
}

impl<'a> Walk<'a> {
    /// Begins at the first frame of a chain of at least one segment.
    pub fn new(files: &'a dyn Files, chain: &'a [Arc<Segment>]) -> Self {
        let window = Window { bytes: Vec::new(), base: 0, start: 0 };
        Self { files, chain, segment: 0, position: chain[0].first(), missing: None, window }
    }

    /// The number of the segment the next step looks at.
    pub fn segment(&self) -> usize {
        self.segment
    }

    pub fn step(&mut self) -> Result<Step<'_>, LogError> {
        if let Some(base) = self.missing {
            return Ok(Step::Missing { base });
        }
        let (what, unfinished) = match self.slot()? {
            Slot::Whole(header) => return self.pass(header),
            Slot::Gap(gap) => return Ok(self.skip(gap)),
            Slot::Empty => ("a frame has vanished", None),
            Slot::Broken { header, what } => (what, Some(header)),
        };
        let broken = &self.chain[self.segment];
        let at = self.position;
        // A frame is begun only when the one before it is synced: whatever header follows proves this is damage.
        let Some((segment, position)) = self.next_header()? else {
            let unfinished = unfinished.map(|header| Unfinished { bytes: header.map(|header| header.frame_bytes()) });
            return Ok(Step::End(End { segment: self.segment, position: at, unfinished }));
        };
        let damage = Damage {
            error: LogError::Damaged {
                file: self.files.path(&broken.name()),
                offset: broken.offset(at),
                lsn: Lsn::new(at),
                what,
            },
            segment: self.segment,
            position: at,
            header: unfinished.flatten(),
            next_segment: segment,
            next_position: position,
        };
        (self.segment, self.position) = (segment, position);
        Ok(Step::Damage(damage))
    }

    /// Moves behind a gap. Behind one that ends its segment the log goes on in the next.
    fn skip(&mut self, gap: Gap) -> Step<'_> {
        let end = self.chain[self.segment].end();
        if gap.end < end {
            self.position = gap.end;
        } else if let Some(next) = self.chain.get(self.segment + 1) {
            self.segment += 1;
            self.position = next.first();
        } else {
            // The gap is told first; the next step tells that there is nothing behind it.
            self.missing = Some(end);
        }
        Step::Gap(gap)
    }

    /// Moves behind a whole frame and hands it out.
    fn pass(&mut self, header: FrameHeader) -> Result<Step<'_>, LogError> {
        let segment = &self.chain[self.segment];
        let body_at = self.position + FRAME_HEADER_BYTES;
        if header.kind == Kind::Seal {
            let Some(next) = self.chain.get(self.segment + 1) else {
                return Ok(Step::Missing { base: segment.end() });
            };
            self.segment += 1;
            self.position = next.first();
            return Ok(Step::Frame { header, body: &[] });
        }
        self.position += header.frame_bytes();
        let body = self.window.bytes_at(self.files, segment, body_at, u64::from(header.body_bytes))?;
        Ok(Step::Frame { header, body })
    }

    fn slot(&mut self) -> Result<Slot, LogError> {
        let number = self.segment;
        let segment = &self.chain[number];
        if segment.header.is_void {
            let gap =
                Gap { segment: number, position: segment.header.base, end: segment.end(), lost: None, is_void: true };
            return Ok(Slot::Gap(gap));
        }
        let bytes = self.window.bytes_at(self.files, segment, self.position, FRAME_HEADER_BYTES)?;
        let Some(header) = FrameHeader::decode(bytes, segment.header.salt, Lsn::new(self.position)) else {
            let empty = bytes.iter().all(|&byte| byte == 0);
            let broken = Slot::Broken { header: None, what: "the header of a frame is unreadable" };
            return Ok(if empty { Slot::Empty } else { broken });
        };
        let room = segment.end() - self.position;
        let fits = match header.kind {
            Kind::Seal => header.body_bytes == 0,
            Kind::Gap => header.frame_bytes() <= room,
            Kind::Group | Kind::Mark | Kind::Close => {
                header.frame_bytes() <= room && segment.fits(self.position, header.frame_bytes())
            }
        };
        if !fits || !(header.body_bytes as usize).is_multiple_of(ALIGN) {
            return Ok(Slot::Broken { header: Some(header), what: "a frame names an impossible size" });
        }
        if header.kind == Kind::Gap {
            let (position, end) = (self.position, self.position + header.frame_bytes());
            return Ok(Slot::Gap(Gap { segment: number, position, end, lost: header.lost(), is_void: false }));
        }
        let body_at = self.position + FRAME_HEADER_BYTES;
        let body = self.window.bytes_at(self.files, segment, body_at, u64::from(header.body_bytes))?;
        if !header.matches(body, segment.header.salt) {
            return Ok(Slot::Broken { header: Some(header), what: "a frame does not match its checksum" });
        }
        Ok(Slot::Whole(header))
    }

    /// Looks for any frame header behind the present position, to the end of the chain.
    fn next_header(&mut self) -> Result<Option<(usize, u64)>, LogError> {
        let magic = memmem::Finder::new(&MAGIC);
        for (number, segment) in self.chain.iter().enumerate().skip(self.segment) {
            let here = number == self.segment;
            let mut position = if here { self.position + ALIGN as u64 } else { segment.first() };
            while position + FRAME_HEADER_BYTES <= segment.end() {
                let stretch = (segment.end() - position).min(WINDOW_BYTES);
                let bytes = self.window.bytes_at(self.files, segment, position, stretch)?;
                let mut candidates = magic.find_iter(bytes).filter(|place| place.is_multiple_of(ALIGN));
                let found = candidates.find_map(|place| {
                    let (header, at) = (bytes.get(place..place + HEADER)?, position + place as u64);
                    FrameHeader::decode(header, segment.header.salt, Lsn::new(at)).map(|_| at)
                });
                if let Some(at) = found {
                    return Ok(Some((number, at)));
                }
                // The last header of this stretch may lie across its end.
                position += (stretch - FRAME_HEADER_BYTES) / ALIGN as u64 * ALIGN as u64 + ALIGN as u64;
            }
        }
        Ok(None)
    }
}

/// A stretch of one segment, read ahead.
struct Window {
    bytes: Vec<u8>,
    /// The segment it is of.
    base: u64,
    /// Its position in the log.
    start: u64,
}

impl Window {
    /// The bytes at a position; the caller keeps within the segment. Fewer where they would reach beyond it.
    fn bytes_at(
        &mut self,
        files: &dyn Files,
        segment: &Segment,
        position: u64,
        length: u64,
    ) -> Result<&[u8], LogError> {
        let length = length.min(segment.end() - position);
        let held = self.start + self.bytes.len() as u64;
        if self.base != segment.header.base || position < self.start || position + length > held {
            let ahead = length.max(WINDOW_BYTES).min(segment.end() - position);
            (self.base, self.start) = (segment.header.base, position);
            self.bytes.resize(memory_bytes(ahead), 0);
            let path = || files.path(&segment.name());
            let read = read_full(&*segment.file, &mut self.bytes, segment.offset(position))
                .map_err(LogError::io("read", path()))?;
            self.bytes.truncate(read);
            if (read as u64) < length {
                let (offset, lsn) = (segment.offset(position), Lsn::new(position));
                return Err(LogError::Damaged { file: path(), offset, lsn, what: "the file ends too early" });
            }
        }
        let from = memory_bytes(position - self.start);
        Ok(&self.bytes[from..from + memory_bytes(length)])
    }
}

fn memory_bytes(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a segment is within the memory's address space")
}
