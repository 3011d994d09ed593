import CommandLineKit
import Dispatch
import StockQueue

/// Shows a meter five times a second if standard error is a terminal.
struct ProgressLine {
    private let timer: (any DispatchSourceTimer)?

    /// - Parameter total: the number of jobs; with it, a bar is shown.
    init(_ meter: WorkMeter, of total: Int? = nil) {
        guard Terminal.errorIsTerminal else {
            timer = nil
            return
        }
        let source = DispatchSource.makeTimerSource(queue: .global())
        source.schedule(deadline: .now(), repeating: .milliseconds(200))
        source.setEventHandler { Terminal.showProgress(Self.text(meter.totals, of: total)) }
        source.resume()
        timer = source
    }

    func end() {
        timer?.cancel()
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
