//! A pipe in front of the program that keeps every byte that the program sends.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};

use super::walk::Heard;

pub(crate) struct Tap {
    port: u16,
}

impl Tap {
    /// Listens, and passes everything on to `port`.
    pub(crate) async fn open(port: u16, heard: Heard) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let own = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let heard = heard.clone();
                tokio::spawn(async move {
                    let Ok(program) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    let ((mut from, mut to), (mut answers, mut asks)) = (client.into_split(), program.into_split());
                    tokio::spawn(async move { copy(&mut from, &mut asks).await });
                    let number = {
                        let mut heard = heard.lock().unwrap();
                        heard.push(("bytes of a connection".into(), Vec::new()));
                        heard.len() - 1
                    };
                    let mut part = vec![0; 16 << 10];
                    while let Ok(length @ 1..) = answers.read(&mut part).await {
                        heard.lock().unwrap()[number].1.extend_from_slice(&part[..length]);
                        if to.write_all(&part[..length]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { port: own }
    }

    pub(crate) fn mcp_url(&self) -> String {
        format!("http://127.0.0.1:{}/mcp", self.port)
    }
}
