import StockQueuePostgres

/// Checks, while the workers run, the ledger of items that were just changed.
///
/// `Verifier` proves the whole ledger and reads all of it; this reads the last few changes of a few items a second, so
/// it can always run. It shares no code with the decision: it is one statement, on one snapshot.
struct LedgerChecker: WorkerService {
    let context: ServiceContext
    /// Stops the workers, where the settings ask for it after a violation.
    let stopWorkers: @Sendable () -> Void

    let name = "ledger checker"
    let role = "ledger checker"

    func session(_ settings: WorkerSettings) -> [(name: String, value: String)] { settings.session }

    func run(on connection: Connection, _ report: ServiceReport) throws(PostgresError) {
        let statement = LedgerCheckStatement(context.schema)
        let note = NoteViolationsStatement(context.schema)
        let settings = context.settings
        while !context.stop.wait(milliseconds: settings.checkInterval.milliseconds) {
            let items = context.changedItems.remove(settings.checkItemsMax)
            if items.isEmpty { continue }
            var parameters = Parameters()
            LedgerCheckStatement.parameters(&parameters, items, changesMax: settings.checkChangesMax)
            do throws(PostgresError) {
                let violations = LedgerCheckStatement.violations(
                    in: try connection.execute(statement.statement, parameters))
                report.healthy()
                for violation in violations { context.onEvent(.integrityViolation(violation)) }
                if violations.isEmpty { continue }
                defer { if settings.stopOnViolation && !context.stop.isFinishing { stopWorkers() } }
                try connection.execute(note.statement, NoteViolationsStatement.parameters(violations))
            } catch {
                // Most likely a lock that was not available in time; the next check reads other items.
                if error.isConnectionFatal { throw error }
                context.onEvent(.ledgerCheckFailed(error))
            }
        }
    }
}
