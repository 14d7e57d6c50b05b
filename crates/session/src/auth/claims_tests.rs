//! Claims of every shape: taken, or refused with the sentence that belongs to them.

use proptest::prelude::*;

use super::super::pattern::PatternError;
use super::*;

fn identity(payload: &str) -> Result<Identity, ClaimError> {
    Claims::parse(payload.as_bytes())?.identity(None)
}

#[test]
fn users() {
    let user = |sub: &str| identity(&format!(r#"{{"sub":{sub}}}"#)).map(|identity| identity.user);
    let quoted = |text: &str| format!("{text:?}");
    assert_eq!(user("\"alice\""), Ok(Some("alice".into())));
    assert_eq!(user(r#""auth0|ünï""#), Ok(Some("auth0|ünï".into())));
    assert_eq!(user("null"), Ok(None));
    assert!(user(&quoted(&"x".repeat(SUBJECT_BYTES_MAX))).is_ok());
    let too_long = quoted(&"x".repeat(SUBJECT_BYTES_MAX + 1));
    for sub in ["\"\"", "5", "[]", "{}", r#""a\nb""#, r#""a\u0000""#, r#""\u0085""#, &too_long] {
        assert_eq!(user(sub), Err(ClaimError::Subject), "{sub}");
    }
    assert_eq!(identity("{}").unwrap().user, None);
}

#[test]
fn info_becomes_one_line_of_at_most_its_bound() {
    let info = |info: &str| identity(&format!(r#"{{"info":{info}}}"#)).map(|identity| identity.info);
    let shown = "{\n \"name\" :\t\"A \\\" \\\\\" , \"n\" : [1, 2]\r\n}";
    assert_eq!(info(shown), Ok(Some(r#"{"name":"A \" \\","n":[1,2]}"#.into())));
    assert_eq!(info("1e400"), Ok(Some("1e400".into())));
    assert!(info(&format!("\"{}\"", "x".repeat(INFO_BYTES_MAX - 2))).is_ok());
    assert_eq!(info(&format!("\"{}\"", "x".repeat(INFO_BYTES_MAX - 1))), Err(ClaimError::Info));
    assert_eq!(info("null"), Ok(None));
}

#[test]
fn rooms() {
    let rooms = |rooms: &str| identity(&format!(r#"{{"sub":"a","rooms":{rooms}}}"#)).map(|_| ());
    for taken in ["{}", "null", r#"{"subscribe":[]}"#, r#"{"publish":["a","b:*"],"later":7}"#] {
        assert_eq!(rooms(taken), Ok(()), "{taken}");
    }
    for refused in
        ["[]", "\"*\"", "true", r#"{"subscribe":"*"}"#, r#"{"subscribe":[1]}"#, r#"{"publish":null}"#]
    {
        assert_eq!(rooms(refused), Err(ClaimError::Rooms), "{refused}");
    }
    let pattern = GrantError::Pattern(PatternError::Placeholder);
    assert_eq!(rooms(r#"{"history":["{user}"]}"#), Err(ClaimError::Grants(pattern)));
}

#[test]
fn times_and_names() {
    let times = |json: &str| {
        let claims = Claims::parse(json.as_bytes())?;
        Ok((claims.expires()?, claims.begins()?))
    };
    assert_eq!(times("{}"), Ok((None, None)));
    assert_eq!(times(r#"{"exp":7,"nbf":3}"#), Ok((Some(7), Some(3))));
    assert_eq!(times(r#"{"exp":7.9,"nbf":3.1}"#), Ok((Some(7), Some(4))));
    assert_eq!(times(r#"{"exp":-1,"nbf":-1}"#), Ok((Some(0), Some(0))));
    assert_eq!(times(r#"{"exp":1e300}"#), Ok((Some(u64::MAX), None)));
    for wrong in [r#"{"exp":"7"}"#, r#"{"nbf":true}"#, r#"{"exp":[7]}"#, r#"{"exp":1e999}"#] {
        assert_eq!(times(wrong), Err(ClaimError::Time), "{wrong}");
    }
    let audiences = |json: &str| Claims::parse(json.as_bytes())?.audiences();
    assert_eq!(audiences(r#"{"aud":"a"}"#), Ok(vec!["a".to_owned()]));
    assert_eq!(audiences(r#"{"aud":["a","b"]}"#), Ok(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(audiences("{}"), Ok(Vec::new()));
    assert_eq!(audiences(r#"{"aud":{"a":1}}"#), Err(ClaimError::Audience));
    let claims = Claims::parse(br#"{"iss":["x"]}"#).unwrap();
    assert_eq!(claims.issuer(), Err(ClaimError::Issuer));
}

#[test]
fn payloads_that_are_none() {
    for payload in ["", "{", "[]", "[\"a\"]", "null", "\"a\"", r#"{"sub":"a","sub":"b"}"#, "{} x", "\u{1}"] {
        assert_eq!(Claims::parse(payload.as_bytes()).err(), Some(ClaimError::Payload), "{payload}");
    }
    for not_utf8 in [&b"\xff"[..], b"{\"else\":\"\xff\"}"] {
        assert_eq!(Claims::parse(not_utf8).err(), Some(ClaimError::Payload));
    }
}

proptest! {
    #[test]
    fn nothing_panics(claim in "(sub|info|rooms|exp|nbf|iss|aud)", value in ".{0,60}") {
        let payload = format!(r#"{{"{claim}":{value}}}"#);
        if let Ok(claims) = Claims::parse(payload.as_bytes()) {
            let _ = (claims.expires(), claims.begins(), claims.issuer(), claims.audiences());
            let _ = claims.identity(Some(1));
        }
    }

    #[test]
    fn shortened_info_means_the_same(value in proptest::collection::vec((".{0,9}", 0..9), 0..5)) {
        let value = serde_json::json!(value);
        let spread = serde_json::to_string_pretty(&value).unwrap();
        prop_assert_eq!(without_space(&spread), value.to_string());
    }
}
