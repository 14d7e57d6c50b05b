//! The files of the console and of the operators' page, which are a part of the binary.

use roomcast_transport::{Page, PageFile};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A file of the folder `console`, by its name.
macro_rules! file {
    ($path:literal, $name:literal, $content_type:ident) => {
        PageFile {
            path: $path,
            content_type: $content_type,
            content: include_str!(concat!("../console/", $name)),
        }
    };
}

/// Shown at `GET /` of the public listener.
const CONSOLE: &[PageFile] = &[
    file!("/", "index.html", HTML),
    file!("/console/console.css", "console.css", CSS),
    file!("/console/icon.svg", "icon.svg", SVG),
    file!("/console/console.js", "console.js", SCRIPT),
    file!("/console/panel.js", "panel.js", SCRIPT),
    file!("/console/links.js", "links.js", SCRIPT),
    file!("/console/resume.js", "resume.js", SCRIPT),
    file!("/console/content.js", "content.js", SCRIPT),
    file!("/console/log.js", "log.js", SCRIPT),
    file!("/console/charts.js", "charts.js", SCRIPT),
];

/// Shown at `GET /` of the admin listener.
const OPERATORS_PAGE: &[PageFile] = &[
    file!("/", "admin/index.html", HTML),
    file!("/console/console.css", "console.css", CSS),
    file!("/console/icon.svg", "icon.svg", SVG),
    file!("/console/charts.js", "charts.js", SCRIPT),
    file!("/console/admin/admin.css", "admin/admin.css", CSS),
    file!("/console/admin/admin.js", "admin/admin.js", SCRIPT),
    file!("/console/admin/api.js", "admin/api.js", SCRIPT),
    file!("/console/admin/table.js", "admin/table.js", SCRIPT),
    file!("/console/admin/question.js", "admin/question.js", SCRIPT),
];

/// The console.
pub(crate) fn page() -> Page {
    Page::new(CONSOLE)
}

/// The operators' page.
pub(crate) fn operators_page() -> Page {
    Page::new(OPERATORS_PAGE)
}
