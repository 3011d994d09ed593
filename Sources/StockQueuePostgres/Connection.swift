internal import CLibPQ
import Foundation

/// One session with a PostgreSQL server.
///
/// Not `Sendable`: a connection is made in one thread, used by that thread alone and ends there, so nothing in it
/// needs a lock. All calls wait, and every wait has a deadline on the client's side.
///
/// Statements travel in libpq's pipeline mode (PostgreSQL manual, 34.5): `send` puts them in the buffer, `receive`
/// sends a sync point and collects the results, however many statements there are, in one round trip.
public final class Connection {
    package let settings: ConnectionSettings
    /// When this descriptor becomes readable, a waiting call throws `.interrupted`.
    package var interruptDescriptor: Int32?

    let handle: OpaquePointer
    /// The settings of the session: the pinned ones, and those of `settings`.
    private var session: [(name: String, value: String)] = []
    /// Called again and again while a call waits for the server.
    package var whileWaiting: WaitObserver?
    /// The text of each prepared statement by its name. The statement of another schema has the same name and another
    /// text.
    var preparedNames: [String: String] = [:]
    /// The requests that were sent and are not answered yet.
    var inFlight: [Request] = []
    var pendingNotifications: [String] = []

    /// What to do while a call waits.
    package struct WaitObserver {
        let everyMs: Int
        let body: () -> Void

        /// - Parameter everyMs: the pause between two calls of `body`, and before the first one.
        package init(everyMs: Int, body: @escaping () -> Void) {
            self.everyMs = everyMs
            self.body = body
        }
    }

    struct Request {
        /// Nil for the sync point.
        var statement: String?
        var isPreparation: Bool
    }

    /// Connects, with a deadline for each host of a multi-host string.
    ///
    /// - Throws: `.cannotConnect`, with the SQLSTATE where a server rejected the connection.
    package init(_ settings: ConnectionSettings) throws(PostgresError) {
        self.settings = settings
        try ConnectionString.check(settings.conninfo)
        guard let handle = Self.connect(settings) else {
            throw PostgresError(kind: .cannotConnect, message: "out of memory while connecting")
        }
        self.handle = handle
        guard PQstatus(handle) == CONNECTION_OK else {
            let message = Self.sanitized(PQerrorMessage(handle))
            let sqlState = Self.sqlState(ofRejection: message, passwordMissing: PQconnectionNeedsPassword(handle) == 1)
            // All properties are set, so `deinit` runs and frees the handle.
            throw PostgresError(kind: .cannotConnect, sqlState: sqlState, message: message)
        }
        try Self.checkEncoding(handle)
        session = Self.session(settings, serverVersion: Int(PQserverVersion(handle)))
        PQsetNoticeProcessor(handle, { _, _ in }, nil)  // notices are in the server's log
        PQsetnonblocking(handle, 1)
        if !settings.pooled { try applySession() }
    }

    deinit { PQfinish(handle) }

    /// The server's version, for instance 150018.
    package var serverVersion: Int { Int(PQserverVersion(handle)) }

    /// The process id of the server's side of the session.
    package var backendProcessID: Int32 { PQbackendPID(handle) }

    /// When the session began, the server was a standby.
    private var isStandby: Bool {
        PQparameterStatus(handle, "in_hot_standby").map { String(cString: $0) == "on" } ?? false
    }

    package var isInTransaction: Bool { PQtransactionStatus(handle) != PQTRANS_IDLE }

    /// Sends the session's settings as a statement at the head of a transaction; only in pooled mode.
    package func sendSessionSettings() throws(PostgresError) {
        guard settings.pooled else { return }
        try sendSettings(local: true)
    }

    // MARK: statements

    /// Adds a statement to the pipeline. Without a `BEGIN` among them, the statements up to the next `receive`
    /// form one transaction.
    package func send(_ statement: Statement, _ parameters: Parameters = Parameters()) throws(PostgresError) {
        precondition(
            parameters.count == statement.parameterTypes.count,
            "statement \(statement.name) takes \(statement.parameterTypes.count) parameters, got \(parameters.count)"
        )
        try enterPipeline()
        let prepares = !settings.pooled
        // A session behind a pooler may have a default that this program has not replaced. A standby takes no writes.
        let mayBeReadOnly = settings.pooled && !isStandby
        let statement = mayBeReadOnly && statement == .begin ? .beginForWriting : statement
        if prepares { try sendPreparation(of: statement) }
        let types = statement.parameterTypes.map(\.rawValue)
        let sent = parameters.withPointers { values, lengths, formats in
            prepares
                ? PQsendQueryPrepared(handle, statement.name, Int32(types.count), values, lengths, formats, 1)
                : PQsendQueryParams(handle, statement.sql, Int32(types.count), types, values, lengths, formats, 1)
        }
        try check(sent == 1)
        inFlight.append(Request(statement: statement.name, isPreparation: false))
    }

    /// Ends the pipeline with a sync point and waits for all its results, in the order of `send`.
    ///
    /// - Throws: the first error among them, after all have been read: the connection stays usable unless
    ///   `isConnectionFatal` says otherwise.
    package func receive(timeoutMs: Int? = nil) throws(PostgresError) -> [ResultSet] {
        try enterPipeline()
        try check(PQpipelineSync(handle) == 1)
        inFlight.append(Request(statement: nil, isPreparation: false))
        let deadline = Deadline.after(milliseconds: timeoutMs ?? settings.callTimeout.milliseconds)
        var results: [ResultSet] = []
        var firstError: PostgresError?
        var answered = false
        while !inFlight.isEmpty {
            try waitForResult(until: deadline)
            guard let answer = PQgetResult(handle) else {
                // A nil separates the results of one statement from those of the next.
                if answered {
                    inFlight.removeFirst()
                    answered = false
                } else if PQstatus(handle) == CONNECTION_BAD {
                    throw connectionLostError()
                }
                continue
            }
            let request = inFlight[0]
            switch PQresultStatus(answer) {
            case PGRES_PIPELINE_SYNC:
                PQclear(answer)
                if inFlight.count > 1 { throw missingResultError() }
                inFlight.removeAll(keepingCapacity: true)
            case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY:
                answered = true
                let result = ResultSet(owning: answer)
                if !request.isPreparation { results.append(result) }
            case PGRES_PIPELINE_ABORTED:
                answered = true
                PQclear(answer)
                discardPreparedStatement(request)
            default:
                answered = true
                let error = self.error(of: answer, statement: request.statement)
                PQclear(answer)
                discardPreparedStatement(request)
                if error.isConnectionFatal { throw error }
                firstError = firstError ?? error
            }
        }
        if let firstError { throw firstError }
        return results
    }

    /// The answers do not belong to the statements sent: something between the server and this program loses messages.
    private func missingResultError() -> PostgresError {
        PostgresError(
            kind: .protocolViolation,
            message: "an answer is missing: the sync point came before all statements had theirs",
            statement: inFlight[0].statement)
    }

    /// Runs one statement and waits for its result.
    ///
    /// In pooled mode a statement outside a transaction is a transaction of its own, with the session's settings.
    @discardableResult
    package func execute(
        _ statement: Statement, _ parameters: Parameters = Parameters(), timeoutMs: Int? = nil
    ) throws(PostgresError) -> ResultSet {
        if settings.pooled && !isInTransaction && inFlight.isEmpty && !statement.beginsTransaction {
            return try executeAsTransaction(statement, parameters, timeoutMs: timeoutMs)
        }
        try send(statement, parameters)
        let results = try receive(timeoutMs: timeoutMs)
        guard let result = results.last else {
            throw PostgresError(kind: .protocolViolation, message: "no result for \(statement.name)")
        }
        return result
    }

    /// In one round trip.
    private func executeAsTransaction(
        _ statement: Statement, _ parameters: Parameters, timeoutMs: Int?
    ) throws(PostgresError) -> ResultSet {
        try send(.begin)
        try sendSessionSettings()
        try send(statement, parameters)
        try send(.commit)
        let results: [ResultSet]
        do {
            results = try receive(timeoutMs: timeoutMs)
        } catch {
            try? rollBack()  // rethrow the first error; a failed rollback adds nothing
            throw error
        }
        try checkCommitted(results[results.count - 1])
        return results[results.count - 2]
    }

    /// Runs the statements of a script, which may be several, as one transaction unless it says otherwise.
    package func executeScript(_ sql: String, timeoutMs: Int? = nil) throws(PostgresError) {
        try leavePipeline()
        try check(PQsendQuery(handle, sql) == 1)
        try drainResults(until: .after(milliseconds: timeoutMs ?? settings.callTimeout.milliseconds))
    }

    /// Begins a transaction, in pooled mode with the session's settings.
    ///
    /// - Parameter statement: `.begin` or `.beginSnapshot`.
    package func begin(_ statement: Statement = .begin) throws(PostgresError) {
        try send(statement)
        try sendSessionSettings()
        _ = try receive()
    }

    /// Runs `body` between BEGIN and COMMIT, and rolls back when it throws.
    package func transaction<Value>(
        _ body: () throws(PostgresError) -> Value
    ) throws(PostgresError) -> Value {
        try begin()
        let value: Value
        do {
            value = try body()
        } catch {
            try? rollBack()  // rethrow the first error; a failed rollback adds nothing
            throw error
        }
        try commit()
        return value
    }

    /// Commits, and checks that the server did: a transaction that had failed answers COMMIT with `ROLLBACK`.
    package func commit() throws(PostgresError) {
        try checkCommitted(try execute(.commit))
    }

    private func checkCommitted(_ result: ResultSet) throws(PostgresError) {
        let tag = result.commandTag
        if tag != "COMMIT" {
            throw PostgresError(kind: .protocolViolation, message: "COMMIT was answered with \(tag)")
        }
    }

    /// Ends a transaction without its effects; nothing where none is open.
    package func rollBack() throws(PostgresError) {
        if isInTransaction { try execute(.rollBack) }
    }

    // MARK: waiting

    func waitForResult(until deadline: Deadline) throws(PostgresError) {
        try flush(until: deadline)
        while PQisBusy(handle) == 1 {
            try wait(for: Int16(POLLIN), until: deadline)
            guard PQconsumeInput(handle) == 1 else { throw connectionLostError() }
        }
    }

    /// Sends what is buffered, and reads meanwhile: otherwise both sides could fill their buffers and deadlock.
    func flush(until deadline: Deadline) throws(PostgresError) {
        while true {
            let remaining = PQflush(handle)
            if remaining == 0 { return }
            if remaining < 0 { throw connectionLostError() }
            let events = try wait(for: Int16(POLLIN | POLLOUT), until: deadline)
            if events & Int16(POLLIN) != 0, PQconsumeInput(handle) != 1 { throw connectionLostError() }
        }
    }

    /// Waits for something from the server, and reads it.
    func waitForInput(until deadline: Deadline) throws(PostgresError) {
        try wait(for: Int16(POLLIN), until: deadline)
        guard PQconsumeInput(handle) == 1 else { throw connectionLostError() }
    }

    @discardableResult
    private func wait(for events: Int16, until deadline: Deadline) throws(PostgresError) -> Int16 {
        while true {
            var descriptors = [
                pollfd(fd: PQsocket(handle), events: events, revents: 0),
                // poll(2) ignores -1.
                pollfd(fd: interruptDescriptor ?? -1, events: Int16(POLLIN), revents: 0),
            ]
            let remainingMs = deadline.remainingMs
            let ready = poll(&descriptors, 2, Int32(min(remainingMs, whileWaiting?.everyMs ?? remainingMs)))
            if descriptors[1].revents != 0 && ready > 0 {
                throw PostgresError(kind: .interrupted, message: "stopped while waiting for the server")
            }
            if ready > 0 { return descriptors[0].revents }
            if ready == 0 && deadline.hasPassed {
                throw PostgresError(
                    kind: .deadline, message: "the server did not answer in time", statement: inFlight.first?.statement)
            }
            if ready == 0, let whileWaiting { whileWaiting.body() }
            if ready < 0 && errno != EINTR {
                throw PostgresError(kind: .connectionLost, message: "poll: \(String(cString: strerror(errno)))")
            }
        }
    }

    @discardableResult
    func drainResults(until deadline: Deadline) throws(PostgresError) -> Int {
        var rows = 0
        var firstError: PostgresError?
        while true {
            try waitForResult(until: deadline)
            guard let answer = PQgetResult(handle) else { break }
            defer { PQclear(answer) }
            switch PQresultStatus(answer) {
            case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY:
                rows = Int(String(cString: PQcmdTuples(answer))) ?? 0
            case PGRES_COPY_IN:
                throw PostgresError(kind: .protocolViolation, message: "COPY in a script")
            default:
                firstError = firstError ?? self.error(of: answer, statement: nil)
            }
        }
        if let firstError { throw firstError }
        return rows
    }

    // MARK: pipeline mode

    func enterPipeline() throws(PostgresError) {
        if PQpipelineStatus(handle) == PQ_PIPELINE_OFF { try check(PQenterPipelineMode(handle) == 1) }
    }

    /// COPY and multi-statement scripts do not exist in pipeline mode.
    func leavePipeline() throws(PostgresError) {
        guard PQpipelineStatus(handle) != PQ_PIPELINE_OFF else { return }
        while let leftover = PQgetResult(handle) { PQclear(leftover) }
        try check(PQexitPipelineMode(handle) == 1)
    }

    // MARK: session settings

    private func applySession() throws(PostgresError) {
        try sendSettings(local: false)
        _ = try receive()
    }

    private static func session(
        _ settings: ConnectionSettings, serverVersion: Int
    ) -> [(name: String, value: String)] {
        let own = Set(settings.session.map(\.name))
        return PinnedSettings.all(serverVersion: serverVersion).filter { !own.contains($0.name) } + settings.session
    }

    private func sendSettings(local: Bool) throws(PostgresError) {
        var parameters = Parameters()
        parameters.addArray(session.map { $0.name })
        parameters.addArray(session.map { $0.value })
        parameters.add(local)
        try send(.applySettings, parameters)
    }

    func connectionLostError() -> PostgresError {
        let message = Self.sanitized(PQerrorMessage(handle))
        return PostgresError(
            kind: .connectionLost, message: message.isEmpty ? "the connection to the server was lost" : message,
            statement: inFlight.first?.statement)
    }

    func check(_ succeeded: Bool) throws(PostgresError) {
        if succeeded { return }
        if PQstatus(handle) == CONNECTION_BAD { throw connectionLostError() }
        throw PostgresError(kind: .protocolViolation, message: Self.sanitized(PQerrorMessage(handle)))
    }

    static func sanitized(_ message: UnsafePointer<CChar>?) -> String {
        guard let message else { return "" }
        return String(cString: message).split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
            .joined(separator: " ")
    }
}
