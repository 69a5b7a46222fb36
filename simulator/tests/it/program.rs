//! The binary: its command line, its admin API, its end.

use std::process::Stdio;

use anyhow::{Context, Result};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::sockets::client;
use crate::support::{CREATE, STORE, credentials};

struct Program {
    child: Child,
    base: String,
    client: Client,
}

impl Program {
    async fn start(args: &[&str]) -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tradewind-simulator"));
        command.args(args).env_remove("RUST_LOG").stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().context("stdout")?;
        let address = BufReader::new(stdout).lines().next_line().await?.context("a line with the address")?;
        Ok(Self { child, base: format!("http://{address}"), client: client()? })
    }

    async fn create(&self) -> Result<reqwest::Response> {
        let request = self.client.post(format!("{}{CREATE}", self.base)).header("x-rutter-version", "2024-08-31");
        let request = request.basic_auth("test-client-id", Some("test-client-secret"));
        Ok(request.json(&credentials(STORE)).send().await?)
    }

    async fn see(&self, path: &str) -> Result<Value> {
        Ok(self.client.get(format!("{}/_sim/{path}", self.base)).send().await?.error_for_status()?.json().await?)
    }

    async fn post(&self, path: &str, body: Value) -> Result<u16> {
        let answer = self.client.post(format!("{}/_sim/{path}", self.base)).json(&body).send().await?;
        Ok(answer.status().as_u16())
    }

    /// Asks it to stop; what it logged.
    async fn stop(mut self) -> Result<String> {
        let pid = self.child.id().context("a running program")?.to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await?.success());
        let mut log = String::new();
        self.child.stderr.take().context("stderr")?.read_to_string(&mut log).await?;
        assert!(self.child.wait().await?.success());
        Ok(log)
    }
}

#[tokio::test]
async fn it_serves_logs_and_stops_when_asked() -> Result<()> {
    let program = Program::start(&["--seed", "7"]).await?;
    let created: Value = program.create().await?.json().await?;
    let token = created.pointer("/connection/access_token").and_then(Value::as_str).context("a token")?.to_owned();
    let log = program.stop().await?;
    assert!(log.contains("POST") && log.contains(CREATE) && log.contains("200"), "{log}");
    for secret in [token.as_str(), "test-client-secret", "test-store-token"] {
        assert!(!log.contains(secret), "{secret} in the log");
    }
    Ok(())
}

#[tokio::test]
async fn the_admin_api_shows_and_changes() -> Result<()> {
    let program = Program::start(&["--initial-sync", "1h", "--gone", "410", "--rate-limit", "0"]).await?;
    let fault = json!({"operation": "create", "effects": [{"kind": "status_after_apply", "status": 503}]});
    assert_eq!(program.post("faults", fault).await?, 204);
    assert_eq!(program.create().await?.status(), 503);
    let stranger = json!({"platform": "BIG_COMMERCE", "store_url": STORE});
    assert_eq!(program.post("strangers", stranger).await?, 201);
    let stats = program.see("stats").await?;
    assert_eq!(stats.pointer("/creates"), Some(&json!(1)));
    let duplicates = stats.pointer("/duplicates").and_then(Value::as_object).context("a map")?;
    assert_eq!(duplicates.values().collect::<Vec<_>>(), [&json!(2)]);
    assert_eq!(program.see("journal").await?.pointer("/0/status"), Some(&json!(503)));

    let connections = program.see("connections").await?;
    let id = connections.pointer("/0/id").and_then(Value::as_str).context("an id")?;
    let upset = json!({"deed": "upset", "connection": id, "trouble": {"kind": "disabled", "reason": "SHOP_IS_LOCKED"}});
    assert_eq!(program.post("deeds", upset).await?, 200);
    assert_eq!(program.see("connections").await?.pointer("/0/status"), Some(&json!("disabled")));
    for status in [200, 404] {
        let delete = program.client.delete(format!("{}/_sim/connections/{id}", program.base));
        assert_eq!(delete.send().await?.status(), status);
    }

    let mut settings = program.see("settings").await?;
    assert_eq!(settings.get("gone"), Some(&json!("410")));
    settings.as_object_mut().context("an object")?.insert("list_lag".to_owned(), json!("3s"));
    let put = program.client.put(format!("{}/_sim/settings", program.base)).json(&settings);
    assert_eq!(put.send().await?.status(), 204);
    assert_eq!(program.see("settings").await?, settings);
    let freeze = program.client.put(format!("{}/_sim/frozen", program.base)).json(&true);
    assert_eq!(freeze.send().await?.status(), 204);
    assert_eq!(program.client.delete(format!("{}/_sim/faults", program.base)).send().await?.status(), 204);
    Ok(())
}

#[tokio::test]
async fn the_admin_api_is_there_for_sku_io_too() -> Result<()> {
    let program = Program::start(&["--sku-io-token", "7|test-other", "--sku-io-tenant", "t", "--seed", "4"]).await?;
    let make = json!({"deed": "make", "name": "acme", "store_hash": "abc123"});
    assert_eq!(program.post("sku-io/deeds", make.clone()).await?, 200);
    assert_eq!(program.post("sku-io/deeds", make).await?, 400);
    assert_eq!(program.post("sku-io/deeds", json!({"deed": "delete", "instance": 77})).await?, 404);
    let list = || {
        let request = program.client.get(format!("{}/api/big-commerce", program.base)).bearer_auth("7|test-other");
        request.header("accept", "application/json").send()
    };
    let rows: Value = list().await?.json().await?;
    assert_eq!(rows.pointer("/data/0/name"), Some(&json!("acme")));
    assert_eq!(program.see("sku-io/instances").await?.pointer("/0/id"), Some(&json!(5)));
    assert_eq!(program.see("sku-io/jobs").await?, json!([]));

    let token = program.client.put(format!("{}/_sim/sku-io/tokens/7", program.base));
    assert_eq!(token.json(&json!({"revoked": true})).send().await?.status(), 204);
    assert_eq!(list().await?.status(), 401);
    let mut settings = program.see("sku-io/settings").await?;
    settings.as_object_mut().context("an object")?.insert("cleanup".to_owned(), json!("1h"));
    let put = program.client.put(format!("{}/_sim/sku-io/settings", program.base)).json(&settings);
    assert_eq!(put.send().await?.status(), 204);
    assert_eq!(program.see("sku-io/settings").await?, settings);
    for status in [200, 404] {
        let delete = program.client.delete(format!("{}/_sim/sku-io/instances/5", program.base));
        assert_eq!(delete.send().await?.status(), status);
    }
    assert_eq!(program.see("sku-io/instances").await?.pointer("/0/presence"), Some(&json!("cleaning")));
    let log = program.stop().await?;
    assert!(!log.contains("test-other"), "{log}");
    Ok(())
}

#[tokio::test]
async fn the_admin_api_is_there_for_arcus_too() -> Result<()> {
    let key = "ark_live_ent_other_not-a-secret";
    let program = Program::start(&["--arcus-key", key, "--arcus-link-lifetime", "1h", "--arcus-no-rate-limit"]).await?;
    let make = json!({"connector": "ups", "deed": "make", "fields": {"display_name": "Parcels"}});
    assert_eq!(program.post("arcus/deeds", make).await?, 200);
    assert_eq!(program.post("arcus/deeds", json!({"connector": "ups", "deed": "enter_credentials"})).await?, 200);
    assert_eq!(program.post("arcus/deeds", json!({"connector": "fedex", "deed": "delete"})).await?, 404);
    assert_eq!(
        program
            .post("arcus/deeds", json!({"connector": "ups", "deed": "set_active", "active": true, "when": 1}))
            .await?,
        422
    );
    let wrong = json!({"connector": "ups", "deed": "change", "fields": {"shop": "x"}});
    assert_eq!(program.post("arcus/deeds", wrong).await?, 400);
    let list = || program.client.get(format!("{}/v1/integrations", program.base)).bearer_auth(key).send();
    let rows: Value = list().await?.json().await?;
    assert_eq!(rows.pointer("/data/0/has_credentials_secret_arn"), Some(&json!(true)));
    assert_eq!(program.see("arcus/connectors").await?.pointer("/0/display_name"), Some(&json!("Parcels")));

    let shop = program.client.post(format!("{}/v1/integrations/shopify", program.base)).bearer_auth(key);
    let asked: Value = shop.json(&json!({"shop": "acme.myshopify.com"})).send().await?.json().await?;
    let url = asked.pointer("/oauth_url").and_then(Value::as_str).context("a URL")?.to_owned();
    assert!(url.starts_with(&program.base), "{url}");
    assert!(program.client.get(&url).send().await?.text().await?.contains("id=\"approve\""));
    let form = program.client.post(&url).header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(form.body("answer=approve").send().await?.status(), 200);
    assert_eq!(program.see("arcus/links").await?.pointer("/0/status"), Some(&json!("approved")));

    let change = program.client.put(format!("{}/_sim/arcus/keys/test", program.base));
    assert_eq!(change.json(&json!({"revoked": true})).send().await?.status(), 204);
    assert_eq!(list().await?.status(), 401);
    let mut settings = program.see("arcus/settings").await?;
    assert_eq!((settings.get("link_lifetime"), settings.get("live_rate")), (Some(&json!("1h")), Some(&Value::Null)));
    settings.as_object_mut().context("an object")?.insert("existing".to_owned(), json!("refused"));
    let put = program.client.put(format!("{}/_sim/arcus/settings", program.base)).json(&settings);
    assert_eq!(put.send().await?.status(), 204);
    assert_eq!(program.see("arcus/settings").await?, settings);
    let log = program.stop().await?;
    let state = url.rsplit('=').next().context("a state")?;
    assert!(!log.contains("not-a-secret") && !log.contains(state), "{log}");
    Ok(())
}

#[tokio::test]
async fn the_port_can_be_read_from_a_file() -> Result<()> {
    let file = std::env::temp_dir().join(format!("tradewind-simulator-port-{}", std::process::id()));
    let program = Program::start(&["--port-file", file.to_str().context("a path in UTF-8")?]).await?;
    let port = std::fs::read_to_string(&file)?;
    std::fs::remove_file(&file)?;
    assert!(program.base.ends_with(&format!(":{port}")));
    Ok(())
}
