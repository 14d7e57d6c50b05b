//! Every rule in both directions.

use roomcast_protocol::NodeId;

use super::*;
use crate::auth::Grants;
use crate::settings::{Namespace, Namespaces};

fn settings() -> Settings {
    let namespace = |publish, subscribe| Namespace {
        max_message_bytes: 10,
        publish,
        subscribe,
        presence: true,
        ..Namespace::default()
    };
    let named = [
        ("news", namespace(PublishRule::Server, SubscribeRule::Token)),
        ("wall", namespace(PublishRule::Anyone, SubscribeRule::Anyone)),
        ("dark", Namespace { presence: false, ..namespace(PublishRule::Token, SubscribeRule::Token) }),
    ];
    let default = namespace(PublishRule::Token, SubscribeRule::Token);
    let named = named.map(|(name, namespace)| (name.to_owned(), namespace)).into();
    Settings::for_tests(2, Namespaces { default, named })
}

const ID: ConnectionId = ConnectionId { node: NodeId(1), serial: 1 };

/// A user whose token grants everything in rooms `a…` and `news:…`.
fn alice() -> Identity {
    let list = r#"["a*","news:*","dark:*","@bob"]"#;
    let claims = format!(
        r#"{{"sub":"alice","rooms":{{"subscribe":{list},"publish":{list},"presence":{list},"history":{list}}}}}"#
    );
    crate::auth::identity_of_claims(&claims).unwrap()
}

fn open() -> Identity {
    Identity::anonymous(Grants::everything())
}

fn nobody() -> Identity {
    Identity::anonymous(Grants::nothing())
}

fn draft(room: &Room, len: usize, echo: bool) -> Draft {
    let payload = Payload::untyped(vec![b'x'; len]);
    Draft { room: room.clone(), event: None, payload, echo }
}

use ErrorCode::{Forbidden, NotFound, RoomLimit, Unauthorized};

#[test]
fn what_is_granted_is_allowed_and_nothing_else() {
    let (alice, open, nobody) = (alice(), open(), nobody());
    // Who, room; then subscribe, publish, presence, history: None is allowed.
    let cases = [
        (&open, "a", [None; 4]),
        (&open, "wall:1", [None; 4]),
        (&open, "news:1", [None, Some(Forbidden), None, None]),
        (&open, "dark:1", [None, None, Some(NotFound), None]),
        (&open, "@alice", [Some(Forbidden), None, Some(Forbidden), Some(Forbidden)]),
        (&nobody, "a", [Some(Unauthorized); 4]),
        (&nobody, "wall:1", [None, None, Some(Unauthorized), Some(Unauthorized)]),
        (&nobody, "news:1", [Some(Unauthorized), Some(Forbidden), Some(Unauthorized), Some(Unauthorized)]),
        (&nobody, "@alice", [Some(Unauthorized); 4]),
        (&alice, "a", [None; 4]),
        (&alice, "abc:1", [None; 4]),
        (&alice, "b", [Some(Forbidden); 4]),
        (&alice, "wall:1", [None, None, Some(Forbidden), Some(Forbidden)]),
        (&alice, "news:1", [None, Some(Forbidden), None, None]),
        (&alice, "dark:1", [None, None, Some(NotFound), None]),
        (&alice, "@alice", [None, Some(Forbidden), Some(Forbidden), Some(Forbidden)]),
        (&alice, "@bob", [Some(Forbidden); 4]),
    ];
    let settings = settings();
    for (identity, name, expected) in cases {
        let room = Room::parse(name).unwrap();
        let client = Client { identity, connection: None };
        let results = [
            may_subscribe(&settings, identity, &room, 0),
            publication(&settings, client, draft(&room, 1, true), 7).map(drop),
            may_see_presence(&settings, identity, &room),
            may_read_history(identity, &room),
        ];
        let codes = results.map(|result| result.err().map(|refusal| refusal.code));
        assert_eq!(codes, expected, "{:?} {name}", identity.user);
    }
}

#[test]
fn rooms_of_one_connection_are_counted() {
    let (settings, alice) = (settings(), alice());
    let cases = [("a", 1, None), ("a", 2, Some(RoomLimit)), ("b", 2, Some(Forbidden)), ("@alice", 2, None)];
    for (room, joined, expected) in cases {
        let result = may_subscribe(&settings, &alice, &Room::parse(room).unwrap(), joined);
        assert_eq!(result.err().map(|refusal| refusal.code), expected, "{room} {joined}");
    }
}

#[test]
fn publications_say_who_sent_them_and_who_must_not_get_them() {
    let (settings, alice, room) = (settings(), alice(), Room::parse("a").unwrap());
    let client = Client { identity: &alice, connection: Some(ID) };
    let publish = |draft| publication(&settings, client, draft, 7);
    assert_eq!(publish(draft(&room, 10, false)).unwrap().except, Some(ID));
    let sent = publish(draft(&room, 10, true)).unwrap();
    assert_eq!((sent.except, sent.user.as_deref(), sent.published_us), (None, Some("alice"), Some(7)));
    assert_eq!(publish(draft(&room, 11, true)).unwrap_err().code, ErrorCode::TooLarge);
}
