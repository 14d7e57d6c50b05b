//! The blocks of a document, in order, with what is said about each in comments that readers do not see.

/// A block of code, or commands in a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// Where its first line is, counted from 1.
    pub(crate) line: usize,
    /// What stands behind the opening fence.
    pub(crate) language: String,
    pub(crate) body: String,
    pub(crate) markers: Vec<Marker>,
}

/// What a comment above a block says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Marker {
    /// `checked: REASON`: it cannot be run by a test, because.
    Checked(String),
    /// `file: NAME`: it is saved, and commands further on use it.
    File(String),
    /// `terminal: NAME`: it goes on running in a terminal of its own.
    Terminal(String),
    /// `terminals`: each of its lines is typed in a terminal of its own.
    Terminals,
    /// `output: NAME`: what that terminal shows from here on.
    Output(String),
    /// `page: URL`: it is typed into the developer console of that page, whose terminal is called `page`.
    Page(String),
    /// `fails`: its command ends with an error, which is shown below.
    Fails,
    /// `hidden`: commands in the comment itself, which readers have no need of.
    Hidden,
}

impl Block {
    pub(crate) fn reason(&self) -> Option<&str> {
        self.markers.iter().find_map(|marker| match marker {
            Marker::Checked(reason) => Some(&**reason),
            _ => None,
        })
    }

    pub(crate) fn file(&self) -> Option<&str> {
        self.markers.iter().find_map(|marker| match marker {
            Marker::File(name) => Some(&**name),
            _ => None,
        })
    }

    pub(crate) fn terminal(&self) -> Option<&str> {
        self.markers.iter().find_map(|marker| match marker {
            Marker::Terminal(name) => Some(&**name),
            _ => None,
        })
    }

    pub(crate) fn output(&self) -> Option<&str> {
        self.markers.iter().find_map(|marker| match marker {
            Marker::Output(name) => Some(&**name),
            _ => None,
        })
    }

    pub(crate) fn page(&self) -> Option<&str> {
        self.markers.iter().find_map(|marker| match marker {
            Marker::Page(url) => Some(&**url),
            _ => None,
        })
    }

    pub(crate) fn has(&self, marker: &Marker) -> bool {
        self.markers.contains(marker)
    }
}

/// All blocks of a document; a sentence where something in it is not understood.
pub(crate) fn blocks(text: &str) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    let mut markers: Vec<Marker> = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let trimmed = line.trim();
        if let Some(language) = trimmed.strip_prefix("```") {
            let indent = line.len() - line.trim_start().len();
            let mut body = String::new();
            loop {
                let Some((_, line)) = lines.next() else {
                    return Err(format!("line {}: the block has no end", at + 1));
                };
                if line.trim() == "```" {
                    break;
                }
                body += line.get(indent..).unwrap_or_default();
                body.push('\n');
            }
            let language = language.to_owned();
            blocks.push(Block { line: at + 2, language, body, markers: std::mem::take(&mut markers) });
        } else if let Some(rest) = trimmed.strip_prefix("<!--") {
            let mut comment = rest.to_owned();
            while !comment.contains("-->") {
                let Some((_, line)) = lines.next() else {
                    return Err(format!("line {}: the comment has no end", at + 1));
                };
                comment.push('\n');
                comment += line;
            }
            let comment = comment.replace("-->", "");
            let (first, body) = comment.split_once('\n').unwrap_or((&comment, ""));
            let found = match comment.trim().strip_prefix("checked:") {
                // A reason may have commas, and more than one line.
                Some(reason) if !reason.trim().is_empty() => {
                    Ok(vec![Marker::Checked(reason.trim().to_owned())])
                }
                _ => first.split(", ").map(|word| marker(word.trim())).collect::<Result<Vec<_>, _>>(),
            };
            let found = found.map_err(|error| format!("line {}: {error}", at + 1))?;
            if found.contains(&Marker::Hidden) {
                let (language, body) = ("sh".to_owned(), body.to_owned());
                blocks.push(Block { line: at + 2, language, body, markers: found });
            } else {
                markers.extend(found);
            }
        } else if !trimmed.is_empty() && !markers.is_empty() {
            return Err(format!("line {}: {markers:?} is not right above a block", at + 1));
        }
    }
    if markers.is_empty() { Ok(blocks) } else { Err(format!("{markers:?} stands above nothing")) }
}

fn marker(word: &str) -> Result<Marker, String> {
    let (key, value) = word.split_once(':').map_or((word, ""), |(key, value)| (key, value.trim()));
    match (key, value.to_owned()) {
        ("hidden", _) => Ok(Marker::Hidden),
        ("terminals", _) => Ok(Marker::Terminals),
        ("fails", _) => Ok(Marker::Fails),
        (_, value) if value.is_empty() => Err(format!("{word:?} is no marker, or has nothing behind it")),
        ("file", name) => Ok(Marker::File(name)),
        ("terminal", name) => Ok(Marker::Terminal(name)),
        ("output", name) => Ok(Marker::Output(name)),
        ("page", url) => Ok(Marker::Page(url)),
        _ => Err(format!("{key:?} is no marker")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_with_their_markers() {
        let text = "# A\n\n```sh\none\n  two\n```\n\n<!-- hidden, terminal: a\nthree\n-->\n- item\n\n  <!-- output: a -->\n  ```text\n  x\n  ```\n";
        let found = blocks(text).unwrap();
        let bodies: Vec<_> = found.iter().map(|block| (block.line, &*block.language, &*block.body)).collect();
        assert_eq!(bodies, [(4, "sh", "one\n  two\n"), (9, "sh", "three\n"), (15, "text", "x\n")]);
        assert_eq!(found[1].markers, [Marker::Hidden, Marker::Terminal("a".to_owned())]);
        assert_eq!(found[2].output(), Some("a"));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for text in [
            "```sh\nx\n",
            "<!-- nothing -->\n```sh\n```\n",
            "<!-- checked: -->\n```sh\n```\n",
            "<!-- terminals -->\ntext\n",
        ] {
            assert!(blocks(text).is_err(), "{text}");
        }
    }
}
