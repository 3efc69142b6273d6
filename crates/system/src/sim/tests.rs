use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use super::*;
use crate::replace;

fn read(disk: &SimDisk, path: &str) -> Option<Vec<u8>> {
    disk.open(Path::new(path), Create::Read).ok().map(|file| file.read_all(1 << 20).unwrap())
}

fn write(disk: &SimDisk, path: &str, octets: &[u8]) -> Box<dyn File> {
    let file = disk.open(Path::new(path), Create::Missing).unwrap();
    file.write_at(octets, 0).unwrap();
    file
}

/// What `look` sees after a thousand crashes.
fn outcomes<T: Ord>(disk: &SimDisk, look: impl Fn(&SimDisk) -> T) -> BTreeSet<T> {
    (0..1000).map(|seed| look(&disk.crash(seed))).collect()
}

#[test]
fn what_was_synced_survives_and_nothing_else_has_to() {
    let disk = SimDisk::new(1);
    let file = write(&disk, "/a", b"old");
    file.sync().unwrap();
    assert_eq!(outcomes(&disk, |disk| read(disk, "/a")).len(), 2, "the name was not synced");
    disk.sync_dir(Path::new("/")).unwrap();
    assert_eq!(outcomes(&disk, |disk| read(disk, "/a")), BTreeSet::from([Some(b"old".to_vec())]));
    file.write_at(b"new", 0).unwrap();
    assert_eq!(outcomes(&disk, |disk| read(disk, "/a")), BTreeSet::from([Some(b"old".to_vec()), Some(b"new".to_vec())]));
    disk.sync_all(Path::new("/")).unwrap();
    assert_eq!(outcomes(&disk, |disk| read(disk, "/a")), BTreeSet::from([Some(b"new".to_vec())]));
}

#[test]
fn sectors_survive_each_by_itself() {
    let disk = SimDisk::new(1);
    let file = write(&disk, "/a", &[b'0'; 1536]);
    disk.sync_all(Path::new("/")).unwrap();
    file.write_at(&[b'1'; 1536], 0).unwrap();
    let seen = outcomes(&disk, |disk| {
        let octets = read(disk, "/a").unwrap();
        assert!(octets.chunks(512).all(|sector| sector.iter().all(|octet| *octet == sector[0])));
        [octets[0], octets[512], octets[1024]]
    });
    assert_eq!(seen.len(), 8);
}

#[test]
fn a_file_that_grew_may_have_its_size_without_its_content() {
    let disk = SimDisk::new(1);
    let file = write(&disk, "/a", b"");
    disk.sync_all(Path::new("/")).unwrap();
    file.write_at(b"content!", 0).unwrap();
    let seen = outcomes(&disk, |disk| read(disk, "/a").unwrap());
    assert!(seen.contains(&b""[..]) && seen.contains(&b"content!"[..]) && seen.contains(&[0; 8][..]));
    assert!(seen.len() > 3, "garbage is possible");
}

#[test]
fn a_renamed_file_has_at_least_one_name() {
    let disk = SimDisk::new(1);
    for folder in ["/tmp", "/new"] {
        disk.create_dir(Path::new(folder)).unwrap();
    }
    write(&disk, "/tmp/a", b"x");
    disk.sync_all(Path::new("/")).unwrap();
    disk.rename(Path::new("/tmp/a"), Path::new("/tmp/b")).unwrap();
    disk.rename(Path::new("/tmp/b"), Path::new("/new/c")).unwrap();
    let look = |disk: &SimDisk| ["/tmp/a", "/tmp/b", "/new/c"].map(|path| read(disk, path).is_some());
    let seen = outcomes(&disk, look);
    assert!(!seen.contains(&[false; 3]));
    assert!(seen.contains(&[true, false, false]) && seen.contains(&[false, false, true]) && seen.contains(&[true, false, true]));
    // Making the loss of the old names durable makes the new name durable.
    disk.sync_dir(Path::new("/tmp")).unwrap();
    assert_eq!(outcomes(&disk, look), BTreeSet::from([[false, false, true]]));
}

#[test]
fn a_name_that_was_taken_away_may_come_back() {
    let disk = SimDisk::new(1);
    write(&disk, "/a", b"x");
    disk.sync_all(Path::new("/")).unwrap();
    disk.remove(Path::new("/a")).unwrap();
    assert_eq!(read(&disk, "/a"), None);
    assert_eq!(outcomes(&disk, |disk| read(disk, "/a").is_some()).len(), 2);
    disk.sync_dir(Path::new("/")).unwrap();
    assert_eq!(outcomes(&disk, |disk| read(disk, "/a").is_some()), BTreeSet::from([false]));
}

#[test]
fn replace_leaves_the_old_or_the_new() {
    let disk = SimDisk::new(1);
    replace(&disk, Path::new("/a"), b"one").unwrap();
    for at in 0..6 {
        let disk = disk.crash(0);
        disk.fail(at, 1, ErrorKind::StorageFull);
        let done = replace(&disk, Path::new("/a"), b"second").is_ok();
        let seen = outcomes(&disk, |disk| read(disk, "/a").unwrap());
        assert!(seen.iter().all(|octets| octets == b"one" || octets == b"second"), "{at}: {seen:?}");
        assert!(!done || seen.len() == 1);
    }
}

#[test]
fn after_a_failed_sync_later_syncs_save_only_what_came_later() {
    let disk = SimDisk::new(1);
    let file = write(&disk, "/a", &[b'0'; 1024]);
    disk.sync_all(Path::new("/")).unwrap();
    file.write_at(&[b'1'; 512], 0).unwrap();
    disk.fail(0, 1, ErrorKind::Other);
    assert!(file.sync().is_err());
    file.write_at(&[b'2'; 512], 512).unwrap();
    file.sync().unwrap();
    let seen = outcomes(&disk, |disk| read(disk, "/a").map(|octets| (octets[0], octets[512])).unwrap());
    assert_eq!(seen, BTreeSet::from([(b'0', b'2'), (b'1', b'2')]));
}

#[test]
fn it_can_be_full_and_have_room_again() {
    let disk = SimDisk::new(1);
    disk.set_capacity(Some(1000));
    let file = write(&disk, "/a", &[0; 900]);
    assert_eq!(file.write_at(&[0; 101], 900).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file.allocate(1001).unwrap_err().kind(), ErrorKind::StorageFull);
    let other = disk.open(Path::new("/b"), Create::New).unwrap();
    assert_eq!(other.write_at(&[0; 200], 0).unwrap_err().kind(), ErrorKind::StorageFull);
    disk.remove(Path::new("/a")).unwrap();
    other.write_at(&[0; 200], 0).unwrap();
}

#[test]
fn it_answers_as_a_file_system_does() {
    let disk = SimDisk::new(1);
    let path = Path::new;
    let kind = |result: io::Result<()>| result.unwrap_err().kind();
    disk.create_dir(path("/d")).unwrap();
    write(&disk, "/d/a", b"abc");
    assert_eq!(kind(disk.create_dir(path("/d"))), ErrorKind::AlreadyExists);
    assert_eq!(kind(disk.remove_dir(path("/d"))), ErrorKind::DirectoryNotEmpty);
    assert_eq!(kind(disk.remove(path("/d"))), ErrorKind::IsADirectory);
    assert_eq!(kind(disk.remove(path("/x/y"))), ErrorKind::NotFound);
    assert_eq!(kind(disk.remove(path("/d/a/b"))), ErrorKind::NotADirectory);
    assert_eq!(kind(disk.rename(path("/d/a"), path("/d"))), ErrorKind::IsADirectory);
    assert_eq!(kind(disk.open(path("/d"), Create::Read).map(drop)), ErrorKind::InvalidInput);
    assert_eq!(kind(disk.open(path("/d/a"), Create::New).map(drop)), ErrorKind::AlreadyExists);
    disk.link(path("/d/a"), path("/d/b")).unwrap();
    assert_eq!(kind(disk.link(path("/d/a"), path("/d/b"))), ErrorKind::AlreadyExists);
    disk.open(path("/d/b"), Create::Read).unwrap().set_modified(77).unwrap();
    let stat = disk.stat(path("/d/a")).unwrap();
    assert_eq!((stat.kind, stat.size, stat.links, stat.modified), (Kind::File, 3, 2, 77_000_000_000));
    let file = disk.open(path("/d/a"), Create::Read).unwrap();
    assert_eq!(kind(file.write_at(b"x", 0)), ErrorKind::PermissionDenied);
    let mut names = Vec::new();
    disk.list(path("/d"), &mut |entry| names.push(entry.name.to_owned())).unwrap();
    assert_eq!(names, ["a", "b"]);
    assert_ne!(disk.boot(), disk.crash(0).boot());
}
