//! Pages that are part of the binary: their files, and the headers that keep anything else from running in them.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};

/// Only files of this service are loaded and spoken to, nothing that stands in the page itself runs, text cannot be made
/// markup by a script, and no other page may show this one in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// A file of a page, as it is written down in the program.
#[derive(Debug, Clone, Copy)]
pub struct PageFile {
    /// Where it is found, such as `/console/console.js`.
    pub path: &'static str,
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// What is in it.
    pub content: &'static str,
}

/// A page: the first of its files is the document. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Page {
    files: Arc<[(PageFile, String)]>,
}

impl Page {
    /// A page of these files.
    pub fn new(files: &[PageFile]) -> Self {
        Self { files: files.iter().map(|file| (*file, tag(file.content))).collect() }
    }

    /// The answer to a GET of this path, if it is one of the page's: 304 to who has it already.
    pub fn answer<B: From<Bytes>>(&self, path: &str, request: &HeaderMap) -> Option<Response<B>> {
        let (file, tag) = self.files.iter().find(|(file, _)| file.path == path)?;
        let known = request.get(IF_NONE_MATCH).and_then(|known| known.to_str().ok());
        let known = known.is_some_and(|known| known.split(',').any(|known| is_same(known, tag)));
        let content = if known { "" } else { file.content };
        let mut response = Response::new(Bytes::from_static(content.as_bytes()).into());
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.content_type));
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        // Asked for again each time: another version of the program may answer next.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(VARY, HeaderValue::from_static("Accept"));
        if let Ok(tag) = HeaderValue::from_str(tag) {
            headers.insert(ETAG, tag);
        }
        Some(response)
    }
}

/// The console, and who sees it.
#[derive(Debug, Clone)]
pub struct Console {
    /// What it consists of.
    pub page: Page,
    /// Also where clients need a token.
    pub with_tokens: bool,
}

/// Whether a client says that it can show a page (RFC 9110, section 12.5.1). Browsers do; `curl` takes anything, and gets
/// text.
pub(crate) fn takes_html(request: &HeaderMap) -> bool {
    let ranges = request.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    ranges.flat_map(|accept| accept.split(',')).any(|range| {
        let media_type = range.split(';').next().unwrap_or_default();
        media_type.trim().eq_ignore_ascii_case("text/html")
    })
}

/// The same for the same content, on every node of this version.
fn tag(content: &str) -> String {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

/// Proxies that compress make strong tags weak (RFC 9110, section 8.8.3).
fn is_same(known: &str, tag: &str) -> bool {
    let known = known.trim();
    known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(path: &str, known: &str) -> Option<Response<Bytes>> {
        let file = PageFile { path: "/a.js", content_type: "text/javascript", content: "1" };
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, HeaderValue::from_str(known).unwrap());
        Page::new(&[file]).answer(path, &headers)
    }

    #[test]
    fn a_file_is_sent_once() {
        let response = answer("/a.js", "\"other\"").unwrap();
        assert_eq!((response.status(), &response.body()[..]), (StatusCode::OK, &b"1"[..]));
        let tag = response.headers()[ETAG].to_str().unwrap();
        for known in [tag.to_owned(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            let response = answer("/a.js", &known).unwrap();
            assert_eq!((response.status(), response.body().len()), (StatusCode::NOT_MODIFIED, 0), "{known}");
        }
        assert!(answer("/b.js", "*").is_none());
    }

    #[test]
    fn who_takes_html() {
        let takes = |accept: &'static str| {
            takes_html(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]))
        };
        assert!(takes("text/html,application/xhtml+xml,*/*;q=0.8"));
        assert!(takes("application/json, Text/HTML;q=0.9"));
        for other in ["*/*", "text/*", "text/plain", "application/json, text/htmlx", ""] {
            assert!(!takes(other), "{other}");
        }
        assert!(!takes_html(&HeaderMap::new()));
    }
}
