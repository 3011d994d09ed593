import CommandLineKit
import Foundation
import StockQueueLocking

/// Threads that do the same and are waited for.
enum Parallel {
    /// - Throws: the first error of a thread, after all have ended.
    static func run(_ name: String, threads: Int, _ body: @escaping @Sendable (Int) throws -> Void) throws {
        try start(name, threads: threads, body).wait()
    }

    static func start(_ name: String, threads: Int, _ body: @escaping @Sendable (Int) throws -> Void) -> Running {
        let running = Running(name: name)
        for number in 0..<threads { running.startThread { try body(number) } }
        return running
    }

    final class Running: Sendable {
        private let name: String
        private let failure = Mutex<String?>(nil)
        private let ended = DispatchGroup()

        fileprivate init(name: String) { self.name = name }

        fileprivate func startThread(_ body: @escaping @Sendable () throws -> Void) {
            ended.enter()
            Thread { [self] in
                defer { ended.leave() }
                do {
                    try body()
                } catch {
                    failure.withLock { $0 = $0 ?? "\(error)" }
                }
            }.start()
        }

        func wait() throws {
            ended.wait()
            if let failure = failure.withLock({ $0 }) { throw Failure("\(name) failed: \(failure)") }
        }
    }
}
