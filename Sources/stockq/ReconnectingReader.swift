import CommandLineKit
import StockQueue
import StockQueuePostgres

/// Reads for a long time: a connection that is lost is made again, with pauses, and the read is repeated.
struct ReconnectingReader {
    private let input: ParsedCommand
    private let stop: StopSignal
    private var open: (connection: Connection, schema: QueueSchema)?

    /// The longest time that one read may take; a server that does not answer is left then.
    static let callTimeout = Duration.seconds(30)

    /// - Parameters:
    ///   - connection: the first connection, with its schema.
    ///   - stop: ends the pauses.
    init(_ input: ParsedCommand, _ connection: Connection, _ schema: QueueSchema, stop: StopSignal) {
        self.input = input
        self.stop = stop
        open = (connection, schema)
    }

    /// Repeats a read until it succeeds.
    ///
    /// - Parameter deadline: when to give up with the last error; nil for never.
    /// - Returns: nil when the stop signal comes first.
    /// - Throws: an error that does not pass by itself.
    mutating func read<Value>(
        until deadline: Deadline? = nil, _ body: (Connection, QueueSchema) throws -> Value
    ) throws -> Value? {
        var backoff = Backoff(firstMs: 50, longestMs: 2_000)
        var wasLost = false
        while true {
            do {
                let used = try open ?? Database.open(input, timeout: Self.callTimeout)
                open = used
                let value = try body(used.connection, used.schema)
                if wasLost { Terminal.note("\(input.invocation): connected again") }
                return value
            } catch let error as PostgresError where error.isTransient && deadline?.hasPassed != true {
                open = nil
                if !wasLost {
                    Terminal.note("\(input.invocation): \(ErrorText.explain(error))\nconnecting again …")
                }
                wasLost = true
                if stop.wait(milliseconds: backoff.next()) { return nil }
            }
        }
    }
}
