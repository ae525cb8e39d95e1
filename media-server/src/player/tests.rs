//! The pages over HTTP.
#![allow(clippy::unwrap_used)]

use reqwest::Method;

use crate::testing::World;

#[tokio::test(flavor = "multi_thread")]
async fn the_root_is_a_page_that_a_person_can_use() {
    let mut world = World::new().await;
    world.settings.server.public_url = "https://school.example/media".into();
    let server = world.server("a").await;
    let page = server.open(Method::GET, "/").send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("script-src 'self';"));
    let html = page.text().await.unwrap();
    assert!(html.contains("chalkstream link ID"), "how to get a link: {html}");
    let href = |after: &str| html.split(after).nth(1).unwrap().split('"').next().unwrap().to_owned();
    for address in [href("<a href=\""), href("rel=\"stylesheet\" href=\"")] {
        let path = address.strip_prefix("/media").expect("below the public URL");
        let found = server.open(Method::GET, path).send().await.unwrap();
        assert_eq!(found.status(), 200, "{address}");
    }
}
