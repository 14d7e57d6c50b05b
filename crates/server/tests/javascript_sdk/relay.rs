//! A relay in front of a node, whose connections can go dead without a word, as those of a laptop that was closed, or of a phone that has
//! changed its network.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// It lives as long as the test.
pub(crate) struct Relay {
    pub(crate) port: u16,
    /// Connections of earlier ages are dead.
    age: Arc<AtomicU64>,
}

impl Relay {
    pub(crate) fn start(node: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let age = Arc::new(AtomicU64::new(0));
        let shared = Arc::clone(&age);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(node) = TcpStream::connect((Ipv4Addr::LOCALHOST, node)) else { continue };
                for (from, to) in [(&client, &node), (&node, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let age = Arc::clone(&shared);
                    std::thread::spawn(move || pass(from, to, &age));
                }
            }
        });
        Self { port, age }
    }

    /// All connections that there are go dead: they stay open, and nothing comes through any more, not even their end.
    pub(crate) fn go_dead(&self) {
        self.age.fetch_add(1, Ordering::Relaxed);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, age: &AtomicU64) {
    let born = age.load(Ordering::Relaxed);
    let is_alive = || age.load(Ordering::Relaxed) == born;
    let mut buffer = [0; 16 * 1024];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        if is_alive() && to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    if is_alive() {
        let _ = to.shutdown(Shutdown::Both);
    }
}
