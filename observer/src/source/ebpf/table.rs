//! Reading a whole map without a system call an entry.

use std::{
    io,
    marker::PhantomData,
    os::fd::{AsFd, AsRawFd as _},
};

use aya::maps::{Map, MapData};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// `enum bpf_cmd` (`include/uapi/linux/bpf.h`).
const MAP_LOOKUP_ELEM: libc::c_long = 1;
const MAP_UPDATE_ELEM: libc::c_long = 2;
const MAP_DELETE_ELEM: libc::c_long = 3;
const MAP_LOOKUP_BATCH: libc::c_long = 24;

/// `BPF_F_LOCK`: copy each value under its lock, so that it is of one moment.
const LOCK: u64 = 4;

/// `BPF_NOEXIST`: only where there is no such entry.
const NO_EXIST: u64 = 1;

/// `BPF_EXIST`: only where there is such an entry.
const EXIST: u64 = 2;

/// Entries asked for at once. A bucket that holds more cannot be copied (ENOSPC);
/// the kernel keeps buckets short by having as many as entries.
const BATCH: usize = 2_048;

/// `struct { … } batch` of `union bpf_attr`.
#[repr(C)]
#[derive(Default)]
struct BatchAttributes {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// The member of `union bpf_attr` that names one element.
#[repr(C)]
#[derive(Default)]
struct ElementAttributes {
    map_fd: u32,
    reserved: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// What came of an insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It is in.
    Yes,
    /// The key had an entry.
    Known,
    /// There is no room.
    Full,
}

/// A hash map or array of `K` → `V`, and the buffers it is read into.
#[derive(Debug)]
pub struct Table<K, V> {
    map: MapData,
    locked: bool,
    keys: Vec<u8>,
    values: Vec<u8>,
    types: PhantomData<(K, V)>,
}

impl<K, V> Table<K, V>
where
    K: FromBytes + IntoBytes + Immutable,
    V: FromBytes + IntoBytes + Immutable,
{
    /// Takes a map whose value has a lock if `locked`. `None` when it is no such map,
    /// with keys and values of these sizes.
    #[must_use]
    pub fn new(map: Map, locked: bool) -> Option<Self> {
        let (Map::HashMap(map) | Map::LruHashMap(map) | Map::Array(map)) = map else { return None };
        let info = map.info().ok()?;
        let fits = info.key_size() as usize == size_of::<K>()
            && info.value_size() as usize == size_of::<V>();
        fits.then(|| Self {
            map,
            locked,
            keys: vec![0; BATCH * size_of::<K>()],
            values: vec![0; BATCH * size_of::<V>()],
            types: PhantomData,
        })
    }

    /// Calls `each` with every entry. An entry that comes or goes meanwhile may be
    /// seen or not; one that stays is seen once.
    ///
    /// # Errors
    /// What the kernel said, when it would not go on; entries read till then were
    /// passed to `each`.
    pub fn read(&mut self, each: impl FnMut(K, V)) -> io::Result<()> {
        self.read_first(u64::MAX, each)
    }

    /// As [`Table::read`], of the first so many elements of an array.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub fn read_first(&mut self, most: u64, mut each: impl FnMut(K, V)) -> io::Result<()> {
        let mut left = most;
        // The kernel's place in the table; large enough for every map type.
        let mut place = [0_u64; 2];
        let mut first = true;
        while left > 0 {
            let mut attributes = BatchAttributes {
                in_batch: if first { 0 } else { place.as_ptr() as u64 },
                out_batch: place.as_mut_ptr() as u64,
                keys: self.keys.as_mut_ptr() as u64,
                values: self.values.as_mut_ptr() as u64,
                count: left.min(BATCH as u64) as u32,
                map_fd: self.map.fd().as_fd().as_raw_fd() as u32,
                elem_flags: if self.locked { LOCK } else { 0 },
                flags: 0,
            };
            let outcome = bpf(MAP_LOOKUP_BATCH, &mut attributes);
            let end = match outcome {
                Ok(()) => false,
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
                Err(error) => return Err(error),
            };
            let keys = self.keys.chunks_exact(size_of::<K>());
            let values = self.values.chunks_exact(size_of::<V>());
            for (key, value) in keys.zip(values).take(attributes.count as usize) {
                if let (Ok(key), Ok(value)) = (K::read_from_bytes(key), V::read_from_bytes(value)) {
                    each(key, value);
                }
            }
            if end {
                break;
            }
            left = left.saturating_sub(attributes.count.into());
            first = false;
        }
        Ok(())
    }

    /// How many entries there are.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn count(&mut self) -> io::Result<u64> {
        let mut count = 0;
        self.read(|_, _| count += 1)?;
        Ok(count)
    }

    /// One entry, if it is there.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn get(&self, key: &K) -> io::Result<Option<V>> {
        let mut value = vec![0; size_of::<V>()];
        let mut attributes = ElementAttributes {
            map_fd: self.map.fd().as_fd().as_raw_fd() as u32,
            key: key.as_bytes().as_ptr() as u64,
            value: value.as_mut_ptr() as u64,
            flags: if self.locked { LOCK } else { 0 },
            ..ElementAttributes::default()
        };
        match bpf(MAP_LOOKUP_ELEM, &mut attributes) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            outcome => outcome.map(|()| V::read_from_bytes(&value).ok()),
        }
    }

    /// Puts an entry in, unless the key has one.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn insert_absent(&self, key: &K, value: &V) -> io::Result<Inserted> {
        match self.update(key, value, NO_EXIST) {
            Ok(()) => Ok(Inserted::Yes),
            Err(error) => match error.raw_os_error() {
                Some(libc::EEXIST) => Ok(Inserted::Known),
                Some(libc::E2BIG) => Ok(Inserted::Full),
                _ => Err(error),
            },
        }
    }

    /// Puts another value in the place of an entry's; one that is gone already is no error.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn replace(&mut self, key: &K, value: &V) -> io::Result<()> {
        match self.update(key, value, EXIST) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            outcome => outcome,
        }
    }

    fn update(&self, key: &K, value: &V, flags: u64) -> io::Result<()> {
        let mut attributes = ElementAttributes {
            map_fd: self.map.fd().as_fd().as_raw_fd() as u32,
            key: key.as_bytes().as_ptr() as u64,
            value: value.as_bytes().as_ptr() as u64,
            flags,
            ..ElementAttributes::default()
        };
        bpf(MAP_UPDATE_ELEM, &mut attributes)
    }

    /// Removes an entry; one that is gone already is no error.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn remove(&mut self, key: &K) -> io::Result<()> {
        let mut attributes = ElementAttributes {
            map_fd: self.map.fd().as_fd().as_raw_fd() as u32,
            key: key.as_bytes().as_ptr() as u64,
            ..ElementAttributes::default()
        };
        match bpf(MAP_DELETE_ELEM, &mut attributes) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            outcome => outcome,
        }
    }
}

fn bpf<T>(command: libc::c_long, attributes: &mut T) -> io::Result<()> {
    // SAFETY: the pointers in the attributes are of buffers that outlive the call and
    // are as large as the counts and the map's sizes say.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
