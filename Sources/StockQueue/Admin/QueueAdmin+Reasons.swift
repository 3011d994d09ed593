import StockQueuePostgres

extension QueueAdmin {
    /// A change of the reasons that jobs of the queue may have.
    package struct ReasonChange: Sendable {
        package var added: [String] = []
        package var removed: [String] = []
        /// Whether jobs may have only the reasons of the list; nil does not change.
        package var onlyListed: Bool?

        package init() {}
    }

    /// Changes the list of reasons. A queue that allows only these has them in a constraint of the table of jobs, which
    /// is locked for a moment; the change waits for that in short attempts, so that it does not block other sessions.
    package func setReasons(_ change: ReasonChange) throws {
        let attempts = LockAttempts(connection: connection, waitMax: .seconds(30)) { _ in }
        do {
            try attempts.run { begin in
                try begin()
                do {
                    try run(SetReasonsStatement(schema), SetReasonsStatement.parameters(change))
                    try connection.commit()
                } catch {
                    try? connection.rollBack()  // the first error says more
                    throw error
                }
            }
        } catch is LockAttempts.LocksNotAvailable {
            throw PostgresError(
                kind: .server, sqlState: .lockNotAvailable,
                message: "the table of jobs was locked by others for 30 s; nothing was changed")
        }
    }
}
