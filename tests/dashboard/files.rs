//! The files that the dashboard is made of, as the listener serves them.
use crate::peer::{request, start};

#[test]
fn the_page_and_its_parts_are_served_to_anybody_and_strictly() {
    let broker = start("");
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/assets/app.js", "text/javascript; charset=utf-8"),
        ("/assets/style/colours.css", "text/css; charset=utf-8"),
        ("/assets/vow.svg", "image/svg+xml"),
        ("/assets/vendor/uPlot-LICENSE.txt", "text/plain; charset=utf-8"),
    ] {
        let (status, head, body) = request(&broker, "GET", path, &[], "");
        assert_eq!(status, 200, "{path}");
        assert!(!body.is_empty(), "{path}");
        for header in [
            &format!("content-type: {content_type}"),
            "cache-control: no-cache",
            "x-content-type-options: nosniff",
            "frame-ancestors 'none'",
            "default-src 'self'",
        ] {
            assert!(head.contains(header), "{path}: no {header} in {head}");
        }
        assert!(!head.contains("unsafe"), "{path}: {head}");
        let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag").to_owned();
        let (status, _, body) = request(&broker, "GET", path, &[("If-None-Match", &tag)], "");
        assert_eq!((status, body.as_str()), (304, ""), "{path}");
    }
}

#[test]
fn nothing_but_the_dashboards_files_is_given_away() {
    let broker = start("");
    for path in ["/assets/../mod.rs", "/assets/%2e%2e/mod.rs", "/assets/..%2fmod.rs", "/assets//etc/passwd", "/assets/"]
    {
        assert_eq!(request(&broker, "GET", path, &[], "").0, 404, "{path}");
    }
}

#[test]
fn a_link_from_elsewhere_opens_the_page_and_nothing_else() {
    let broker = start("");
    let link = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")];
    assert_eq!(request(&broker, "GET", "/", &link, "").0, 200);
    assert_eq!(request(&broker, "GET", "/api/v1/status", &link, "").0, 403);
    let (status, head, _) = request(&broker, "GET", "/", &[("Sec-Fetch-Site", "cross-site")], "");
    assert_eq!(status, 403, "not as a part of another page: {head}");
}
