import CommandLineKit
import Dispatch
import StockQueue

/// Shows a meter five times a second if standard error is a terminal.
struct ProgressLine {
    private let showLast: () -> Void

    /// - Parameter total: the number of jobs; with it, a bar is shown.
    init(_ meter: WorkMeter, of total: Int? = nil) {
        guard Terminal.errorIsTerminal else {
            showLast = {}
            return
        }
        // One after the other, so that none comes behind the last one.
        let queue = DispatchQueue(label: "progress")
        let show: @Sendable () -> Void = { Terminal.showProgress(Self.text(meter.totals, of: total)) }
        let source = DispatchSource.makeTimerSource(queue: queue)
        source.schedule(deadline: .now(), repeating: .milliseconds(200))
        source.setEventHandler(handler: show)
        source.resume()
        showLast = {
            source.cancel()
            queue.sync(execute: show)
        }
    }

    /// Shows what was done at last.
    func end() {
        showLast()
        Terminal.endProgress()
    }

    static func text(_ totals: WorkMeter.Totals, of total: Int?) -> String {
        bar(totals, total)
            + "\(grouped(totals.finished)) jobs, \(grouped(totals.applied)) applied, \(grouped(totals.rejected)) rejected, "
            + "\(grouped(totals.notifications)) notifications, \(grouped(totals.jobsPerSecond)) jobs/s"
    }

    private static func bar(_ totals: WorkMeter.Totals, _ total: Int?) -> String {
        guard let total, total > 0 else { return "" }
        let share = min(1, Double(totals.finished) / Double(total))
        let full = Int(share * 24)
        return String(repeating: "█", count: full) + String(repeating: "░", count: 24 - full)
            + " \(Int(share * 100))%  "
    }
}
