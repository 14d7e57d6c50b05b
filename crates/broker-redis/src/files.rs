//! Files that an operator names: passwords, certificates and keys.

use std::fs::File;
use std::io::{Error, ErrorKind, Read as _, Result};
use std::path::Path;

/// Longest file that is read, in bytes: all authorities of an operating system take a quarter of it. Where somebody
/// names a device or a log by mistake, memory and time stay bounded.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The whole file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let message =
            format!("it has more than {FILE_BYTES_MAX} bytes, which no password or certificate has");
        return Err(Error::new(ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// The whole file as text.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).map_err(|_| Error::new(ErrorKind::InvalidData, "it is not UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endless_files_end() {
        let error = read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge, "{error}");
        assert!(error.to_string().contains("more than 1048576 bytes"), "{error}");
    }

    #[test]
    fn whole_files_and_text_are_read() {
        let folder = xtask::process::scratch_folder("files").unwrap();
        let file = folder.join("file");
        for (bytes, is_text) in [(vec![b'x'; FILE_BYTES_MAX as usize], true), (vec![b'a', 0xff], false)] {
            std::fs::write(&file, &bytes).unwrap();
            assert_eq!(read(&file).unwrap(), bytes);
            assert_eq!(read_text(&file).is_ok(), is_text);
        }
    }
}
