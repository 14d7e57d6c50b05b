//! The byte sequences of categories 6.5 to 6.23, in the order of the suite.

use crate::utf8::KOSME;

/// The sequences of one subcategory; whether they are UTF-8.
struct Group(Vec<(bool, Vec<u8>)>);

impl Group {
    fn all<const N: usize>(valid: bool, sequences: [&[u8]; N]) -> Self {
        Self(sequences.into_iter().map(|bytes| (valid, bytes.to_vec())).collect())
    }

    fn valid<const N: usize>(sequences: [&[u8]; N]) -> Self {
        Self::all(true, sequences)
    }

    fn invalid<const N: usize>(sequences: [&[u8]; N]) -> Self {
        Self::all(false, sequences)
    }

    fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

/// Number, whether it is UTF-8, bytes.
pub(crate) fn sequences() -> impl Iterator<Item = (String, bool, Vec<u8>)> {
    (5..).zip(groups()).flat_map(|(i, group)| {
        (1..).zip(group.0).map(move |(j, (valid, bytes))| (format!("6.{i}.{j}"), valid, bytes))
    })
}

fn groups() -> Vec<Group> {
    let mut groups = vec![some_text(), prefixes()];
    groups.extend(borders());
    groups.extend([continuation_bytes(), lonely_starts(), last_byte_missing(), incomplete_in_a_row()]);
    groups.push(Group::invalid([b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"]));
    groups.extend(overlong());
    groups.extend([single_surrogates(), paired_surrogates(), non_characters(), specials()]);
    groups
}

/// 6.5
fn some_text() -> Group {
    Group::valid([
        b"hello\x24world",
        b"hello\xC2\xA2world",
        b"hello\xE2\x82\xACworld",
        b"hello\xF0\xA4\xAD\xA2world",
        KOSME.as_bytes(),
    ])
}

/// 6.6: text that ends within a character is not text.
fn prefixes() -> Group {
    let character_ends = [2, 5, 7, 9, 11];
    let prefix = |len| (character_ends.contains(&len), KOSME.as_bytes()[..len].to_vec());
    Group((1..=KOSME.len()).map(prefix).collect())
}

/// 6.7 to 6.11: the first and last of each length, and what lies beyond Unicode.
fn borders() -> [Group; 5] {
    [
        Group::valid([b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"]),
        Group::invalid([b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"]),
        Group::valid([b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"]),
        Group::invalid([b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"]),
        Group::valid([b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf"])
            .and(Group::invalid([b"\xf4\x90\x80\x80"])),
    ]
}

/// 6.12
fn continuation_bytes() -> Group {
    // The suite leaves the last continuation byte out.
    let nearly_all: Vec<u8> = (0x80..0xbf).collect();
    Group::invalid([
        b"\x80",
        b"\xbf",
        b"\x80\xbf",
        b"\x80\xbf\x80",
        b"\x80\xbf\x80\xbf",
        b"\x80\xbf\x80\xbf\x80",
        b"\x80\xbf\x80\xbf\x80\xbf",
        &nearly_all,
    ])
}

/// 6.13: first bytes of characters of each length, a space after each.
fn lonely_starts() -> Group {
    let ranges = [0xc0..0xdf, 0xe0..0xef, 0xf0..0xf7, 0xf8..0xfb, 0xfc..0xfd_u8];
    Group(ranges.map(|range| (false, range.flat_map(|byte| [byte, b' ']).collect())).into())
}

/// Characters, overlong and not, without their last byte.
const INCOMPLETE: [&[u8]; 10] = [
    b"\xc0",
    b"\xe0\x80",
    b"\xf0\x80\x80",
    b"\xf8\x80\x80\x80",
    b"\xfc\x80\x80\x80\x80",
    b"\xdf",
    b"\xef\xbf",
    b"\xf7\xbf\xbf",
    b"\xfb\xbf\xbf\xbf",
    b"\xfd\xbf\xbf\xbf\xbf",
];

/// 6.14
fn last_byte_missing() -> Group {
    Group::invalid(INCOMPLETE)
}

/// 6.15
fn incomplete_in_a_row() -> Group {
    Group::invalid([&INCOMPLETE.concat()])
}

/// 6.17 to 6.19: more bytes than needed, for a slash, for the last code points, for NUL.
fn overlong() -> [Group; 3] {
    [
        Group::invalid([
            b"\xc0\xaf",
            b"\xe0\x80\xaf",
            b"\xf0\x80\x80\xaf",
            b"\xf8\x80\x80\x80\xaf",
            b"\xfc\x80\x80\x80\x80\xaf",
        ]),
        Group::invalid([
            b"\xc1\xbf",
            b"\xe0\x9f\xbf",
            b"\xf0\x8f\xbf\xbf",
            b"\xf8\x87\xbf\xbf\xbf",
            b"\xfc\x83\xbf\xbf\xbf\xbf",
        ]),
        Group::invalid([
            b"\xc0\x80",
            b"\xe0\x80\x80",
            b"\xf0\x80\x80\x80",
            b"\xf8\x80\x80\x80\x80",
            b"\xfc\x80\x80\x80\x80\x80",
        ]),
    ]
}

/// 6.20
fn single_surrogates() -> Group {
    Group::invalid([
        b"\xed\xa0\x80",
        b"\xed\xad\xbf",
        b"\xed\xae\x80",
        b"\xed\xaf\xbf",
        b"\xed\xb0\x80",
        b"\xed\xbe\x80",
        b"\xed\xbf\xbf",
    ])
}

/// 6.21
fn paired_surrogates() -> Group {
    let high: [&[u8]; 4] = [b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf"];
    let low: [&[u8]; 2] = [b"\xed\xb0\x80", b"\xed\xbf\xbf"];
    Group(high.iter().flat_map(|high| low.map(|low| (false, [*high, low].concat()))).collect())
}

/// 6.22: the last two code points of each of the 17 planes. They are nobody's characters, and are
/// UTF-8 all the same.
fn non_characters() -> Group {
    let ends = (0..=16).flat_map(|plane: u32| [plane << 16 | 0xfffe, plane << 16 | 0xffff]);
    Group(ends.map(|code| (true, char::from_u32(code).unwrap().to_string().into_bytes())).collect())
}

/// 6.23: the end of the block "Specials", with the replacement character.
fn specials() -> Group {
    Group(('\u{fff9}'..='\u{ffff}').map(|char| (true, char.to_string().into_bytes())).collect())
}
