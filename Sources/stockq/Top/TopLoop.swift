import CommandLineKit
import Dispatch
import Foundation
import StockFormats
import StockQueue
import StockQueueLocking
import StockQueuePostgres

/// Where `stockq top` reads.
struct TopSource: Sendable {
    private let connection: ConnectionSettings
    private let schema: QueueSchema

    init(_ connection: ConnectionSettings, _ schema: QueueSchema) {
        (self.connection, self.schema) = (connection, schema)
    }

    func reader() -> SnapshotReader { SnapshotReader(connection: connection, schema: schema) }

    /// For the rows of a store and of a job; no statement takes long.
    func detailSession() throws(PostgresError) -> Connection {
        var settings = connection
        settings.purpose = "details"
        settings.callTimeout = .seconds(8)
        settings.session = [
            ("statement_timeout", "5s"), ("jit", "off"), ("max_parallel_workers_per_gather", "0"),
            ("default_transaction_read_only", "on"),
        ]
        return try Connection(settings)
    }

    /// What a view shows beside the snapshot.
    func detail(of view: TopState.View, _ connection: Connection) throws -> TopState.Detail {
        let inspector = Inspector(connection: connection, schema: schema)
        switch view {
        case .overview: return .none
        case .store(let store):
            var jobs = JobList(limit: TopState.rowsMax)
            jobs.store = store
            var results = ResultList(limit: TopState.rowsMax)
            results.store = store
            results.after = try inspector.firstOfNewest(DashboardQueries.searchedJobs)
            return .store(
                jobs: try inspector.rows(of: jobs).map { try Row(json: $0) },
                results: try inspector.rows(of: results).map { try Row(json: $0) })
        case .job(let id):
            let story = try JSONReader.read(Array(try inspector.jobStory(id).utf8)[...])
            return .job(story)
        }
    }
}

/// Shows the queue until a key or a signal ends it: one thread reads, and this one draws and waits for keys.
struct TopLoop {
    private let feed: Feed
    private var state: TopState
    private let terminal: TopTerminal
    private let stop: StopSignal

    /// The longest time until a key, a signal or another size has its effect.
    private static let tickMs = 50

    init(_ source: TopSource, _ state: TopState, _ terminal: TopTerminal, _ stop: StopSignal) {
        feed = Feed(source)
        (self.state, self.terminal, self.stop) = (state, terminal, stop)
    }

    func run() -> ExitCode {
        var state = state
        feed.start()
        var drawn: (rows: Int, columns: Int)?
        while !stop.isFinishing {
            let hasNews = feed.update(&state)
            let size = TopTerminal.size ?? (rows: 24, columns: 80)
            if drawn == nil || drawn! != size || hasNews {
                terminal.draw(TopScreen(rows: size.rows, columns: size.columns).lines(state, isLive: true))
                drawn = size
            }
            guard let bytes = terminal.read(milliseconds: Self.tickMs) else { break }
            for key in TopKey.keys(bytes) {
                if state.handle(key) { return .success }
                drawn = nil
            }
            feed.want(state.view)
        }
        return .success
    }

    /// The thread that reads.
    private final class Feed: Sendable {
        private struct Shared {
            var view = TopState.View.overview
            var snapshots: [QueueSnapshot] = []
            var detail: (view: TopState.View, detail: TopState.Detail)?
            var problem: String?
            /// There is something that was not drawn yet.
            var hasNews = false
        }

        private let source: TopSource
        private let shared = Mutex(Shared())
        private let wake = DispatchSemaphore(value: 0)

        init(_ source: TopSource) { self.source = source }

        func start() {
            let thread = Thread { [self] in run() }
            thread.name = "snapshots"
            thread.start()
        }

        /// Names the view whose rows are read from now on.
        func want(_ view: TopState.View) {
            let isNew = shared.withLock { shared in
                defer { shared.view = view }
                return shared.view != view
            }
            if isNew { wake.signal() }
        }

        /// - Returns: whether there is news.
        func update(_ state: inout TopState) -> Bool {
            let (snapshots, detail, problem, hasNews) = shared.withLock { shared in
                defer { (shared.snapshots, shared.hasNews) = ([], false) }
                return (shared.snapshots, shared.detail, shared.problem, shared.hasNews)
            }
            for snapshot in snapshots { state.take(snapshot) }
            if let detail, detail.view == state.view { state.detail = detail.detail }
            state.problem = problem
            return hasNews
        }

        private func run() {
            let reader = source.reader()
            var details: Connection?
            var next = Deadline.after(milliseconds: 0)
            while true {
                let view = shared.withLock { $0.view }
                do {
                    var pause = SnapshotReader.pause(after: .zero)
                    if next.hasPassed {
                        let snapshot = try reader.read()
                        pause = snapshot.pause
                        shared.withLock { $0.snapshots.append(snapshot) }
                    }
                    if view != .overview {
                        let open = try details ?? source.detailSession()
                        details = open
                        let took = Stopwatch()
                        let detail = try source.detail(of: view, open)
                        pause = max(pause, SnapshotReader.pause(after: .microseconds(took.microseconds)))
                        shared.withLock { $0.detail = (view, detail) }
                    }
                    shared.withLock { ($0.problem, $0.hasNews) = (nil, true) }
                    next = .after(milliseconds: pause.milliseconds)
                } catch {
                    if (error as? PostgresError)?.isConnectionFatal == true { details = nil }
                    shared.withLock { ($0.problem, $0.hasNews) = (ErrorText.explain(error), true) }
                    next = .after(milliseconds: 2_000)
                }
                _ = wake.wait(timeout: .now() + .milliseconds(max(1, next.remainingMs)))
            }
        }
    }
}
