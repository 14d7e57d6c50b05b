//! Categories 12 and 13: compressed messages there and back (permessage-deflate, RFC 7692).
//!
//! The suite reads its messages from five files; here data of the same kind and length is made up. Of each size it sends a thousand
//! messages, each after the echo of the one before: [`Compressed::run`] is told how many.

use miniz_oxide::inflate::decompress_to_vec;
use roomcast_bench::ws::frame;
use roomcast_bench::{Frame, WsClient};

use crate::case::{BINARY, Case, Chop, FIN, PING, PONG, TEXT};
use crate::deflate::{RSV1, TAIL, compressed};
use crate::run::{MESSAGE_BYTES_MAX, Outcome};

/// How many messages a case of the suite sends.
pub(crate) const MESSAGES: usize = 1000;

/// What the server compresses by default, in bytes.
const THRESHOLD: usize = 256;

/// What the server answers to offers that it accepts, before what it says of its window.
const ANSWER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// Data of a kind; the length is that of the suite's file.
#[derive(Debug, Clone, Copy)]
struct Data {
    first: u8,
    len: usize,
    make: fn(&mut Numbers) -> Vec<u8>,
}

const JSON: Data = Data { first: TEXT, len: 194_056, make: json };
const BITMAP: Data = Data { first: BINARY, len: 263_222, make: bitmap };
const DRAMA: Data = Data { first: BINARY, len: 222_218, make: drama };
const HTML: Data = Data { first: TEXT, len: 263_527, make: html };
const PDF: Data = Data { first: BINARY, len: 1_042_328, make: pdf };

/// Size of a message, and of its frames where it is cut.
const SIZES: [(usize, usize); 18] = [
    (16, usize::MAX),
    (64, usize::MAX),
    (256, usize::MAX),
    (1024, usize::MAX),
    (4096, usize::MAX),
    (8192, usize::MAX),
    (16_384, usize::MAX),
    (32_768, usize::MAX),
    (65_536, usize::MAX),
    (131_072, usize::MAX),
    (8192, 256),
    (16_384, 256),
    (32_768, 256),
    (65_536, 256),
    (131_072, 256),
    (131_072, 1024),
    (131_072, 4096),
    (131_072, 32_768),
];

/// What the suite's clients can do, which stands in each of their offers.
macro_rules! offer {
    ($more:literal) => {
        concat!("permessage-deflate; client_no_context_takeover; client_max_window_bits", $more)
    };
}

/// 13: offers that the suite makes, and what the server says of its window.
const OFFERS: [(&str, &str); 7] = [
    (offer!(""), ""),
    (offer!("; server_no_context_takeover"), ""),
    (offer!("; server_max_window_bits=9"), "; server_max_window_bits=9"),
    (offer!("; server_max_window_bits=15"), "; server_max_window_bits=15"),
    (offer!("; server_no_context_takeover; server_max_window_bits=9"), "; server_max_window_bits=9"),
    (offer!("; server_no_context_takeover; server_max_window_bits=15"), "; server_max_window_bits=15"),
    (
        concat!(
            offer!("; server_no_context_takeover; server_max_window_bits=9"),
            ", ",
            offer!("; server_no_context_takeover"),
            ", ",
            offer!("")
        ),
        "; server_max_window_bits=9",
    ),
];

/// One case of category 12 or 13.
#[derive(Debug)]
pub(crate) struct Compressed {
    pub(crate) number: String,
    data: Data,
    len: usize,
    fragment: usize,
    /// What the client offers.
    pub(crate) offer: &'static str,
    window: &'static str,
}

/// 12: five kinds of data.
pub(crate) fn kinds() -> Vec<Compressed> {
    let kinds = [JSON, BITMAP, DRAMA, HTML, PDF];
    let all = (1..).zip(kinds).flat_map(|(group, data)| group_of(12, group, data, OFFERS[0]));
    all.collect()
}

/// 13: seven offers.
pub(crate) fn offers() -> Vec<Compressed> {
    (1..).zip(OFFERS).flat_map(|(group, offer)| group_of(13, group, JSON, offer)).collect()
}

fn group_of(
    category: u8,
    group: u8,
    data: Data,
    (offer, window): (&'static str, &'static str),
) -> impl Iterator<Item = Compressed> {
    (1..).zip(SIZES).map(move |(i, (len, fragment))| {
        let number = format!("{category}.{group}.{i}");
        Compressed { number, data, len, fragment, offer, window }
    })
}

impl Compressed {
    /// As many messages as have so many bytes together, and a few in any case.
    pub(crate) fn messages_of(&self, bytes: usize) -> usize {
        (bytes / self.len).clamp(3, 100)
    }

    /// Sends so many messages, each after the echo of the one before.
    pub(crate) fn run(&self, client: &mut WsClient, messages: usize) -> Outcome {
        let expected = format!("{ANSWER}{}", self.window);
        if client.extensions() != Some(&*expected) {
            return Err(format!("agreed on {:?} instead of {expected:?}", client.extensions()));
        }
        let data = (self.data.make)(&mut Numbers(1));
        assert_eq!(data.len(), self.data.len);
        let mut bytes = data.iter().copied().cycle();
        for count in 0..messages {
            let message: Vec<u8> = bytes.by_ref().take(self.len).collect();
            let frames = frames(self.data.first, &message, self.fragment);
            client.send_bytes(&frames).map_err(|error| format!("cannot send: {error}"))?;
            let echo = client.message().map_err(|error| format!("message {count}: {error}"))?;
            self.check(&echo, &message).map_err(|error| format!("message {count}: {error}"))?;
        }
        Ok(())
    }

    fn check(&self, echo: &Frame, message: &[u8]) -> Outcome {
        let came_compressed = echo.first & RSV1 != 0;
        let inflated = if came_compressed { inflated(&echo.payload) } else { echo.payload.clone() };
        if echo.first & !RSV1 != self.data.first || inflated != message {
            return Err(format!("{:#04x} of {} bytes is not the message", echo.first, inflated.len()));
        }
        // JSON and HTML become shorter, unless they are not worth it.
        if self.data.first == TEXT && came_compressed != (self.len >= THRESHOLD) {
            return Err(format!("{} bytes came as {}", self.len, echo.payload.len()));
        }
        Ok(())
    }
}

/// The message in the payload of a compressed frame.
fn inflated(payload: &[u8]) -> Vec<u8> {
    // An empty last block shows the decoder the end.
    decompress_to_vec(&[payload, &TAIL, &[0x01], &TAIL].concat()).unwrap()
}

/// A message in frames whose payloads have so many bytes, compressed; `first` is the first byte of a plain one.
fn frames(first: u8, message: &[u8], bytes: usize) -> Vec<u8> {
    let payload = compressed(message);
    let count = payload.len().div_ceil(bytes);
    let frame = |(place, part): (usize, &[u8])| {
        let fin = if place + 1 == count { 0x80 } else { 0 };
        let opcode = if place == 0 { RSV1 | first & 0x0f } else { 0 };
        frame(fin | opcode, part)
    };
    payload.chunks(bytes).enumerate().flat_map(frame).collect()
}

/// What the suite leaves out, where compression was agreed.
pub(crate) fn beyond() -> Vec<Case> {
    let one =
        |name: &str, first: u8, payload: &[u8]| Case::new(name).send(Chop::Whole, &[frame(first, payload)]);
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let ended = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    let (front, back) = hello.split_at(3);
    let bomb = compressed(&vec![0; MESSAGE_BYTES_MAX + 1]);
    let just = vec![b'x'; MESSAGE_BYTES_MAX];
    let fragments = [frame(RSV1 | TEXT & !FIN, front), frame(PING, b"between"), frame(FIN, back)];
    vec![
        // RFC 7692, section 7.2.3: its examples.
        one("one block", RSV1 | TEXT, &hello).receive(TEXT, "Hello"),
        one("a final block", RSV1 | TEXT, &ended).receive(TEXT, "Hello"),
        one("an empty message", RSV1 | BINARY, &[0]).receive(BINARY, ""),
        one("nothing at all", RSV1 | TEXT, &[]).receive(TEXT, ""),
        one("not compressed", TEXT, b"Hello").receive(TEXT, "Hello"),
        Case::new("fragments with a ping between, octet by octet")
            .send(Chop::Octets, &fragments)
            .receive(PONG, "between")
            .receive(TEXT, "Hello"),
        // Section 6: the bit belongs to the first frame of a message.
        Case::new("bit on a continuation")
            .send(Chop::Whole, &[frame(RSV1 | TEXT & !FIN, front), frame(RSV1 | FIN, back)])
            .failed(1002),
        one("bit on a ping", RSV1 | PING, b"").failed(1002),
        one("another bit", 0x20 | TEXT, b"").failed(1002),
        // Section 7.1.1.2: nothing of the message before may be referred to.
        Case::new("refers to the message before")
            .send(Chop::Whole, &[frame(RSV1 | TEXT, &hello)])
            .receive(TEXT, "Hello")
            .send(Chop::Whole, &[frame(RSV1 | TEXT, &[0xf2, 0x00, 0x11, 0x00, 0x00])])
            .failed(1007),
        one("not DEFLATE", RSV1 | TEXT, b"Hello").failed(1007),
        one("cut off", RSV1 | TEXT, front).failed(1007),
        one("not UTF-8 once it is inflated", RSV1 | TEXT, &compressed(b"a\xff")).failed(1007),
        one("the same in bytes", RSV1 | BINARY, &compressed(b"a\xff")).receive(BINARY, b"a\xff"),
        one("too large once it is inflated", RSV1 | BINARY, &bomb).failed(1009),
        one("just not too large, and not compressed again", RSV1 | TEXT, &compressed(&just))
            .receive(TEXT, just),
    ]
}

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// Pieces of text until there is as much as there has to be.
fn repeated(len: usize, mut piece: impl FnMut() -> String) -> Vec<u8> {
    let mut text = String::new();
    while text.len() < len {
        text += &piece();
    }
    text.truncate(len);
    text.into_bytes()
}

fn json(numbers: &mut Numbers) -> Vec<u8> {
    repeated(JSON.len, || {
        let [id, age, balance] = [1_000_000, 60, 4000].map(|below| numbers.next(below));
        format!("  {{\"id\": {id}, \"isActive\": true, \"age\": {age}, \"balance\": \"${balance}.00\"}},\n")
    })
}

fn html(numbers: &mut Numbers) -> Vec<u8> {
    repeated(HTML.len, || {
        let id = numbers.next(100_000);
        format!("<li class=\"item\"><a href=\"/page/{id}.html\">Page {id}</a></li>\n")
    })
}

fn drama(numbers: &mut Numbers) -> Vec<u8> {
    const WORDS: [&str; 12] = [
        "Habe",
        "nun",
        "ach",
        "Philosophie",
        "Juristerei",
        "und",
        "Medizin",
        "leider",
        "auch",
        "mit",
        "heiss",
        "Bemuehn",
    ];
    repeated(DRAMA.len, || {
        format!("{}{}", WORDS[numbers.next(12) as usize], [" ", ",\n"][numbers.next(2) as usize])
    })
}

/// A head, and grey values that change little from one to the next.
fn bitmap(numbers: &mut Numbers) -> Vec<u8> {
    let mut pixel = 128_u8;
    let pixels = std::iter::repeat_with(|| {
        pixel = pixel.wrapping_add(numbers.next(3) as u8).wrapping_sub(1);
        pixel
    });
    b"BM".iter().copied().chain(pixels).take(BITMAP.len).collect()
}

/// Noise, as compressed streams are, between objects.
fn pdf(numbers: &mut Numbers) -> Vec<u8> {
    let mut out = b"%PDF-1.4\n".to_vec();
    while out.len() < PDF.len {
        out.extend_from_slice(b"endstream\nendobj\n<< /Length 4000 /Filter /FlateDecode >>\nstream\n");
        out.extend((0..4000).map(|_| numbers.next(256) as u8));
    }
    out.truncate(PDF.len);
    out
}
