import Foundation
import StockQueuePostgres
import TestSupport

/// What a soak has done so far, for its summary.
final class SoakTally: Sendable {
    struct Figures: Sendable {
        var faults = 0
        /// Results at the last check.
        var jobs = 0
        var violations = 0
    }

    let seed: UInt64
    let secondsAsked: Int
    let figures = Shared(Figures())
    private let startedAt = Stopwatch()

    init(seed: UInt64, secondsAsked: Int) {
        self.seed = seed
        self.secondsAsked = secondsAsked
    }

    var secondsRun: Int { startedAt.milliseconds / 1_000 }

    func say(_ text: String) { Faults.report("soak \(secondsRun) s: \(text)") }

    /// - Parameter error: why the soak ended early; nil if it ran to its end.
    func reportSummary(ended error: (any Error)?) {
        let line = summary(secondsRun: secondsRun, ended: error) + "\n"
        FileHandle.standardError.write(Data(line.utf8))
    }

    func summary(secondsRun: Int, ended error: (any Error)?) -> String {
        let figures = figures.value
        let time = "\(secondsRun) s of \(secondsAsked) s"
        let counts = "\(figures.faults) faults, \(figures.jobs) jobs, \(figures.violations) violations"
        guard let error else { return "soak: seed \(seed), \(time), \(counts)" }
        return "soak: seed \(seed), ENDED EARLY after \(time), \(counts): \(error)"
    }

    // MARK: signals

    private struct Signal: Error, CustomStringConvertible {
        let number: Int32
        var description: String { "signal \(number)" }
    }

    /// Reports the summary when SIGTERM or SIGINT ends this process. For the rest of the process's life.
    func reportSummaryOnSignals() {
        var ends: [Int32] = [0, 0]
        // Without it the summary would be lost, and the test has not begun.
        guard pipe(&ends) == 0 else { fatalError("no pipe: \(String(cString: strerror(errno)))") }
        SignalPipe.writing = ends[1]
        let reading = ends[0]
        let thread = Thread { [self] in
            var number: UInt8 = 0
            guard read(reading, &number, 1) == 1 else { return }
            reportSummary(ended: Signal(number: Int32(number)))
            signal(Int32(number), SIG_DFL)
            kill(getpid(), Int32(number))
        }
        thread.start()
        for number in [SIGTERM, SIGINT] {
            signal(number) { number in
                var byte = UInt8(truncatingIfNeeded: number)
                write(SignalPipe.writing, &byte, 1)
            }
        }
    }
}

/// What the handler of a signal may use.
private enum SignalPipe {
    // Set once, before the handler is installed.
    nonisolated(unsafe) static var writing: Int32 = -1
}
