import Foundation

/// SIGTERM and SIGINT as calls of a handler.
enum Signals {
    /// Calls the handler from a thread of its own for every SIGTERM and SIGINT from now on.
    ///
    /// The signals are blocked and received by `sigwait`, so that one that comes before the thread runs stays pending.
    /// A Dispatch source is armed some time after it is resumed, and a signal that comes before that is lost.
    ///
    /// Call it before any other thread is started: threads inherit which signals are blocked.
    static func handle(_ handler: @escaping @Sendable () -> Void) {
        var stopping = sigset_t()
        sigemptyset(&stopping)
        for number in [SIGTERM, SIGINT] { sigaddset(&stopping, number) }
        pthread_sigmask(SIG_BLOCK, &stopping, nil)
        let thread = Thread { [stopping] in
            var number: Int32 = 0
            withUnsafePointer(to: stopping) { set in
                while sigwait(set, &number) == 0 { handler() }
            }
        }
        thread.name = "signals"
        thread.start()
    }
}
