//! Wishes about users, as backends publish them: what is read is what the JSON says, and is written as it is read.

use roomcast_protocol::Room;
use roomcast_protocol::control::{CONTROL_BYTES_MAX, Control};
use serde_json::Value;

/// A message of the control channel.
pub fn run(data: &[u8]) {
    let parsed = Control::parse(data);
    let expected = by_definition(data);
    match (&parsed, &expected) {
        (Ok(control), _) => assert_eq!(Some(control), expected.as_ref()),
        // The reference does not see that a name is there twice, and takes the last.
        (Err(_), Some(control)) => assert!(texts(data) > texts(control.to_json().as_bytes())),
        (Err(error), None) => assert!(error.to_string().contains("write {\"disconnect\"")),
    }
    let Ok(control) = parsed else { return };
    let written = control.to_json();
    assert!(written.len() <= data.len(), "{written}");
    assert_eq!(Control::parse(written.as_bytes()), Ok(control));
}

/// How many texts there are in JSON, names among them.
fn texts(json: &[u8]) -> usize {
    let mut quotes = 0;
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'"' => quotes += 1,
            _ => {}
        }
    }
    quotes / 2
}

/// One member, whose value is an object with exactly the texts that belong to it.
fn by_definition(data: &[u8]) -> Option<Control> {
    if data.len() > CONTROL_BYTES_MAX {
        return None;
    }
    let Value::Object(object) = serde_json::from_slice(data).ok()? else { return None };
    let mut members = object.into_iter();
    let ((name, Value::Object(inner)), None) = (members.next()?, members.next()) else { return None };
    let user = inner.get("user")?.as_str()?.into();
    match (&*name, inner.len()) {
        ("disconnect", 1) => Some(Control::Disconnect { user }),
        ("unsubscribe", 2) => {
            Some(Control::Unsubscribe { user, room: Room::parse(inner.get("room")?.as_str()?).ok()? })
        }
        _ => None,
    }
}
