import CommandLineKit
import Foundation
import PrivateCluster

/// The processor time of a server with all its processes, from `/proc`.
struct ServerCPU {
    private let postmaster: Int32
    private let start: Double

    init(_ cluster: PrivateCluster) {
        postmaster = cluster.serverProcessID ?? -1
        start = Self.total(postmaster)
    }

    /// Seconds of processor time since this was made.
    func since() -> Double { Self.total(postmaster) - start }

    /// The times of the postmaster, of its children that ended, and of those that live.
    private static func total(_ postmaster: Int32) -> Double {
        let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return processes.reduce(0) { sum, name in
            // A process may end between the two reads of /proc.
            guard let id = Int32(name), let times = ProcessUsage.Times(of: id) else { return sum }
            if id == postmaster { return sum + times.own + times.endedChildren }
            return times.parent == postmaster ? sum + times.own : sum
        }
    }
}
