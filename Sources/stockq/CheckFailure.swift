import CommandLineKit
import StockQueue
import StockQueuePostgres

/// What a command was to check could not be checked. The program prints the reason and ends with exit code 3, because 1
/// means that the check found something wrong.
struct CheckFailure: Error {
    let reason: any Error

    /// Runs a check whose errors are of this kind; wrong usage stays wrong usage.
    static func wrapping<Value>(_ check: () throws -> Value) throws -> Value {
        do {
            return try check()
        } catch let error as UsageError {
            throw error
        } catch {
            throw CheckFailure(reason: error)
        }
    }

    /// Runs the check of a command that has to see all rows of the queue.
    ///
    /// - Parameters:
    ///   - timeout: of a statement.
    ///   - done: what the command does, as in "nothing was verified".
    static func seeingEverything<Value>(
        _ input: ParsedCommand, timeout: Duration = .seconds(300), done: String,
        _ check: (Connection, QueueSchema) throws -> Value
    ) throws -> Value {
        let mayNotRead = Failure(
            "nothing was \(done), because this role may not read all rows of the queue; run \(input.spec.name) as the owner of its tables, "
                + "as a reader or as an administrator")
        return try wrapping {
            do {
                let (connection, schema) = try Database.open(input, timeout: timeout)
                if !(try Verifier(connection: connection, schema: schema).seesEverything()) { throw mayNotRead }
                return try check(connection, schema)
            } catch let error as PostgresError where error.sqlState == .insufficientPrivilege {
                throw mayNotRead
            }
        }
    }
}
