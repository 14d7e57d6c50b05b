//! One thing that was looked at.

use std::fmt;

use serde::Serialize;

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Grade {
    Ok,
    /// It works, and could be better.
    Warn,
    Fail,
}

/// What was found, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    #[serde(rename = "state")]
    pub(super) grade: Grade,
    pub(super) message: String,
    /// None where nothing is to be done.
    pub(super) remedy: Option<String>,
}

pub(super) fn good(check: &'static str, message: impl Into<String>) -> Finding {
    Finding { check, grade: Grade::Ok, message: message.into(), remedy: None }
}

pub(super) fn warning(check: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { check, grade: Grade::Warn, message: message.into(), remedy: Some(remedy.into()) }
}

pub(super) fn bad(check: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { check, grade: Grade::Fail, message: message.into(), remedy: Some(remedy.into()) }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grade = match self.grade {
            Grade::Ok => "ok  ",
            Grade::Warn => "warn",
            Grade::Fail => "FAIL",
        };
        write!(f, "{grade}  {}", self.message)?;
        self.remedy.as_ref().map_or(Ok(()), |remedy| write!(f, "; {remedy}"))
    }
}
