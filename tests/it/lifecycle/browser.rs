//! The pages of Rutter Link and of Arcus' consent, followed by a real browser: Chromium without a window, driven by `chromedriver`
//! through the protocol of W3C for that ("web driver").
//!
//! Six requests of that protocol are all that is needed here, and they are JSON over HTTP, so no library for it is brought in. The
//! same flows without a browser are in `link.rs` and `arcus/page.rs`. Where there is no chromedriver on `PATH` these tests say so on
//! standard error and show nothing; `TRADEWIND_BROWSER=required` makes that a failure.

use std::env;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tradewind::api::v1alpha1::Connection;
use tradewind_simulator::Operation;
use tradewind_simulator::arcus::{Act, Connector, LinkStatus};

use super::link::awaits_merchant;
use crate::cluster::HANG;
use crate::conditions::Observed;
use crate::lifecycle::expect::assert_healed;
use crate::world::{World, id_of, message, told};

/// The name under which the protocol answers an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// One browser with a profile that is thrown away. It reaches nothing but this machine.
struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    client: reqwest::Client,
    /// Removed with the browser.
    profile: PathBuf,
}

impl Browser {
    /// Starts one; `None` where there is none, which is said.
    async fn start() -> Option<Self> {
        let Some(program) = chromedriver() else {
            let required = env::var_os("TRADEWIND_BROWSER").is_some_and(|value| value == "required");
            assert!(
                !required,
                "no chromedriver on PATH, and TRADEWIND_BROWSER=required: apt-get install chromium chromium-driver"
            );
            // Past the capture of the test's own output: what was not tested must be seen.
            let _ = std::io::stderr().write_all(
                b"NOT TESTED: the pages in a real browser, for want of chromedriver on PATH (apt-get install chromium \
                  chromium-driver)\n",
            );
            return None;
        };
        let profile = env::temp_dir().join(format!("tradewind-browser-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&profile).expect("a folder for the profile");
        let mut driver = Command::new(program)
            .arg("--port=0")
            .env("HOME", &profile)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver");
        let address = listening(&mut driver).await;
        // As for the clients of the cluster: whoever asks first installs it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let mut browser = Self { driver, address, session: String::new(), client, profile };
        let answer = browser.send("", &browser.capabilities()).await;
        browser.session = answer["sessionId"].as_str().expect("a session").to_owned();
        // A page that has not come yet is waited for, and nothing is read of the one before it.
        browser.send("/timeouts", &json!({"implicit": HANG.as_millis(), "pageLoad": HANG.as_millis()})).await;
        Some(browser)
    }

    fn capabilities(&self) -> Value {
        let profile = format!("--user-data-dir={}", self.profile.display());
        let arguments = [
            "--headless=new",
            // Chromium's sandbox refuses to run as root, and nothing but our own pages is opened.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            // To everybody but this machine leads a proxy that is none.
            "--proxy-server=http://127.0.0.1:9",
            "--proxy-bypass-list=127.0.0.1",
            &profile,
        ];
        let options = json!({"args": arguments});
        json!({"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}})
    }

    /// A command of the session; its value.
    async fn send(&self, command: &str, body: &Value) -> Value {
        let session = if self.session.is_empty() { String::new() } else { format!("/{}", self.session) };
        let url = format!("http://{}/session{session}{command}", self.address);
        let sent = self.client.post(url).json(body).send().await;
        self.value(sent.expect("an answer of chromedriver")).await
    }

    async fn value(&self, answer: reqwest::Response) -> Value {
        let status = answer.status();
        let mut answer: Value = answer.json().await.expect("JSON");
        assert!(status.is_success(), "{answer:#}");
        answer["value"].take()
    }

    async fn open(&self, url: &str) {
        self.send("/url", &json!({"url": url})).await;
    }

    /// The element that a selector of CSS names, once it is there.
    async fn find(&self, css: &str) -> String {
        let found = self.send("/element", &json!({"using": "css selector", "value": css})).await;
        found[ELEMENT].as_str().expect("an element").to_owned()
    }

    async fn click(&self, css: &str) {
        let element = self.find(css).await;
        self.send(&format!("/element/{element}/click"), &json!({})).await;
    }

    async fn type_into(&self, css: &str, text: &str) {
        let element = self.find(css).await;
        self.send(&format!("/element/{element}/value"), &json!({"text": text})).await;
    }

    /// What an element says.
    async fn text(&self, css: &str) -> String {
        let element = self.find(css).await;
        let url = format!("http://{}/session/{}/element/{element}/text", self.address, self.session);
        let answer = self.client.get(url).send().await.expect("an answer of chromedriver");
        self.value(answer).await.as_str().expect("text").to_owned()
    }
}

impl Drop for Browser {
    /// Ends the browser too, which outlives its driver otherwise; also where the test has failed.
    fn drop(&mut self) {
        let quit = || -> std::io::Result<()> {
            let mut stream = TcpStream::connect(self.address)?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            let (session, address) = (&self.session, self.address);
            write!(stream, "DELETE /session/{session} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
            stream.read(&mut [0; 512]).map(drop)
        };
        let _ = quit();
        let _ = self.driver.start_kill();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

fn chromedriver() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join("chromedriver")).find(|file| file.is_file())
}

/// Where a chromedriver listens that picked its port itself.
async fn listening(driver: &mut Child) -> SocketAddr {
    let mut lines = BufReader::new(driver.stdout.take().expect("its output")).lines();
    let search = async {
        while let Some(line) = lines.next_line().await.expect("text") {
            let port = line.rsplit_once("on port ").map(|(_, rest)| rest.trim_end_matches('.').parse::<u16>());
            if let Some(Ok(port)) = port.filter(|port| port.as_ref().is_ok_and(|port| *port > 0)) {
                return port;
            }
        }
        panic!("chromedriver ended before it listened");
    };
    let port = tokio::time::timeout(HANG, search).await.expect("a port");
    SocketAddr::from(([127, 0, 0, 1], port))
}

impl World {
    /// The object still asks its merchant, after a pass that could have seen anything else.
    async fn still_asks(&self) -> Connection {
        let waiting = self.reconciled("acme").await;
        for kind in ["Ready", "Authorized"] {
            assert!(waiting.says(kind, "False", "AuthorizationRequired"), "{}", told(&waiting));
            assert!(message(&waiting, kind).contains("authorize"), "{}", told(&waiting));
        }
        assert!(waiting.condition("Stalled").is_none(), "{}", told(&waiting));
        waiting
    }
}

/// Rutter's link works until somebody has used it: who cancels, or comes too late, finds the object as it was.
#[tokio::test]
async fn a_merchant_follows_rutters_link_in_a_browser() {
    let Some(browser) = Browser::start().await else { return };
    let world = World::new("browser-link").await;
    let (id, url) = awaits_merchant(&world).await;
    browser.open(&url).await;
    browser.click("#cancel").await;
    assert_eq!(browser.text("#done").await, "Nothing was connected.");
    world.still_asks().await;

    // The link expires while the page is open; what the merchant has typed is not taken.
    browser.open(&url).await;
    browser.click("#platform option[value=BIG_COMMERCE]").await;
    browser.type_into("#store", "store-browser.mybigcommerce.com").await;
    world.simulator.configure(|settings| settings.link_lifetime = Some(Duration::ZERO));
    browser.click("#connect").await;
    assert!(browser.text("#expired").await.contains("expired. Ask for a new one"));
    assert_eq!(id_of(&world.still_asks().await), id);

    world.simulator.configure(|settings| settings.link_lifetime = None);
    browser.open(&url).await;
    browser.click("#platform option[value=BIG_COMMERCE]").await;
    browser.type_into("#store", "not a store").await;
    browser.click("#connect").await;
    assert!(browser.text("#error").await.contains("none of the stores"));
    browser.open(&url).await;
    browser.click("#platform option[value=BIG_COMMERCE]").await;
    browser.type_into("#store", "store-browser.mybigcommerce.com").await;
    browser.click("#connect").await;
    assert_eq!(browser.text("#done").await, "This store is connected.");
    let ready = world.settled("acme").await;
    assert_healed(&ready);
    assert_eq!(id_of(&ready), id);
    world.ends_with(&[&id], 1, 0);
}

/// Arcus' link is void once it was used or has expired: another one follows, and the object goes on asking.
#[tokio::test]
async fn a_merchant_consents_at_arcus_in_a_browser() {
    // Longer than the grace, so that the link is there to be seen, and over soon.
    const SHORT: Duration = Duration::from_secs(12);
    let Some(browser) = Browser::start().await else { return };
    let (world, url) = World::awaits_merchant("browser-consent", SHORT).await;
    browser.open(&url).await;
    assert_eq!(browser.text("#shop").await, "acme.myshopify.com");
    browser.click("#cancel").await;
    assert_eq!(browser.text("#done").await, "Nothing was connected.");
    world.still_asks().await;
    browser.open(&url).await;
    assert!(browser.text("#expired").await.contains("used already, or is void"));

    // The next link, which ends while its page is open.
    let second = world.link_of(2).await;
    assert_ne!(second, url);
    browser.open(&second).await;
    browser.find("#approve").await;
    world.simulator.act_arcus(&Act::ExpireLinks.on(Connector::Shopify)).expect("a deed");
    browser.click("#approve").await;
    assert!(browser.text("#expired").await.contains("Ask for a new one"));
    assert!(world.simulator.connectors().is_empty());
    world.simulator.configure_arcus(|settings| settings.link_lifetime = Duration::from_mins(10));
    let third = world.link_of(3).await;
    let ends: Vec<_> = world.simulator.arcus_links().iter().map(|link| link.status).collect();
    assert_eq!(ends, [LinkStatus::Refused, LinkStatus::Expired, LinkStatus::Live]);
    world.still_asks().await;

    browser.open(&third).await;
    browser.click("#approve").await;
    assert_eq!(browser.text("#done").await, "Arcus may now use this shop.");
    assert_healed(&world.until("acme", "Ready", "True", "Succeeded").await);
    assert_eq!(world.asked(Operation::Create), 3);
    assert_eq!(world.simulator.stats().creates, 1);
}
