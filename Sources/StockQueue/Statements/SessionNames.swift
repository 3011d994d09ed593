/// How the sessions of a worker process are named in `pg_stat_activity`: the program's name, and the service behind it
/// (`WorkerSettings.connection`). As regular expressions.
enum SessionNames {
    static let worker = " worker [0-9]+$"
    /// Of a worker and of the other services of its process.
    static let service = " (worker [0-9]+|express worker|poller|maintenance|ledger checker|deliverer|\(metrics))$"
    /// The purpose of the session that reads for metrics.
    static let metrics = "metrics"
}
