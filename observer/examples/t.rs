//! t
fn main() {
    use observer::source::ebpf::load::*;
    let l = load(&Options {
        limits: Limits { flows: 65536, candidates: 16384, sockets: 65536, ring_bytes: 1 << 20 },
        cgroup_root: None,
        diagnostics: std::env::args().count() > 1,
    });
    match l {
        Ok(l) => {
            for p in &l.probes {
                println!("{p:?}");
            }
            println!("{:?}", l.cgroup);
            if std::env::args().count() > 1 {
                std::thread::sleep(std::time::Duration::from_secs(30));
            }
        }
        Err(e) => println!("{e}\n{e:?}"),
    }
}
