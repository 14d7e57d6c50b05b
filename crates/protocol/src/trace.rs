//! Which trace a message belongs to (W3C Trace Context), for those who follow single messages through the cluster.

/// A sampled span: what its children name as their parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace; never all zeros.
    pub trace_id: [u8; 16],
    /// The span in it; never all zeros.
    pub span_id: [u8; 8],
}

/// What a request says in `traceparent` (W3C Trace Context, section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The caller's span.
    pub context: TraceContext,
    /// The caller records this trace, and asks others to.
    pub sampled: bool,
}

impl TraceContext {
    /// Bytes of the binary form: the trace, then the span.
    pub const BYTES: usize = 24;

    /// The binary form.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..16].copy_from_slice(&self.trace_id);
        bytes[16..].copy_from_slice(&self.span_id);
        bytes
    }

    /// Reads the binary form; none where an id is all zeros, which stands for none.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Option<Self> {
        let (mut trace_id, mut span_id) = ([0; 16], [0; 8]);
        trace_id.copy_from_slice(&bytes[..16]);
        span_id.copy_from_slice(&bytes[16..]);
        (trace_id != [0; 16] && span_id != [0; 8]).then_some(Self { trace_id, span_id })
    }
}

impl TraceParent {
    /// Reads the header's value. Later versions may have more behind what is known; anything else is none.
    pub fn parse(value: &str) -> Option<Self> {
        let mut parts = value.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_first = version == "00";
        if hex::<1>(version)? == [0xff] || (is_first && parts.next().is_some()) {
            return None;
        }
        let (trace, span) = (hex::<16>(trace)?, hex::<8>(span)?);
        let mut bytes = [0; TraceContext::BYTES];
        bytes[..16].copy_from_slice(&trace);
        bytes[16..].copy_from_slice(&span);
        let sampled = hex::<1>(flags)?[0] & 1 == 1;
        Some(Self { context: TraceContext::from_bytes(bytes)?, sampled })
    }
}

/// Exactly so many bytes in lower-case hexadecimal.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parent = TraceParent::parse(good).unwrap();
        assert!(parent.sampled && parent.context.trace_id[0] == 0x4b && parent.context.span_id[7] == 0xb7);
        assert_eq!(TraceContext::from_bytes(parent.context.to_bytes()), Some(parent.context));
        assert!(!TraceParent::parse(&good.replace("-01", "-00")).unwrap().sampled);
        assert!(TraceParent::parse(&good.replacen("00", "01", 1).replace("-01", "-01-more")).is_some());
        for wrong in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902é7-01",
        ] {
            assert_eq!(TraceParent::parse(wrong), None, "{wrong}");
        }
    }
}
