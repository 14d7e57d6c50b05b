//! What a page consists of, found as a browser finds it.

use roomcast_bench::{Response, request};

/// Fetches the page at `/` of a port and all that it loads. Asserts that each file can be taken for nothing else, is sent
/// once, and that nothing in the document would run or be drawn if it were somebody else's. Gives the paths.
pub(crate) fn crawl(port: u16, accept: (&str, &str)) -> Vec<String> {
    let get = |path: &str, headers: &[(&str, &str)]| -> Response {
        request(port, "GET", path, headers, b"").unwrap()
    };
    let page = get("/", &[accept]);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    let text = page.text();
    for inline in ["<style", "style=", "<script>", " onclick", "http://", "https://"] {
        assert!(!text.contains(inline), "{inline}");
    }
    let mut waiting = vec![("/".to_owned(), text)];
    let mut files = vec!["/".to_owned()];
    while let Some((name, text)) = waiting.pop() {
        for path in loaded(&name, &text) {
            if files.contains(&path) {
                continue;
            }
            let file = get(&path, &[]);
            assert_eq!(
                (file.status, file.header("x-content-type-options")),
                (200, Some("nosniff")),
                "{path}"
            );
            let expected = match path.rsplit('.').next() {
                Some("js") => "text/javascript; charset=utf-8",
                Some("css") => "text/css; charset=utf-8",
                _ => "image/svg+xml",
            };
            assert_eq!(file.header("content-type"), Some(expected), "{path}");
            let tag = file.header("etag").unwrap().to_owned();
            assert_eq!(get(&path, &[("If-None-Match", &tag)]).status, 304, "{path}");
            waiting.push((path.clone(), file.text()));
            files.push(path);
        }
    }
    files
}

/// What the document loads, and what modules import.
fn loaded(name: &str, text: &str) -> Vec<String> {
    let folder = &name[..=name.rfind('/').unwrap()];
    let above = folder.trim_end_matches('/').rsplit_once('/').map_or("", |(above, _)| above);
    let quoted = text.split('"').filter(|name| name.starts_with("/console/")).map(str::to_owned);
    let imported = text.split(" from \"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let imported = imported.map(|path| match path.strip_prefix("../") {
        Some(path) => format!("{above}/{path}"),
        None => format!("{folder}{}", path.strip_prefix("./").unwrap()),
    });
    quoted.chain(imported).collect()
}
