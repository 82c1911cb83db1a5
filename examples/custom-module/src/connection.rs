//! The way to the server: opened by the guarded exit, spoken by the `redis` crate, opened again after it broke.

use std::time::Duration;

use bailiwick_model::Code;
use bailiwick_model::address::Cidr;
use bailiwick_modules::egress::{Egress, Rules, Tls};
use bailiwick_modules::{CallContext, Host, OpenFault, ToolFault};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, ConnectionAddr, ErrorKind, FromRedisValue, IntoConnectionInfo, RedisConnectionInfo, RedisError, ServerErrorKind,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use crate::REDIS_URL;

/// Time for opening a connection and for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// One server, and the connection to it while there is one.
pub(crate) struct Server {
    egress: Egress,
    rules: Rules,
    tls: Option<Tls>,
    host: String,
    port: u16,
    login: RedisConnectionInfo,
    open: Mutex<Option<MultiplexedConnection>>,
}

impl Server {
    /// Reads the address; nothing is dialled before the first call.
    pub(crate) fn new(url: &SecretString, host: &Host, allow_private: Vec<Cidr>, tls: Tls) -> Result<Self, OpenFault> {
        let fault = |what| OpenFault::about(REDIS_URL, what, "write an address like `redis://user:password@host:6379/0`");
        let info = url.expose_secret().into_connection_info().map_err(|_| fault("is not the address of a Redis server"))?;
        let (name, port, tls) = match info.addr() {
            ConnectionAddr::Tcp(name, port) => (name.clone(), *port, None),
            // Certificates are always checked, whatever the address says.
            ConnectionAddr::TcpTls { host, port, .. } => (host.clone(), *port, Some(tls.without_alpn())),
            _ => return Err(fault("leads to a socket of this machine, which is not supported")),
        };
        let login = info.redis_settings().clone();
        // The address as a whole is masked already; the password alone could come back in an error.
        login.password().into_iter().for_each(|password| host.secrets.learn(password));
        let rules = Rules::for_configured_host(&name, allow_private);
        Ok(Self { egress: host.egress.clone(), rules, tls, host: name, port, login, open: Mutex::default() })
    }

    /// Runs one command and reads its answer.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &redis::Cmd, context: &CallContext<'_>) -> Result<T, ToolFault> {
        let until = tokio::time::Instant::from_std(context.deadline).min(tokio::time::Instant::now() + PATIENCE);
        let asked = async {
            let mut connection = self.connection().await?;
            let answer = command.query_async(&mut connection).await;
            if answer.as_ref().is_err_and(RedisError::is_unrecoverable_error) {
                *self.open.lock().await = None;
            }
            answer.map_err(|cause| refused(&cause))
        };
        tokio::select! {
            done = tokio::time::timeout_at(until, asked) => done.unwrap_or_else(|_| Err(late())),
            () = context.cancel.cancelled() => Err(context.check().err().unwrap_or_else(late)),
        }
    }

    async fn connection(&self) -> Result<MultiplexedConnection, ToolFault> {
        let mut open = self.open.lock().await;
        if let Some(connection) = open.as_ref() {
            return Ok(connection.clone());
        }
        let stream = self.egress.open(&self.host, self.port, self.tls.as_ref(), &self.rules).await;
        let stream = stream.map_err(|cause| unreachable().because(cause))?;
        let (connection, driver) = MultiplexedConnection::new_with_config(&self.login, stream, AsyncConnectionConfig::new())
            .await
            .map_err(|cause| refused(&cause))?;
        // Ends with the last clone of the connection.
        tokio::spawn(driver);
        Ok(open.insert(connection).clone())
    }
}

fn unreachable() -> ToolFault {
    ToolFault::new(Code::UpstreamUnreachable, "the key store cannot be reached", "try again later")
}

fn late() -> ToolFault {
    ToolFault::new(Code::UpstreamTimeout, "the key store did not answer in time", "try again later")
}

/// The agent learns the class; the server's words, which may name keys of others, stay with the operator.
fn refused(cause: &RedisError) -> ToolFault {
    let fault = match cause.kind() {
        ErrorKind::AuthenticationFailed => {
            ToolFault::new(Code::UpstreamAuth, "the key store refused the gateway's credential", "ask the operator to renew it")
        }
        ErrorKind::Server(ServerErrorKind::NoPerm) => {
            ToolFault::new(Code::UpstreamAuth, "the key store does not let the gateway do this", "ask the operator to allow it")
        }
        ErrorKind::Io => unreachable(),
        _ if cause.code() == Some("WRONGTYPE") => {
            ToolFault::new(Code::UpstreamError, "the key holds something other than a text", "use another key")
        }
        _ => ToolFault::new(Code::UpstreamError, "the key store refused the command", "try other arguments, or ask the operator"),
    };
    fault.because(cause)
}
