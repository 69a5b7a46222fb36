//! Tests of where a store is.

use super::*;
use crate::domain::rules::rutter_platform;
use rstest::rstest;

fn platform(name: &str) -> &'static RutterPlatform {
    rutter_platform(name).expect("a platform")
}

#[rstest]
#[case::bare("BIG_COMMERCE", "store-a1.mybigcommerce.com")]
#[case::capitals("BIG_COMMERCE", "https://store-A1.mybigcommerce.com/")]
#[case::spaces("BIG_COMMERCE", " STORE-a1.mybigcommerce.com ")]
#[case::default_port("BIG_COMMERCE", "https://store-a1.mybigcommerce.com:443")]
fn spellings_of_one_hosted_store_have_one_key(#[case] name: &str, #[case] text: &str) {
    assert_eq!(platform(name).store(text).as_deref(), Some("store-a1.mybigcommerce.com"));
}

#[rstest]
#[case::bare("shop.example.com", "shop.example.com")]
#[case::scheme("HTTPS://Shop.Example.com", "shop.example.com")]
#[case::plain_http("http://shop.example.com:80/", "shop.example.com")]
#[case::path("https://example.com/Shop/eu/", "example.com/Shop/eu")]
#[case::port("example.com:8443/shop", "example.com:8443/shop")]
fn a_store_of_the_merchants_own_may_have_a_path(#[case] text: &str, #[case] normal: &str) {
    for name in ["WOO_COMMERCE", "MAGENTO", "PRESTASHOP", "SHOPER"] {
        assert_eq!(platform(name).store(text).as_deref(), Some(normal));
    }
}

#[test]
fn letter_case_tells_no_two_stores_apart() {
    assert_eq!(store_key("WOO_COMMERCE", "example.com/Shop"), store_key("WOO_COMMERCE", "example.com/shop"));
    let key = store_key("WOO_COMMERCE", "example.com/shop");
    assert_eq!(read_key(&key), Some(("WOO_COMMERCE", "example.com/shop")));
}

#[test]
fn what_is_no_store_url_is_refused() {
    for text in [
        "",
        "https://",
        "a",
        "a..b",
        "u@a.b",
        "a b.c",
        "-a.b",
        "a.b?x=1",
        "a.b/x?y",
        "a.b/x#y",
        "ä.b",
        "a.b//x",
        "a.b/../x",
        "a.b/ä",
        "a.b:0",
        "a.b:70000",
        "a.b:x",
        "a.b:+80",
        "a-.b",
        "ftp://a.b",
        "a.b/x//",
    ] {
        assert_eq!(platform("WOO_COMMERCE").store(text), None, "{text}");
    }
    let label = "a".repeat(63);
    assert!(platform("WOO_COMMERCE").store(&format!("{label}.b")).is_some());
    for text in [
        format!("a.b/{}", "x".repeat(500)),
        format!("a{label}.b"),
        // Each label is short enough, and all of them are not.
        [label.as_str(); 4].join("."),
    ] {
        assert_eq!(platform("WOO_COMMERCE").store(&text), None, "{text}");
    }
    for text in [
        "shop.example.com",
        ".myshopify.com",
        "myshopify.com",
        "a.myshopify.com/x",
        "a.myshopify.com:8443",
        "shop.example.com/a.myshopify.com",
        "www.a.myshopify.com",
    ] {
        assert_eq!(platform("SHOPIFY").store(text), None, "{text}");
    }
    assert_eq!(platform("STRIPE").store("a.b"), None, "its stores are told by nothing");
}

#[rstest]
#[case::domain(Some("store-A1.mybigcommerce.com"), None, Recognition::Same)]
#[case::the_merchants_own_domain_hides_it(Some("shop.example.com"), Some("a1"), Recognition::Same)]
#[case::hash(None, Some("a1"), Recognition::Same)]
#[case::permanent_host_as_id(None, Some("store-a1.mybigcommerce.com"), Recognition::Same)]
#[case::another(Some("store-b2.mybigcommerce.com"), Some("b2"), Recognition::Other)]
#[case::any_store(Some("shop.example.com"), None, Recognition::Doubt)]
#[case::a_host_is_no_hash(None, Some("shop.example.com"), Recognition::Doubt)]
#[case::empty(None, Some(""), Recognition::Doubt)]
#[case::nothing(None, None, Recognition::Doubt)]
fn a_big_commerce_store_is_known_by_its_permanent_host_however_rutter_tells_it(
    #[case] domain: Option<&str>,
    #[case] id: Option<&str>,
    #[case] want: Recognition,
) {
    assert_eq!(platform("BIG_COMMERCE").recognise("store-a1.mybigcommerce.com", domain, id), want);
}

/// The host of its name and the host of its hash are of one store, and nothing ties one to the other.
#[rstest]
#[case::itself("acme.mybigcommerce.com", Some("acme.mybigcommerce.com"), Some("zz"), Recognition::Same)]
#[case::the_hash_of_a_name("acme.mybigcommerce.com", Some("shop.example.com"), Some("zz"), Recognition::Doubt)]
#[case::another_name("acme.mybigcommerce.com", Some("other.mybigcommerce.com"), None, Recognition::Doubt)]
#[case::the_name_of_a_hash("store-a1.mybigcommerce.com", Some("acme.mybigcommerce.com"), None, Recognition::Doubt)]
#[case::a_name_and_another_hash(
    "store-a1.mybigcommerce.com",
    Some("acme.mybigcommerce.com"),
    Some("zz"),
    Recognition::Other
)]
fn a_bigcommerce_store_is_another_one_only_by_its_hash(
    #[case] store: &str,
    #[case] domain: Option<&str>,
    #[case] id: Option<&str>,
    #[case] want: Recognition,
) {
    assert_eq!(platform("BIG_COMMERCE").recognise(store, domain, id), want);
}

#[rstest]
#[case::domain(Some("acme.myshopify.com"), None, Recognition::Same)]
#[case::id_is_the_host(Some("shop.example.com"), Some("acme.myshopify.com"), Recognition::Same)]
#[case::id_is_the_name(Some("shop.example.com"), Some("Acme"), Recognition::Same)]
#[case::another(Some("other.myshopify.com"), Some("123"), Recognition::Other)]
#[case::number(Some("shop.example.com"), Some("123"), Recognition::Doubt)]
#[case::another_name_may_be_anything(None, Some("other"), Recognition::Doubt)]
fn a_shopify_store_is_known_by_its_permanent_host(
    #[case] domain: Option<&str>,
    #[case] id: Option<&str>,
    #[case] want: Recognition,
) {
    assert_eq!(platform("SHOPIFY").recognise("acme.myshopify.com", domain, id), want);
}

#[rstest]
#[case::same(Some("https://Example.com/Shop/"), None, Recognition::Same)]
#[case::id(Some("example.com"), Some("example.com/shop"), Recognition::Same)]
#[case::host_alone_may_be_any_shop_of_it(Some("example.com"), None, Recognition::Doubt)]
#[case::deeper(Some("example.com/shop/rest"), None, Recognition::Doubt)]
#[case::www(Some("www.example.com/shop"), None, Recognition::Doubt)]
#[case::other_scheme_or_port(Some("example.com:8080/shop"), None, Recognition::Doubt)]
#[case::subdomain(Some("admin.example.com"), None, Recognition::Doubt)]
#[case::another_shop_of_the_host(Some("example.com/outlet"), None, Recognition::Other)]
#[case::a_longer_word_is_no_path_below(Some("example.com/shopping"), None, Recognition::Other)]
#[case::another_host(Some("example.org/shop"), Some("77"), Recognition::Other)]
#[case::no_subdomain(Some("badexample.com/shop"), None, Recognition::Other)]
#[case::one_of_two_in_doubt(Some("example.org"), Some("www.example.com"), Recognition::Doubt)]
#[case::number(None, Some("77"), Recognition::Doubt)]
fn a_store_of_the_merchants_own_is_another_one_only_where_that_is_certain(
    #[case] domain: Option<&str>,
    #[case] id: Option<&str>,
    #[case] want: Recognition,
) {
    for name in ["WOO_COMMERCE", "MAGENTO", "PRESTASHOP", "SHOPER"] {
        assert_eq!(platform(name).recognise("example.com/shop", domain, id), want);
    }
}

#[test]
fn siblings_below_one_domain_are_different_stores() {
    let shoper = platform("SHOPER");
    assert_eq!(shoper.recognise("a.shops.example.com", Some("b.shops.example.com"), None), Recognition::Other);
}

#[test]
fn nobody_tells_stores_without_identity_apart() {
    let stripe = platform("STRIPE");
    assert_eq!(stripe.recognise("a.b", Some("c.d"), Some("e.f")), Recognition::Doubt);
    assert!(stripe.is_told(None, None), "there is nothing to wait for");
    assert!(!platform("SHOPIFY").is_told(Some("shop.example.com"), Some("123")));
}

#[test]
fn a_name_that_nobody_announced_may_be_any_platform() {
    assert!(is_another("SHOPIFY", "BIG_COMMERCE") && !is_another("BIG_COMMERCE", "BIG_COMMERCE"));
    assert!(!is_another("ANNOUNCED_TOMORROW", "BIG_COMMERCE"));
    assert!(crate::domain::rules::RUTTER_PLATFORMS.iter().all(|p| NAMED.contains(&p.name)));
}
