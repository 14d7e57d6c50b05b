//! What a token grants: the same rooms by a plain definition, `{sub}` never a wildcard, and personal rooms for nobody else.

use std::sync::LazyLock;

use roomcast_protocol::Room;
use roomcast_session::auth::{
    Algorithm, ExpiryRule, Grants, Key, KeySet, PATTERN_BYTES_MAX, PATTERNS_MAX, Rules, SUBJECT_BYTES_MAX, SigningKey,
    Verifier, sign,
};
use serde_json::json;

const SECRET: &[u8] = &[7; 32];

static SIGNING: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::read(Algorithm::HS256, SECRET).expect("a secret of 32 bytes"));

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let key = Key::read(Algorithm::HS256, None, SECRET).expect("a secret of 32 bytes");
    let rules = Rules { issuer: None, audiences: Vec::new(), leeway_s: 0, expiry: ExpiryRule::Optional };
    Verifier::new(rules, KeySet::new(vec![key]))
});

/// Lines: the user (empty: none), a room, and the patterns.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let user = lines.next().filter(|user| !user.is_empty());
    let Some(Ok(room)) = lines.next().map(Room::parse) else { return };
    let patterns: Vec<&str> = lines.collect();
    let claims = |rooms| json!({"sub": user, "rooms": rooms});
    let list = claims(json!({"publish": patterns, "presence": patterns, "history": patterns, "subscribe": patterns}));
    let Some(granted) = grants(&list) else {
        let user_is_right = user.is_none_or(|user| user.len() <= SUBJECT_BYTES_MAX && !user.contains(char::is_control));
        let fits = patterns.len() <= PATTERNS_MAX && patterns.iter().all(|pattern| is_pattern(pattern));
        let is_long = list.to_string().len() > 6000;
        assert!(!user_is_right || !fits || is_long, "{list}");
        return;
    };
    assert!(patterns.iter().all(|pattern| is_pattern(pattern)), "{list}");
    let own = room.as_str().strip_prefix('@').is_some_and(|owner| user == Some(owner));
    let reachable = own || !room.as_str().starts_with('@');
    let expected = reachable && patterns.iter().any(|pattern| covers(pattern, room.as_str(), user));
    assert_eq!(may(&granted, &room), [own || expected, expected, expected, expected], "{list} {room}");
    // Without any list there is the user's own room.
    let nothing = grants(&claims(json!({}))).expect("a token without patterns");
    assert_eq!(may(&nothing, &room), [own, false, false, false], "{list} {room}");
}

/// What a node grants to who bears a token with these claims.
fn grants(claims: &serde_json::Value) -> Option<Grants> {
    let token = sign(&SIGNING, None, claims).expect("a signature");
    VERIFIER.verify(&token, 0).ok().map(|identity| identity.grants)
}

/// Subscribe, publish, presence, history.
fn may(grants: &Grants, room: &Room) -> [bool; 4] {
    [
        grants.may_subscribe(room),
        grants.may_publish(room),
        grants.may_see_presence(room),
        grants.may_read_history(room),
    ]
}

fn is_pattern(text: &str) -> bool {
    let without = text.split("{sub}").collect::<Vec<_>>().concat();
    text.len() <= PATTERN_BYTES_MAX && !without.contains('{') && !without.contains('}')
}

#[derive(Clone, Copy, PartialEq)]
enum Piece {
    Any,
    Byte(u8),
}

/// By the definition: the pattern's pieces against all beginnings of the name, one after the other.
fn covers(pattern: &str, name: &str, user: Option<&str>) -> bool {
    let mut pieces = Vec::new();
    for (i, part) in pattern.split("{sub}").enumerate() {
        if i > 0 {
            let Some(user) = user else { return false };
            pieces.extend(user.bytes().map(Piece::Byte));
        }
        pieces.extend(part.bytes().map(|byte| if byte == b'*' { Piece::Any } else { Piece::Byte(byte) }));
    }
    let name = name.as_bytes();
    // Which beginnings of the name the pieces so far cover.
    let mut covered = vec![false; name.len() + 1];
    covered[0] = true;
    for piece in pieces {
        covered = (0..=name.len())
            .map(|end| match piece {
                Piece::Any => covered[..=end].contains(&true),
                Piece::Byte(byte) => end > 0 && covered[end - 1] && name[end - 1] == byte,
            })
            .collect();
    }
    covered[name.len()]
}
