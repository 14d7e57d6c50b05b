//! Checks of rooms that keep history.

use std::future::Future;
use std::sync::Arc;

use roomcast_protocol::{EventName, Payload, PayloadKind, Position, Publication};

use super::{KEPT, Node, plain, room};
use crate::{HistoryPage, PAGE_BYTES_MAX, PAGE_MESSAGES_MAX};

/// Runs every check about history, each on a fresh cluster.
pub(super) async fn suite<F, C>(cluster: &mut F)
where
    F: FnMut() -> C,
    C: Future<Output = Vec<Node>>,
{
    positions_are_contiguous_and_travel_along(cluster().await).await;
    history_has_what_was_published(cluster().await).await;
    history_is_trimmed(cluster().await).await;
    a_key_is_published_once(cluster().await).await;
    rooms_without_history_have_no_ids(cluster().await).await;
    pages_are_bounded_in_bytes(cluster().await).await;
    concurrent_publishers_share_one_numbering(cluster().await).await;
}

async fn publish(node: &Node, name: &str, text: &str) -> Option<Position> {
    node.broker.publish(plain(name, text.to_owned()), None).await.expect("published")
}

async fn page(node: &Node, name: &str, after: Option<Position>, limit: usize) -> HistoryPage {
    node.broker.history(room(name), after, limit).await.expect("read")
}

fn texts(page: &HistoryPage) -> Vec<String> {
    page.messages.iter().map(|m| String::from_utf8_lossy(&m.payload.bytes).into_owned()).collect()
}

async fn positions_are_contiguous_and_travel_along(mut nodes: Vec<Node>) {
    let last = nodes.len() - 1;
    nodes[last].subscribe(&[room("kept:a")]).await;
    let mut before: Option<Position> = None;
    for i in 0..10 {
        let position = publish(&nodes[0], "kept:a", &i.to_string()).await.expect("a position");
        if let Some(before) = before {
            assert_eq!(position, Position { epoch: before.epoch, offset: before.offset + 1 });
        } else {
            assert_eq!(position.offset, 0, "an epoch begins at 0");
        }
        let got = nodes[last].publication().await;
        assert_eq!((got.position, &got.payload.bytes[..]), (Some(position), i.to_string().as_bytes()));
        before = Some(position);
    }
}

async fn history_has_what_was_published(mut nodes: Vec<Node>) {
    let last = nodes.len() - 1;
    nodes[last].subscribe(&[room("kept:a")]).await;
    let empty = page(&nodes[last], "kept:a", None, 10).await;
    assert!(empty.top.is_none() && !empty.gone && empty.messages.is_empty());
    let sent = Publication {
        event: EventName::parse("e").expect("valid"),
        user: Some("u".into()),
        published_us: Some(17),
        ..Publication::plain(room("kept:a"), Payload::new(PayloadKind::Bytes, &b"\0\xff\r\n"[..]))
    };
    nodes[0].broker.publish(sent, None).await.expect("published");
    let heard = nodes[last].publication().await;
    let read = page(&nodes[last], "kept:a", None, 10).await;
    assert_eq!(
        read,
        HistoryPage { top: heard.position, gone: false, first_epoch: true, messages: vec![heard] }
    );

    for i in 0..9 {
        publish(&nodes[0], "kept:a", &i.to_string()).await;
    }
    let top = page(&nodes[last], "kept:a", None, 0).await.top.expect("a top");
    let at = |offset| Some(Position { offset, ..top });
    assert_eq!(top.offset, 9);
    assert_eq!(texts(&page(&nodes[last], "kept:a", None, 3).await), ["6", "7", "8"]);
    assert_eq!(texts(&page(&nodes[last], "kept:a", at(6), 2).await), ["6", "7"]);
    assert_eq!(texts(&page(&nodes[last], "kept:a", at(9), 2).await), Vec::<String>::new());
    let after_the_end = page(&nodes[last], "kept:a", at(99), 2).await;
    assert_eq!((after_the_end.top, after_the_end.messages.len()), (Some(top), 0));
    assert!(!after_the_end.continues(Position { offset: 99, ..top }));
    let all = page(&nodes[last], "kept:a", Some(Position::BEFORE_EVERYTHING), PAGE_MESSAGES_MAX * 2).await;
    assert_eq!(all.messages.len(), 10);
    assert!(all.continues(Position::BEFORE_EVERYTHING));
}

async fn history_is_trimmed(nodes: Vec<Node>) {
    for i in 0..KEPT + 20 {
        publish(&nodes[0], "kept:t", &i.to_string()).await;
    }
    let read = page(&nodes[0], "kept:t", Some(Position::BEFORE_EVERYTHING), PAGE_MESSAGES_MAX).await;
    assert_eq!(read.messages.len(), KEPT);
    assert_eq!(texts(&read)[0], "20");
    assert!(!read.continues(Position::BEFORE_EVERYTHING), "the beginning is gone");
}

async fn a_key_is_published_once(mut nodes: Vec<Node>) {
    let last = nodes.len() - 1;
    for name in ["kept:k", "unkept:k"] {
        nodes[last].subscribe(&[room(name)]).await;
        let key = || Some("order 7".to_owned());
        let first = nodes[0].broker.publish(plain(name, "once"), key()).await.expect("published");
        let again = nodes[last].broker.publish(plain(name, "twice"), key()).await.expect("answered");
        assert_eq!(first, again);
        assert_eq!(first.is_some(), name == "kept:k");
        nodes[0].broker.publish(plain("kept:other", "x"), key()).await.expect("another room's key");
        let heard = nodes[last].until_probe(1).await;
        assert_eq!(heard.iter().filter(|p| p.room == room(name)).count(), 1);
    }
}

async fn rooms_without_history_have_no_ids(nodes: Vec<Node>) {
    assert_eq!(publish(&nodes[0], "unkept:a", "x").await, None);
    let nothing = page(&nodes[0], "unkept:a", None, 10).await;
    assert!(nothing.top.is_none() && nothing.messages.is_empty());
    assert_eq!(nodes[0].broker.retention(&room("unkept:a")), None);
    assert_eq!(nodes[0].broker.retention(&room("kept:a")).map(|r| r.messages), Some(KEPT));
}

async fn pages_are_bounded_in_bytes(nodes: Vec<Node>) {
    let large = "x".repeat(PAGE_BYTES_MAX / 3);
    for i in 0..5 {
        publish(&nodes[0], "kept:b", &format!("{i}{large}")).await;
    }
    publish(&nodes[0], "kept:b", &"y".repeat(PAGE_BYTES_MAX * 2)).await;
    let first =
        |page: &HistoryPage| texts(page).iter().map(|text| text[..1].to_owned()).collect::<Vec<_>>().concat();
    let newest = page(&nodes[0], "kept:b", None, 10).await;
    assert_eq!(first(&newest), "y", "one is always given, however large");
    let oldest = page(&nodes[0], "kept:b", Some(Position::BEFORE_EVERYTHING), 10).await;
    assert_eq!(first(&oldest), "01");
    let next = page(&nodes[0], "kept:b", oldest.messages.last().and_then(|m| m.position), 10).await;
    assert_eq!(first(&next), "23");
}

async fn concurrent_publishers_share_one_numbering(mut nodes: Vec<Node>) {
    const EACH: u64 = 100;
    let last = nodes.len() - 1;
    nodes[last].subscribe(&[room("kept:c")]).await;
    let publishers: Vec<_> = (0..4)
        .map(|p| {
            let broker = Arc::clone(&nodes[p % nodes.len()].broker);
            tokio::spawn(async move {
                for i in 0..EACH {
                    broker.publish(plain("kept:c", format!("{p} {i}")), None).await.expect("published");
                }
            })
        })
        .collect();
    for offset in 0..4 * EACH {
        assert_eq!(nodes[last].publication().await.position.map(|p| p.offset), Some(offset));
    }
    for publisher in publishers {
        publisher.await.expect("no publisher fails");
    }
}
