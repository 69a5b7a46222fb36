//! The proxy on the way to the API server: the one that the kubeconfig names, and for people the one of their environment,
//! by the rules of kubectl.
//!
//! kube has rules of its own (it holds `NO_PROXY` against the proxy's host), so that what it finds is never used. It must
//! never repeat what names a proxy: there may be a password in it.

use super::refusal::BadInput;
use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use kube::config::{Kubeconfig, KubeconfigError};
use std::net::IpAddr;

/// What an environment says of proxies; by default nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment {
    proxy: Option<String>,
    except: String,
}

impl Environment {
    /// What the environment of this process says.
    #[expect(
        clippy::disallowed_methods,
        reason = "no arguments of ours: other programs have them too, in either spelling"
    )]
    pub(super) fn read() -> Self {
        let said = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let first = |names: [&str; 2]| names.iter().find_map(|name| said(name));
        Self {
            proxy: first(["HTTPS_PROXY", "https_proxy"]),
            except: first(["NO_PROXY", "no_proxy"]).unwrap_or_default(),
        }
    }
}

/// What a kubeconfig names as the proxy to the cluster of a context.
pub(super) fn named(kubeconfig: &Kubeconfig, context: Option<&str>) -> Option<String> {
    let name = context.or(kubeconfig.current_context.as_deref())?;
    let context = kubeconfig.contexts.iter().find(|context| context.name == name)?.context.as_ref()?;
    let cluster = kubeconfig.clusters.iter().find(|cluster| cluster.name == context.cluster)?.cluster.as_ref()?;
    cluster.proxy_url.clone().filter(|proxy| !proxy.is_empty())
}

/// The proxy to a server. One that the kubeconfig names counts without exceptions; one of the environment only for TLS, not
/// for this machine, and not for what is excepted.
pub(super) fn to(server: &Uri, named: Option<&str>, environment: &Environment) -> Result<Option<Uri>, BadInput> {
    let of_environment = || environment.proxy.as_deref().filter(|_| needs_proxy(server, &environment.except));
    let Some(proxy) = named.or_else(of_environment) else { return Ok(None) };
    address(proxy).map(Some).ok_or_else(|| unusable(named.is_some()))
}

/// What to say where kube does not even read what is said of proxies; `None` where it failed over something else.
pub(super) fn refusal(error: &KubeconfigError, is_named: bool) -> Option<BadInput> {
    let exceptions = "NO_PROXY cannot be read. Write hosts, addresses and ranges (10.0.0.0/8) with commas between them, \
                      none of them empty";
    if matches!(error, KubeconfigError::ParseNoProxy(_)) {
        Some(BadInput::new(exceptions))
    } else {
        matches!(error, KubeconfigError::ParseProxyUrl(_)).then(|| unusable(is_named))
    }
}

fn unusable(is_named: bool) -> BadInput {
    let what = if is_named { "the proxy-url of the cluster in your kubeconfig" } else { "HTTPS_PROXY" };
    BadInput::new(format!(
        "{what} is no proxy that can be used. Write http://, https:// or socks5:// and a host, or unset it"
    ))
}

fn address(proxy: &str) -> Option<Uri> {
    let address = match proxy.split_once("://") {
        None => format!("http://{proxy}"),
        // Names are resolved by the proxy, whichever of the two is written.
        Some(("socks5h", rest)) => format!("socks5://{rest}"),
        Some(_) => proxy.to_owned(),
    };
    let uri: Uri = address.parse().ok()?;
    let is_known = matches!(uri.scheme_str(), Some("http" | "https" | "socks5"));
    (is_known && uri.host().is_some_and(|host| !host.is_empty())).then_some(uri)
}

fn needs_proxy(server: &Uri, except: &str) -> bool {
    let host = server.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    // An exception may name the server's port, and all below a name by a star: the matcher knows neither.
    let port = format!(":{}", server.port_u16().unwrap_or(443));
    let except = except.split(',').map(str::trim).map(|entry| entry.strip_suffix(&port).unwrap_or(entry));
    let except = except.collect::<Vec<_>>().join(",").to_ascii_lowercase().replace("*.", ".");
    let any = Matcher::builder().https("http://proxy").no(except).build();
    server.scheme_str() == Some("https") && !is_here && any.intercept(server).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn proxied(server: &str, named: Option<&str>, proxy: &str, except: &str) -> Result<Option<String>, BadInput> {
        let proxy = Some(proxy.to_owned()).filter(|proxy| !proxy.is_empty());
        let environment = Environment { proxy, except: except.to_owned() };
        Ok(to(&server.parse().expect("a URL"), named, &environment)?.map(|uri| uri.to_string()))
    }

    const SERVER: &str = "https://api.prod.example.com:6443";

    #[rstest]
    #[case::nothing("", "", None)]
    #[case::a_proxy("http://proxy.example.com:3128", "", Some("http://proxy.example.com:3128/"))]
    #[case::without_a_scheme("proxy.example.com:3128", "", Some("http://proxy.example.com:3128/"))]
    #[case::over_tls("https://proxy.example.com", "", Some("https://proxy.example.com/"))]
    #[case::socks("socks5://proxy.example.com:1080", "", Some("socks5://proxy.example.com:1080/"))]
    #[case::socks_by_name("socks5h://proxy.example.com:1080", "", Some("socks5://proxy.example.com:1080/"))]
    #[case::excepted("http://proxy.example.com:3128", "example.com", None)]
    fn people_reach_the_server_through_the_proxy_of_their_environment(
        #[case] proxy: &str,
        #[case] except: &str,
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(proxied(SERVER, None, proxy, except).expect("a proxy").as_deref(), expected);
    }

    #[rstest]
    #[case::everything("*", true)]
    #[case::everything_among_others("localhost, *", true)]
    #[case::itself("api.prod.example.com", true)]
    #[case::capitals("API.Prod.Example.COM", true)]
    #[case::above_it("example.com", true)]
    #[case::below_a_name(".example.com", true)]
    #[case::with_a_star("*.example.com", true)]
    #[case::one_of_several("localhost , , .svc,example.com", true)]
    #[case::its_port("example.com:6443", true)]
    #[case::another_port("example.com:443", false)]
    #[case::a_part_of_a_name("ample.com", false)]
    #[case::another_name("example.org", false)]
    #[case::nothing("", false)]
    #[case::a_range("0.0.0.0/0", false)]
    fn a_name_is_excepted_with_all_below_it(#[case] except: &str, #[case] is_excepted: bool) {
        let found = proxied(SERVER, None, "proxy:1", except).expect("a proxy");
        assert_eq!(found.is_none(), is_excepted);
    }

    #[rstest]
    #[case::itself("https://10.1.2.3:6443", "10.1.2.3", true)]
    #[case::another("https://10.1.2.3", "10.1.2.30", false)]
    #[case::a_range("https://10.1.2.3", "192.168.0.0/16,10.0.0.0/8", true)]
    #[case::an_odd_range("https://10.1.2.3", "10.1.2.2/31", true)]
    #[case::beside_a_range("https://10.1.2.3", "10.1.2.4/30", false)]
    #[case::every_address("https://10.1.2.3", "0.0.0.0/0", true)]
    #[case::no_range("https://10.1.2.3", "10.0.0.0/33", false)]
    #[case::long("https://[2001:db8::7]:6443", "2001:db8::7", true)]
    #[case::a_long_range("https://[2001:db8::7]", "2001:db8::/32", true)]
    #[case::beside_a_long_range("https://[2001:db9::7]", "2001:db8::/32", false)]
    #[case::the_other_kind("https://[2001:db8::7]", "0.0.0.0/0", false)]
    fn an_address_is_excepted_by_itself_or_its_range(
        #[case] server: &str,
        #[case] except: &str,
        #[case] is_excepted: bool,
    ) {
        assert_eq!(proxied(server, None, "proxy:1", except).expect("a proxy").is_none(), is_excepted);
    }

    #[rstest]
    #[case::by_name("https://localhost:6443")]
    #[case::by_address("https://127.0.0.2:6443")]
    #[case::by_long_address("https://[::1]:6443")]
    #[case::without_tls("http://api.example.com:8080")]
    fn this_machine_is_reached_without_a_proxy_and_so_is_what_has_no_tls(#[case] server: &str) {
        assert_eq!(proxied(server, None, "http://proxy.example.com:3128", "").expect("none"), None);
    }

    #[test]
    fn a_proxy_that_the_kubeconfig_names_counts_whatever_the_environment_says() {
        for server in [SERVER, "https://127.0.0.1:6443", "http://127.0.0.1:8080"] {
            let found = proxied(server, Some("http://jump.example.com:8888"), "http://proxy.example.com:3128", "*");
            assert_eq!(found.expect("a proxy").as_deref(), Some("http://jump.example.com:8888/"), "{server}");
        }
    }

    #[rstest]
    #[case::no_host("http://")]
    #[case::another_scheme("ftp://test-password@proxy.example.com")]
    #[case::no_address("http://user:test password@proxy.example.com")]
    fn what_is_no_proxy_is_refused_and_not_repeated(#[case] proxy: &str) {
        let of_environment = proxied(SERVER, None, proxy, "").expect_err("a refusal").to_string();
        assert!(of_environment.starts_with("HTTPS_PROXY is no proxy"), "{of_environment}");
        let named = proxied(SERVER, Some(proxy), "", "").expect_err("a refusal").to_string();
        assert!(named.starts_with("the proxy-url of the cluster in your kubeconfig is no proxy"), "{named}");
        assert!(!format!("{of_environment}{named}").contains("test"), "{of_environment} {named}");
        assert_eq!(proxied(SERVER, None, proxy, "example.com"), Ok(None), "nobody needs it");
    }

    #[test]
    fn the_proxy_is_that_of_the_cluster_of_the_context() {
        let kubeconfig: Kubeconfig = serde_json::from_value(json!({
            "current-context": "near",
            "contexts": [
                {"name": "near", "context": {"cluster": "a"}}, {"name": "far", "context": {"cluster": "b"}},
                {"name": "empty", "context": {"cluster": "c"}}, {"name": "lost", "context": {"cluster": "d"}},
            ],
            "clusters": [
                {"name": "a", "cluster": {"server": SERVER}},
                {"name": "b", "cluster": {"server": SERVER, "proxy-url": "socks5://127.0.0.1:1080"}},
                {"name": "c", "cluster": {"server": SERVER, "proxy-url": ""}},
            ],
        }))
        .expect("a kubeconfig");
        let of = |context| named(&kubeconfig, context);
        assert_eq!(of(Some("far")).as_deref(), Some("socks5://127.0.0.1:1080"));
        for context in [None, Some("near"), Some("empty"), Some("lost"), Some("nowhere")] {
            assert_eq!(of(context), None, "{context:?}");
        }
    }
}
