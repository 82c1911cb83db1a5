//! Commands and replies over one connection (RFC 5321, 4.2). Nothing is sent ahead, so nothing may come ahead either.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::egress::{HttpFault, HttpFaultKind, Stream};

/// Longest line of a reply; the RFC allows 512 bytes, servers say more.
const LINE_BYTES_MAX: u64 = 2_048;
/// Most lines of one reply.
const LINES_MAX: usize = 100;

/// One reply.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) code: u16,
    /// The text of each line, without its code.
    pub(super) lines: Vec<String>,
}

impl Reply {
    /// What an EHLO reply says after `keyword`, upper case; `None` when it is not offered.
    pub(super) fn extension(&self, keyword: &str) -> Option<String> {
        let offered = self.lines.iter().skip(1).map(|line| line.to_ascii_uppercase());
        // `AUTH=` is an old spelling of `AUTH `.
        offered
            .filter_map(|line| line.strip_prefix(keyword).map(str::to_owned))
            .find(|rest| rest.is_empty() || rest.starts_with([' ', '=']))
    }
}

/// One connection.
pub(super) struct Wire(BufReader<Box<dyn Stream>>);

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self(BufReader::new(stream))
    }

    /// Sends one command line and reads its reply.
    pub(super) async fn command(&mut self, line: &str) -> Result<Reply, HttpFault> {
        self.exchange(format!("{line}\r\n").as_bytes()).await
    }

    /// Sends bytes and reads one reply.
    pub(super) async fn exchange(&mut self, bytes: &[u8]) -> Result<Reply, HttpFault> {
        self.nothing_ahead()?;
        let written = async {
            self.0.write_all(bytes).await?;
            self.0.flush().await
        };
        written.await.map_err(|cause| broken(&cause))?;
        self.reply().await
    }

    pub(super) async fn reply(&mut self) -> Result<Reply, HttpFault> {
        let mut lines = Vec::new();
        let mut first = None;
        loop {
            let line = self.line().await?;
            let (code, last, text) = read(&line).ok_or_else(|| protocol("the mail server's reply is not SMTP"))?;
            if *first.get_or_insert(code) != code {
                return Err(protocol("the mail server's reply has two codes"));
            }
            lines.push(text);
            if last {
                return Ok(Reply { code, lines });
            }
            if lines.len() == LINES_MAX {
                return Err(protocol("the mail server's reply has too many lines"));
            }
        }
    }

    /// The bare stream, for TLS. What came after the reply was not protected and would be taken for protected (RFC 3207, section 6).
    pub(super) fn into_stream(self) -> Result<Box<dyn Stream>, HttpFault> {
        self.nothing_ahead()?;
        Ok(self.0.into_inner())
    }

    fn nothing_ahead(&self) -> Result<(), HttpFault> {
        if self.0.buffer().is_empty() { Ok(()) } else { Err(protocol("the mail server said more than it was asked")) }
    }

    async fn line(&mut self) -> Result<Vec<u8>, HttpFault> {
        let mut line = Vec::new();
        let read = (&mut self.0).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await.map_err(|cause| broken(&cause))?;
        match line.last() {
            Some(b'\n') => Ok(line),
            _ if read as u64 == LINE_BYTES_MAX => Err(protocol("a line of the mail server is too long")),
            _ => Err(protocol("the mail server closed the connection")),
        }
    }
}

/// `250-text` or `250 text`: code, whether it is the last line, text.
fn read(line: &[u8]) -> Option<(u16, bool, String)> {
    let line = line.strip_suffix(b"\n")?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (code, rest) = line.split_at_checked(3)?;
    let code = str::from_utf8(code).ok().filter(|code| code.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()?;
    let last = match rest.first() {
        None | Some(b' ') => true,
        Some(b'-') => false,
        Some(_) => return None,
    };
    let text = String::from_utf8_lossy(rest.get(1..).unwrap_or_default()).into_owned();
    (200..600).contains(&code).then_some((code, last, text))
}

fn protocol(detail: &str) -> HttpFault {
    HttpFault { kind: HttpFaultKind::Protocol, sent: false, detail: detail.to_owned() }
}

fn broken(cause: &std::io::Error) -> HttpFault {
    protocol(&format!("the connection to the mail server broke off: {}", cause.kind()))
}
