//! Category 9: large messages, many fragments, small pieces, many messages.
//!
//! The suite measures; here only the outcome counts. Cases are built one at a time, because each
//! holds what it sends and what it expects.

use roomcast_bench::ws::frame;

use crate::case::{BINARY, Case, TEXT, fragments};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// One case of category 9.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) number: String,
    first: u8,
    len: usize,
    shape: Shape,
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    Whole,
    /// In frames of so many bytes.
    Fragments(usize),
    /// One frame, in writes of so many bytes.
    Chops(usize),
    /// So many messages, each after the echo of the one before.
    RoundTrips(usize),
}

impl Load {
    pub(crate) fn case(&self) -> Case {
        let payload = self.payload();
        let case = Case::new(&self.number);
        let case = match self.shape {
            Shape::Whole => case.chopped(frame(self.first, &payload), usize::MAX),
            Shape::Chops(chop) => case.chopped(frame(self.first, &payload), chop),
            Shape::Fragments(size) => {
                case.chopped(fragments(self.first, payload.chunks(size)).concat(), usize::MAX)
            }
            Shape::RoundTrips(count) => {
                let frame = frame(self.first, &payload);
                return (0..count).fold(case, |case, _| {
                    case.chopped(frame.clone(), usize::MAX).receive(self.first, payload.clone())
                });
            }
        };
        case.receive(self.first, payload)
    }

    /// What the suite repeats to fill a message.
    fn payload(&self) -> Vec<u8> {
        let pattern: &[u8] = match (self.first, self.shape) {
            (TEXT, Shape::Whole | Shape::Chops(_)) => b"BAsd7&jh23",
            (TEXT, _) => b"*",
            (_, Shape::Whole | Shape::Chops(_)) => b"\x00\xfe\x23\xfa\xf0",
            _ => b"\xfe",
        };
        let mut payload = pattern.repeat(self.len.div_ceil(pattern.len()));
        payload.truncate(self.len);
        payload
    }
}

/// 9.1 and 9.2: one message of up to 16 MiB.
pub(crate) fn large() -> Vec<Load> {
    let sizes = [64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB];
    both_kinds(1, sizes.map(|len| (len, Shape::Whole)))
}

/// 9.3 and 9.4: 4 MiB in ever larger fragments.
pub(crate) fn fragmented() -> Vec<Load> {
    let fragments = [64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB];
    both_kinds(3, fragments.map(|size| (4 * MIB, Shape::Fragments(size))))
}

/// 9.5 and 9.6: 1 MiB in ever larger writes.
pub(crate) fn chopped() -> Vec<Load> {
    let chops = [64, 128, 256, 512, 1024, 2048];
    both_kinds(5, chops.map(|chop| (MIB, Shape::Chops(chop))))
}

/// 9.7 and 9.8: a thousand round trips.
pub(crate) fn round_trips() -> Vec<Load> {
    let sizes = [0, 16, 64, 256, 1024, 4096];
    both_kinds(7, sizes.map(|len| (len, Shape::RoundTrips(1000))))
}

/// The group of text messages, and the next one, of binary messages.
fn both_kinds<const N: usize>(group: u8, shapes: [(usize, Shape); N]) -> Vec<Load> {
    let kinds = [(group, TEXT), (group + 1, BINARY)];
    let load = |group, first, i, (len, shape)| Load { number: format!("9.{group}.{i}"), first, len, shape };
    kinds
        .into_iter()
        .flat_map(|(group, first)| (1..).zip(shapes).map(move |(i, shape)| load(group, first, i, shape)))
        .collect()
}
