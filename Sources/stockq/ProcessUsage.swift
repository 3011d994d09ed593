import Foundation

/// What this process has used so far.
enum ProcessUsage {
    private static var now: rusage {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return usage
    }

    /// Processor time in seconds, user and system.
    static var cpuSeconds: Double {
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        let usage = now
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }

    /// The most memory that was resident at any time, in KiB; 0 where `/proc` does not say.
    ///
    /// Not `ru_maxrss`, which begins with what the parent had when it started this process.
    static var peakResidentKiB: Int {
        let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        return status?.firstMatch(of: /VmHWM:\s+(\d+) kB/).flatMap { Int($0.output.1) } ?? 0
    }
}
