use proptest::prelude::*;

use super::*;

const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n\
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
const UNIFIED: &str = "36 35 0:31 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
const CONTAINER: &str = "36 35 0:31 /docker/ab /sys/fs/cgroup ro - cgroup2 cgroup rw\n";

fn stat_of(mountinfo: &str, cgroup: &str) -> Option<String> {
    let stat = Hierarchies::parse(mountinfo).cpu_stat(cgroup).unwrap();
    stat.map(|stat| stat.0.display().to_string())
}

#[test]
fn the_first_version_has_it_where_it_has_the_controller() {
    let docker = "9:name=systemd:/docker/ab\n4:cpu,cpuacct:/docker/ab\n3:cpuset:/\n0::/x\n";
    let path = "/sys/fs/cgroup/cpu,cpuacct/docker/ab/cpu.stat";
    assert_eq!(stat_of(HYBRID, docker).as_deref(), Some(path));
    let systemd = "3:cpuset:/\n0::/system.slice/nginx.service\n";
    let path = "/sys/fs/cgroup/unified/system.slice/nginx.service/cpu.stat";
    assert_eq!(stat_of(HYBRID, systemd).as_deref(), Some(path));
    let path = "/sys/fs/cgroup/system.slice/nginx.service/cpu.stat";
    assert_eq!(stat_of(UNIFIED, systemd).as_deref(), Some(path));
    assert_eq!(
        stat_of(UNIFIED, "0::/a:b/c d\n").as_deref(),
        Some("/sys/fs/cgroup/a:b/c d/cpu.stat")
    );
    assert_eq!(stat_of(UNIFIED, "3:cpuset:/\n"), None);
    assert_eq!(stat_of(UNIFIED, ""), None);
}

#[test]
fn a_part_of_a_hierarchy_shows_what_is_in_it() {
    let path = "/sys/fs/cgroup/in/cpu.stat";
    assert_eq!(stat_of(CONTAINER, "0::/docker/ab/in\n").as_deref(), Some(path));
    let part = Hierarchies::parse(CONTAINER);
    for cgroup in ["0::/docker/abc\n", "0::/\n", "0::/../x\n", "0::/docker/ab/../x", "4:cpu:/a"] {
        assert!(matches!(part.cpu_stat(cgroup), Err(CauseError::Unmounted)), "{cgroup}");
    }
    assert!(matches!(part.cpu_stat("nonsense\n"), Err(CauseError::Malformed { .. })));
}

#[test]
fn each_version_has_its_own_names_and_units() {
    let v1 = "nr_periods 30\nnr_throttled 12\nthrottled_time 3500000001\nnr_bursts 0\n";
    let told = Throttling { periods: 12, time: Duration::from_nanos(3_500_000_001) };
    assert_eq!(throttling(v1).unwrap(), Some(told));
    let v2 = "usage_usec 9\nuser_usec 4\nsystem_usec 5\nnr_periods 30\nnr_throttled 12\n\
              throttled_usec 3500000\nnr_bursts 0\nburst_usec 0\n";
    let told = Throttling { periods: 12, time: Duration::from_millis(3_500) };
    assert_eq!(throttling(v2).unwrap(), Some(told));
    assert_eq!(throttling("usage_usec 9\nuser_usec 4\nsystem_usec 5\n").unwrap(), None);
    assert_eq!(throttling("").unwrap(), None);
}

#[test]
fn what_is_cut_off_or_nonsense_is_an_error() {
    for text in [
        "nr_throttled 12\n",
        "nr_throttled\n",
        "nr_throttled 1\nthrottled_usec",
        "nr_throttled 1\nthrottled_usec \n",
        "nr_throttled x\nthrottled_usec 1\n",
        "nr_throttled -1\nthrottled_time 1\n",
    ] {
        assert!(matches!(throttling(text), Err(CauseError::Malformed { .. })), "{text}");
    }
}

#[test]
fn a_cgroup_that_is_no_more_costs_nothing() {
    assert!(CpuStat("/nowhere/cpu.stat".into()).read().unwrap().is_none());
    assert!(CpuStat("/proc/self/statm/cpu.stat".into()).read().is_err());
}

#[test]
fn this_process_is_in_one_of_them() {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    let pids = BTreeSet::from([std::process::id(), u32::MAX]);
    assert_eq!(of_processes(&pids), BTreeSet::from([own]));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "((nr_throttled|throttled_usec|cpu|[0-9]{1,22}|.)[:, /\n-]?){0,40}") {
        let _any = (throttling(&text), Hierarchies::parse(&text).cpu_stat(&text));
        let _any = Hierarchies::parse(HYBRID).cpu_stat(&text);
    }

    #[test]
    fn figures_come_back(periods: u64, microseconds in 0..u64::MAX / 1_000) {
        let text = format!("nr_throttled {periods}\nthrottled_usec {microseconds}\n");
        let told = Throttling { periods, time: Duration::from_micros(microseconds) };
        prop_assert_eq!(throttling(&text).unwrap(), Some(told));
    }
}
