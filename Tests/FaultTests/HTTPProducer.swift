import StockQueue
import StockQueueLocking
import TestSupport

/// Calls a gateway again and again, in threads of its own, until it is stopped.
final class HTTPProducer: Sendable {
    private let stopped = StopSignal()
    private let ended: [Background]

    /// - Parameter everyMs: the pause after each call.
    init(_ gateway: GatewayUnderTest, everyMs: Int) {
        let stopped = stopped
        ended = [
            Background { while !stopped.wait(milliseconds: everyMs) { gateway.callOnce() } },
            Background {
                while !stopped.wait(milliseconds: everyMs) {
                    guard gateway.callUntilApplied(seconds: 120) else {
                        throw GatewayUnderTest.Failure("a call with a key was not applied within 120 s")
                    }
                }
            },
        ]
    }

    // A soak that ends early has no other chance to stop it.
    deinit { stopped.finish() }

    func stop() throws {
        stopped.finish()
        for one in ended { try one.wait() }
    }
}
