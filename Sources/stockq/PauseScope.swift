import CommandLineKit
import StockQueue

/// The options by which work is paused or resumed.
enum PauseScope {
    private static let store = Option("store", .text("STORE", bytes: 1...200), help: "the jobs of this store")
    private static let lane = Option("lane", .wholeNumber(QueueAdmin.Scope.lanes), help: "this lane")
    private static let all = Flag("all", help: "everything")

    static let options: [any Parameter] = [store, lane, all]

    static func scope(_ input: ParsedCommand) throws -> QueueAdmin.Scope {
        switch (input[store], input[lane], input[all]) {
        case (let store?, nil, false): return .store(store)
        case (nil, let lane?, false): return .lane(lane)
        case (nil, nil, true): return .everything
        default: throw input.usageError("give one of --store, --lane, --all")
        }
    }

    static func name(_ scope: QueueAdmin.Scope) -> String {
        switch scope {
        case .everything: "everything"
        case .store(let store): "store \(store.shownName)"
        case .lane(let lane): "lane \(lane)"
        }
    }

    /// `1 job waits`
    static func waiting(_ jobs: Int64) -> String {
        jobs > ScopeState.jobsMax
            ? "more than \(grouped(ScopeState.jobsMax)) jobs wait" : counted(jobs, "job waits", "jobs wait")
    }
}
