//! Which servers are trusted, and which clients a server trusts.

use std::time::Duration;

use xtask::authority::Issued;
use xtask::{Authority, Redis, free_port};

use super::*;
use crate::{RedisTlsFiles, inspect};

struct Server {
    _redis: Redis,
    port: u16,
}

/// A server with TLS, which asks for client certificates of the same authority.
fn server(authority: &Authority, subjects: &[&str]) -> Server {
    let Issued { certificate, key } = authority.issue("redis", subjects, 2050).unwrap();
    let port = free_port();
    let files = [certificate, key, authority.file()].map(|path| path.display().to_string());
    let arguments = [
        ["--tls-port", &port.to_string()],
        ["--tls-cert-file", &files[0]],
        ["--tls-key-file", &files[1]],
        ["--tls-ca-cert-file", &files[2]],
    ];
    Server { _redis: Redis::start_with(&arguments.concat()).unwrap(), port }
}

fn files(trusted: &Authority, issuer: &Authority) -> RedisTlsFiles {
    let Issued { certificate, key } = issuer.issue("client", &["a client"], 2050).unwrap();
    RedisTlsFiles { ca: Some(trusted.file()), identity: Some((certificate, key)) }
}

/// What our own connections and those of the `redis` crate get.
async fn both(server: &Server, host: &str, files: RedisTlsFiles) -> [Result<(), String>; 2] {
    let url = format!("rediss://{host}:{}", server.port);
    let config = RedisConfig::new(&url, "room:", Duration::from_secs(10)).unwrap().with_tls(files).unwrap();
    [own(&config).await.map_err(|error| error.to_string()), inspect(&config).await.map(|_| ())]
}

/// A refused client certificate is heard of only when the server is read from (RFC 8446, section 4.4.2.4).
async fn own(config: &RedisConfig) -> io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut socket = Socket::connect(config).await?;
    socket.write_all(b"PING\r\n").await?;
    socket.flush().await?;
    let mut answer = [0; 7];
    socket.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"+PONG\r\n");
    Ok(())
}

#[tokio::test]
async fn only_the_right_server_is_trusted() {
    let [ours, foreign] = [(); 2].map(|()| Authority::new().unwrap());
    let server = server(&ours, &["localhost", "127.0.0.1"]);
    for host in ["localhost", "127.0.0.1"] {
        assert_eq!(both(&server, host, files(&ours, &ours)).await, [Ok(()), Ok(())]);
    }
    for result in both(&server, "127.0.0.2", files(&ours, &ours)).await {
        let error = result.unwrap_err();
        assert!(error.contains("not valid for name") || error.contains("refused"), "{error}");
    }
    for result in both(&server, "localhost", files(&foreign, &ours)).await {
        let error = result.unwrap_err();
        assert!(error.contains("invalid peer certificate"), "{error}");
    }
    // The other way round: the server asks who we are.
    let nobody = RedisTlsFiles { identity: None, ..files(&ours, &ours) };
    for stranger in [nobody, files(&ours, &foreign)] {
        for result in both(&server, "localhost", stranger).await {
            assert!(result.is_err(), "the server does not take it");
        }
    }
}

#[tokio::test]
async fn the_name_of_the_server_is_verified() {
    let authority = Authority::new().unwrap();
    let server = server(&authority, &["another.example"]);
    for result in both(&server, "localhost", files(&authority, &authority)).await {
        let error = result.unwrap_err();
        assert!(error.contains("not valid for name"), "{error}");
    }
}
