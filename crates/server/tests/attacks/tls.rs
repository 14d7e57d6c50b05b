//! TLS for good clients that speak none, and the beginning of a handshake for those who mean no good.

use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore};
use xtask::Authority;

/// What a record of the handshake begins with (RFC 8446, section 5.1).
pub(crate) const HANDSHAKE_RECORD: u8 = 22;

fn config(authority: &Authority) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(PemObject::from_pem_file(authority.file()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    Arc::new(
        builder
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}

/// The first bytes of a client.
pub(crate) fn client_hello(authority: &Authority, name: ServerName<'static>) -> Vec<u8> {
    let mut hello = Vec::new();
    ClientConnection::new(config(authority), name).unwrap().write_tls(&mut hello).unwrap();
    hello
}

/// A port that speaks plain TCP, and TLS to a node.
#[derive(Debug)]
pub(crate) struct TlsBridge {
    port: u16,
    /// Dropped with the bridge, which then ends.
    _stop: oneshot::Sender<()>,
}

impl TlsBridge {
    pub(crate) fn start(node: u16, authority: &Authority) -> Self {
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let connector = TlsConnector::from(config(authority));
        let (stop, stopped) = oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, node, connector) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { port, _stop: stop }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

async fn serve(listener: StdListener, node: u16, connector: TlsConnector) {
    let listener = TcpListener::from_std(listener).unwrap();
    while let Ok((mut plain, _)) = listener.accept().await {
        let connector = connector.clone();
        tokio::spawn(async move {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, node)).await?;
            stream.set_nodelay(true)?;
            plain.set_nodelay(true)?;
            let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
            let mut encrypted = connector.connect(name, stream).await?;
            tokio::io::copy_bidirectional(&mut plain, &mut encrypted).await
        });
    }
}
