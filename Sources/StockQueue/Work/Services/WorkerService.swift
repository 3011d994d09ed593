import StockQueuePostgres

/// A part of a worker process with a thread and a connection of its own.
protocol WorkerService: Sendable {
    /// The service's name in logs and results, for instance `host:4711/1`.
    var name: String { get }

    /// What the service does, for `pg_stat_activity` and the status: `worker 1`, `poller`, `maintenance`.
    var role: String { get }

    /// The settings of the service's session.
    func session(_ settings: WorkerSettings) -> [(name: String, value: String)]

    /// Runs on a new connection until there is nothing more to do.
    ///
    /// - Throws: an error after which the service needs another connection; it is then run again.
    func run(on connection: Connection, _ report: ServiceReport) throws(PostgresError)
}

/// What the services of a worker process share.
struct ServiceContext: Sendable {
    let schema: QueueSchema
    let settings: WorkerSettings
    let laneQueue: LaneQueue
    let turns: StoreTurns
    let immediateOffers = ImmediateOffers()
    let marks = LowWaterMarks()
    let tupleCache = ItemTupleCache()
    let changedItems = ChangedItemSample()
    let successes = StatementSuccesses()
    let pollerWakeUp = WakePipe()
    let stop = StopSignal()
    let onEvent: WorkEventHandler
    /// Of a producer in this process.
    let onFinished: FinishedJobsHandler?

    init(
        schema: QueueSchema, settings: WorkerSettings, onEvent: @escaping WorkEventHandler,
        onFinished: FinishedJobsHandler? = nil
    ) {
        self.schema = schema
        self.settings = settings
        turns = StoreTurns(hasExpressWorker: settings.hasExpressWorker)
        laneQueue = LaneQueue(workers: settings.workers, turns: turns)
        self.onEvent = onEvent
        self.onFinished = onFinished
    }
}
