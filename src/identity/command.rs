//! `vowmq passwd`: adds, changes and removes the users of a file. Passwords come from a prompt or from standard input.
use super::is_user_name;
use super::lines::entries;
use super::password::{Users, hash};
use super::scram::{Credential, ITERATIONS_MAX, ITERATIONS_MIN, Users as ScramUsers};
use clap::{Args, Subcommand};
use std::io::{BufRead, IsTerminal, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zeroize::Zeroizing;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vowmq passwd users add ann                        asks for the password; makes the file if it is not there
  echo 'a password' | vowmq passwd users change ann
  vowmq passwd users batch < new.txt                user:password lines; adds and changes
  vowmq passwd scram-users add ann --scram          for an authenticator of kind = \"scram\"
A running broker takes the new file over when it reloads.")]
pub struct Passwd {
    /// The file
    file: PathBuf,
    #[command(subcommand)]
    action: Action,
    /// Write SCRAM-SHA-256 lines, for an authenticator of kind = "scram"
    #[arg(long, global = true)]
    scram: bool,
    /// Work that SCRAM asks of each client at each login
    #[arg(long, global = true, value_name = "COUNT", default_value_t = 15_000, requires = "scram",
        value_parser = clap::value_parser!(u32).range(i64::from(ITERATIONS_MIN)..=i64::from(ITERATIONS_MAX)))]
    scram_iterations: u32,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add a user
    Add(User),
    /// Give a user another password
    Change(User),
    /// Remove a user
    Remove {
        /// The user's name
        user: String,
    },
    /// Add or change the users in the user:password lines of standard input
    Batch,
}

#[derive(Debug, Args)]
struct User {
    /// The user's name
    user: String,
    /// The password, which others on this machine can see while the command runs
    #[arg(long, value_name = "PASSWORD")]
    password: Option<String>,
}

type Secret = Zeroizing<String>;

/// Does what was asked for.
pub fn run(command: &Passwd) -> ExitCode {
    match command.run() {
        Ok(told) => {
            println!("{told}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("vowmq: {why}");
            ExitCode::FAILURE
        }
    }
}

impl Passwd {
    fn run(&self) -> Result<String, String> {
        // A link is followed: what it names is replaced, and not the link.
        let path = self.file.canonicalize().unwrap_or_else(|_| self.file.clone());
        let mut lines = self.read(&path)?;
        let told = match &self.action {
            Action::Add(user) => {
                if lines.has(&user.user) {
                    return Err(format!("{}: there is a user {:?} already; use change", path.display(), user.user));
                }
                self.set(&mut lines, &user.user, &user.ask()?)?;
                format!("added {:?}", user.user)
            }
            Action::Change(user) => {
                if !lines.has(&user.user) {
                    return Err(format!("{}: there is no user {:?}; use add", path.display(), user.user));
                }
                self.set(&mut lines, &user.user, &user.ask()?)?;
                format!("changed {:?}", user.user)
            }
            Action::Remove { user } => {
                if !lines.has(user) {
                    return Err(format!("{}: there is no user {user:?}", path.display()));
                }
                lines.remove(user);
                format!("removed {user:?}")
            }
            Action::Batch => self.batch(&mut lines)?,
        };
        replace(&path, &lines.0).map_err(|error| format!("{}: {error}; nothing was changed", path.display()))?;
        Ok(format!("{told} in {}", path.display()))
    }

    /// The file's lines, if it is one that a broker would take. A file that is to be made has none.
    fn read(&self, path: &Path) -> Result<Lines, String> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound && !matches!(self.action, Action::Remove { .. }) =>
            {
                String::new()
            }
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let fault = if self.scram { ScramUsers::parse(&text).err() } else { Users::parse(&text).err() };
        match fault {
            None => Ok(Lines(text.lines().map(str::to_owned).collect())),
            Some(fault) => Err(format!("{}:{fault}; put it right first, or choose another file", path.display())),
        }
    }

    fn set(&self, lines: &mut Lines, user: &str, password: &str) -> Result<(), String> {
        check_user(user)?;
        if password.is_empty() {
            return Err(format!("the password of {user:?} is empty"));
        }
        let line = if self.scram {
            let credential = Credential::new(password, self.scram_iterations);
            let credential =
                credential.ok_or(format!("the password of {user:?} holds characters that SCRAM forbids"))?;
            format!("{user}:{}", credential.to_line())
        } else {
            format!("{user}:{}", hash::hash(password.as_bytes()))
        };
        lines.put(user, line);
        Ok(())
    }

    /// All lines or none.
    fn batch(&self, lines: &mut Lines) -> Result<String, String> {
        let mut text = Secret::default();
        std::io::stdin().read_to_string(&mut text).map_err(|error| format!("standard input: {error}"))?;
        let mut count = 0;
        for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.is_empty()) {
            let told = |why: String| format!("standard input:{number}: {why}; nothing was changed");
            let (user, password) = line.split_once(':').ok_or(told("this is not user:password".to_owned()))?;
            self.set(lines, user, password).map_err(told)?;
            count += 1;
        }
        Ok(format!("added or changed {count} users"))
    }
}

impl User {
    fn ask(&self) -> Result<Secret, String> {
        check_user(&self.user)?;
        if let Some(password) = &self.password {
            return Ok(Secret::new(password.clone()));
        }
        if !std::io::stdin().is_terminal() {
            let mut line = Secret::default();
            std::io::stdin().lock().read_line(&mut line).map_err(|error| format!("standard input: {error}"))?;
            return Ok(Secret::new(line.trim_end_matches(['\n', '\r']).to_owned()));
        }
        let ask = |what: &str| {
            let asked = rpassword::prompt_password(format!("{what} of {:?}: ", self.user));
            asked.map(Secret::new).map_err(|error| format!("the terminal: {error}"))
        };
        let password = ask("password")?;
        if ask("once more, the password")? != password {
            return Err("these are two different passwords; nothing was changed".to_owned());
        }
        Ok(password)
    }
}

fn check_user(user: &str) -> Result<(), String> {
    let is_legal = is_user_name(user) && user.trim() == user && !user.contains(':') && !user.starts_with('#');
    let why = "holds a colon or control characters, begins with #, or has blanks around it";
    if is_legal { Ok(()) } else { Err(format!("{user:?} cannot be the name of a user: it is empty, {why}")) }
}

/// The lines of a file, comments too.
struct Lines(Vec<String>);

impl Lines {
    fn find(&self, user: &str) -> Option<usize> {
        let is_user = |line: &String| entries(line).flatten().any(|(_, found, _)| found == user);
        self.0.iter().position(is_user)
    }

    fn has(&self, user: &str) -> bool {
        self.find(user).is_some()
    }

    fn put(&mut self, user: &str, line: String) {
        match self.find(user).and_then(|at| self.0.get_mut(at)) {
            Some(old) => *old = line,
            None => self.0.push(line),
        }
    }

    fn remove(&mut self, user: &str) {
        if let Some(at) = self.find(user) {
            self.0.remove(at);
        }
    }
}

/// Puts a whole new file in the place of the old one, with its owner, and readable for nobody further.
fn replace(path: &Path, lines: &[String]) -> std::io::Result<()> {
    const MODE_MOST: u32 = 0o640;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Made with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    for line in lines {
        writeln!(file, "{line}")?;
    }
    if let Ok(old) = std::fs::metadata(path) {
        let new = file.as_file().metadata()?;
        if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
            chown(file.path(), Some(old.uid()), Some(old.gid()))?;
        }
        file.as_file().set_permissions(std::fs::Permissions::from_mode(old.mode() & MODE_MOST | 0o600))?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    std::fs::File::open(directory)?.sync_all()
}
