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

    /// The most tuning that was resident at any time, in KiB; 0 where `/proc` does not say.
    ///
    /// Not `ru_maxrss`, which begins with what the parent had when it started this process.
    static var peakResidentKiB: Int { memoryKiB("VmHWM", ofProcess: "self") }

    /// A field of `/proc/PID/status` that counts tuning; 0 where there is none.
    static func memoryKiB(_ field: String, ofProcess process: String) -> Int {
        let status = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
        let line = status?.split(separator: "\n").first { $0.hasPrefix(field + ":") }
        return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0
    }

    /// The processor times of any process in seconds, from `/proc/PID/stat` (proc(5)).
    struct Times {
        let parent: Int32
        let own: Double
        let endedChildren: Double

        /// Nil when there is no such process.
        init?(of process: Int32) {
            guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
                let behindName = text.lastIndex(of: ")")
            else { return nil }
            // Behind the name, which may hold blanks: state, ppid, …; utime is the 12th, and stime, cutime, cstime follow.
            let fields = text[text.index(after: behindName)...].split(separator: " ")
            guard fields.count > 14, let parent = Int32(fields[1]) else { return nil }
            func seconds(_ field: Int) -> Double { (Double(fields[field]) ?? 0) / Double(sysconf(Int32(_SC_CLK_TCK))) }
            self.parent = parent
            own = seconds(11) + seconds(12)
            endedChildren = seconds(13) + seconds(14)
        }
    }
}
