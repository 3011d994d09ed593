import Foundation

/// The processor time and memory of processes.
package enum ProcessUsage {
    private static var now: rusage {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return usage
    }

    /// Processor time of this process in seconds, user and system.
    package static var cpuSeconds: Double {
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        let usage = now
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }

    /// How many files this process has open; 0 if `/proc` does not say.
    package static var openFiles: Int {
        // Reading the folder opens one more.
        max(0, ((try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 1) - 1)
    }

    /// The peak resident memory of this process in KiB; 0 if `/proc` does not say.
    ///
    /// Not `ru_maxrss`, which starts with the parent's value.
    package static var peakResidentKiB: Int { memoryKiB("VmHWM", ofProcess: "self") }

    /// A memory field of `/proc/PID/status` in KiB; 0 if there is none.
    package static func memoryKiB(_ field: String, ofProcess process: String) -> Int {
        let status = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
        let line = status?.split(separator: "\n").first { $0.hasPrefix(field + ":") }
        return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0
    }

    /// The processor times of a process in seconds, from `/proc/PID/stat` (proc(5)).
    package struct Times {
        package let parent: Int32
        package let own: Double
        package let endedChildren: Double

        /// Nil if there is no such process.
        package init?(of process: Int32) {
            guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
                let nameEnd = text.lastIndex(of: ")")
            else { return nil }
            // After the name, which may contain blanks: state, ppid, …; utime is the 12th, then stime, cutime, cstime.
            let fields = text[text.index(after: nameEnd)...].split(separator: " ")
            guard fields.count > 14, let parent = Int32(fields[1]) else { return nil }
            func seconds(_ field: Int) -> Double { (Double(fields[field]) ?? 0) / Double(sysconf(Int32(_SC_CLK_TCK))) }
            self.parent = parent
            own = seconds(11) + seconds(12)
            endedChildren = seconds(13) + seconds(14)
        }
    }
}
