//! The lines of Mosquitto's configuration: one file, and those of the directories it includes.
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: Arc<Path>,
    pub line: usize,
}

impl Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.file.display(), self.line)
    }
}

/// An option as it is written: its name, and the rest of the line.
#[derive(Debug, Clone)]
pub struct Line {
    pub place: Place,
    pub name: String,
    pub value: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{path}: {source}; name a file that can be read")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{place}: include_dir {path}: {source}; let it be read, or take the line out")]
    Directory { place: Place, path: PathBuf, source: std::io::Error },
}

/// All lines in the order in which Mosquitto reads them.
pub fn read(path: &Path) -> Result<Vec<Line>, ReadError> {
    let mut lines = Vec::new();
    for line in read_one(path)? {
        if line.name != "include_dir" {
            lines.push(line);
            continue;
        }
        // Only the main file may include others.
        for file in included(&line)? {
            lines.extend(read_one(&file)?);
        }
    }
    Ok(lines)
}

fn read_one(path: &Path) -> Result<Vec<Line>, ReadError> {
    let bytes = std::fs::read(path).map_err(|source| ReadError::File { path: path.to_owned(), source })?;
    Ok(parse(path, &String::from_utf8_lossy(&bytes)))
}

/// A comment fills its line from the first column on; spaces, not tabs, end a name.
pub fn parse(path: &Path, text: &str) -> Vec<Line> {
    let file: Arc<Path> = path.into();
    let line = |(index, line): (usize, &str)| {
        let content = line.trim_end();
        if content.starts_with('#') || content.is_empty() {
            return None;
        }
        let content = content.trim_start_matches(' ');
        let (name, value) = content.split_once(' ').unwrap_or((content, ""));
        let place = Place { file: file.clone(), line: index + 1 };
        Some(Line { place, name: name.to_owned(), value: value.trim_start().to_owned() })
    };
    text.lines().enumerate().filter_map(line).collect()
}

/// The `.conf` files of a directory: by letters, upper case before lower.
fn included(line: &Line) -> Result<Vec<PathBuf>, ReadError> {
    let directory = PathBuf::from(&line.value);
    let fail = |source| ReadError::Directory { place: line.place.clone(), path: directory.clone(), source };
    let entries = std::fs::read_dir(&directory).map_err(fail)?.collect::<Result<Vec<_>, _>>().map_err(fail)?;
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    files.sort_by_cached_key(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (name.to_lowercase(), name)
    });
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(usize, String, String)> {
        let lines = parse(Path::new("m.conf"), text);
        lines.into_iter().map(|line| (line.place.line, line.name, line.value)).collect()
    }

    #[test]
    fn lines_are_read_as_mosquitto_reads_them() {
        let text = "# comment\n\nlistener 1883\r\n  sys_interval   10\npassword_file /a b/c\npersistence\n";
        let expected = [
            (3, "listener", "1883"),
            (4, "sys_interval", "10"),
            (5, "password_file", "/a b/c"),
            (6, "persistence", ""),
        ];
        let expected: Vec<_> = expected.map(|(line, name, value)| (line, name.to_owned(), value.to_owned())).into();
        assert_eq!(pairs(text), expected);
    }

    #[test]
    fn a_comment_begins_in_the_first_column_and_a_tab_ends_no_name() {
        assert_eq!(pairs(" # x")[0].1, "#");
        assert_eq!(pairs("listener\t1883")[0].1, "listener\t1883");
    }

    #[test]
    fn included_files_come_in_mosquittos_order_where_they_are_included() {
        let directory = tempfile::tempdir().unwrap();
        let included = directory.path().join("conf.d");
        std::fs::create_dir(&included).unwrap();
        for name in ["b.conf", "A.conf", "01.conf", "a.conf", "B.conf", "00.conf", "not.txt"] {
            std::fs::write(included.join(name), format!("log_type {name}\n")).unwrap();
        }
        let main = directory.path().join("mosquitto.conf");
        std::fs::write(&main, format!("sys_interval 1\ninclude_dir {}\nsys_interval 2\n", included.display())).unwrap();
        let values: Vec<_> = read(&main).unwrap().into_iter().map(|line| line.value).collect();
        assert_eq!(values, ["1", "00.conf", "01.conf", "A.conf", "a.conf", "B.conf", "b.conf", "2"]);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let main = directory.path().join("mosquitto.conf");
        assert!(read(&main).unwrap_err().to_string().contains("mosquitto.conf: No such file"));
        std::fs::write(&main, "\ninclude_dir /nowhere/at/all\n").unwrap();
        let told = read(&main).unwrap_err().to_string();
        assert!(told.contains("mosquitto.conf:2: include_dir /nowhere/at/all: No such file"), "{told}");
    }
}
