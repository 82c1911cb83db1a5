//! The program with the module in it, as a client starts it.

use bailiwick_testkit::client::{Client, Era};
use serde_json::json;
use tokio::process::Command;

use crate::redis_server::RedisServer;

const MANIFEST: &str = "
agent_type: cache
modules:
  redis:
    mode: write
  shared:
    type: redis
    mode: read
    config: {max_listed_keys: 10}
";

#[tokio::test]
async fn the_program_serves_the_module() {
    let Some(server) = RedisServer::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("cache.yml"), MANIFEST).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick-example-custom-module"));
    command.current_dir(dir.path()).args(["run", "--manifest", "cache.yml"]).env_clear();
    command.envs([("AGENT_ID", "cache-1"), ("AGENT_TYPE", "cache"), ("REDIS_URL", &server.url)]).env("HOME", dir.path());
    let client = Client::stdio(command, Era::Modern);
    client.open().await.unwrap();
    let names = client.tool_names().await.unwrap();
    let wanted = ["redis_delete_key", "redis_get_key", "redis_list_keys", "redis_set_key", "shared_get_key", "shared_list_keys"];
    assert_eq!(names, wanted);
    client.call("redis_set_key", json!({"key": "greeting", "value": "hello"})).await.unwrap();
    let read = client.call("shared_get_key", json!({"key": "greeting"})).await.unwrap();
    assert_eq!(read["structuredContent"], json!({"result": "hello"}));
    let refused = client.call("redis_get_key", json!({"key": ""})).await.unwrap();
    assert_eq!(refused["isError"], true);
    client.close().await.unwrap();
}
