//! A mail server that takes everything and keeps it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::town::acceptor;

/// Listens until the runtime ends.
pub(crate) struct MailServer {
    pub(crate) address: SocketAddr,
    /// Every line of every conversation that got as far as a mail, one text for each mail.
    pub(crate) mails: Arc<Mutex<Vec<String>>>,
}

impl MailServer {
    /// Takes mail once the connection is wrapped.
    pub(crate) async fn behind_tls() -> Self {
        Self::listening(true).await
    }

    /// Takes mail in plain.
    pub(crate) async fn plain() -> Self {
        Self::listening(false).await
    }

    async fn listening(wraps: bool) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mails = Arc::<Mutex<Vec<String>>>::default();
        let kept = mails.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(receive(stream, wraps, kept.clone()));
            }
        });
        Self { address, mails }
    }
}

async fn receive(mut stream: TcpStream, wraps: bool, mails: Arc<Mutex<Vec<String>>>) {
    let _ = stream.write_all(b"220 mail ESMTP\r\n").await;
    let greeting = if wraps { "250-mail\r\n250 STARTTLS\r\n" } else { "250 mail\r\n" };
    if converse(&mut stream, greeting, &mails).await
        && let Ok(mut wrapped) = acceptor().accept(stream).await
    {
        converse(&mut wrapped, "250-mail\r\n250 AUTH PLAIN LOGIN\r\n", &mails).await;
    }
}

/// One conversation; `true` when the client wants to go on behind TLS.
async fn converse(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), greeting: &str, mails: &Mutex<Vec<String>>) -> bool {
    let (mut stream, mut line, mut heard, mut in_mail) = (BufReader::new(stream), String::new(), String::new(), false);
    while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        heard.push_str(&line);
        let word = line.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
        let answer = match word.as_str() {
            _ if in_mail && line.trim_end() != "." => "",
            "EHLO" => greeting,
            "STARTTLS" => "220 go on\r\n",
            "AUTH" => "235 ok\r\n",
            "DATA" => "354 go on\r\n",
            _ => "250 ok\r\n",
        };
        if in_mail && !answer.is_empty() {
            mails.lock().unwrap().push(std::mem::take(&mut heard));
        }
        in_mail = word == "DATA" || in_mail && line.trim_end() != ".";
        if stream.write_all(answer.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return false;
        }
        if word == "STARTTLS" {
            return true;
        }
        line.clear();
    }
    false
}
