import Foundation
import StockQueue
import StockQueueLocking
import TestSupport

/// A gateway beside a fault test, with a store of its own, and calls of it whose answers are counted.
final class GatewayUnderTest: Sendable {
    /// What the answers say, to compare with what became of the stock.
    struct Answers: Sendable {
        /// Answered with 200.
        var applied = 0
        /// Answered with an error: nothing may have been applied.
        var refused = 0
        /// Not answered: applied, or not.
        var lost = 0
    }

    /// How a call becomes a result.
    enum Way: CaseIterable {
        /// The gateway enqueues its jobs.
        case queued
        /// A worker of the gateway decides it without the table of jobs.
        case atOnce

        /// Of `serve`.
        var arguments: [String] { self == .queued ? ["--set", "decideAtOnce=false"] : [] }

        func carries(_ message: Proxy.Message) -> Bool {
            self == .queued ? message.isOfGateway : message.application.hasSuffix("worker 1")
        }
    }

    let store: String
    /// Counts the calls that are made once.
    static let plainItem = "plain"
    /// Counts the calls that have a key, and are repeated until an answer says that they are applied.
    static let keyedItem = "keyed"

    let database: TestDatabase
    private let program: Program
    private let arguments: [String]
    private let token: String
    private let socket = NSTemporaryDirectory() + "stockq-gateway-\(UUID().uuidString.prefix(8)).sock"
    private let process = Mutex<Program.Running?>(nil)
    private let plain = Mutex(Answers())
    private let keyed = Mutex(Answers())
    private let keys = Mutex(0)

    /// - Parameters:
    ///   - program: with the database of the gateway, directly or through a proxy.
    ///   - arguments: of `serve`.
    init(_ database: TestDatabase, _ program: Program, _ arguments: [String], store: String = "http") throws {
        self.database = database
        self.store = store
        self.program = program
        self.arguments = arguments
        try database.run(
            """
            INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES
                ('\(store)', '\(Self.plainItem)', 0), ('\(store)', '\(Self.keyedItem)', 0)
            """)
        let created = try Program(database).run([
            "tokens", "create", "faults in \(store)", "--store", store, "--scope", "update_catalog", "--scope",
            "read_catalog",
        ])
        token = created.out.trimmingCharacters(in: .whitespacesAndNewlines)
        guard created.code == 0 else { throw Failure(created.err) }
    }

    struct Failure: Error, CustomStringConvertible {
        var description: String
        init(_ description: String) { self.description = description }
    }

    deinit { unlink(socket) }

    // MARK: the process

    var processID: Int32? { process.withLock { $0?.processID } }

    var hasEnded: Bool { process.withLock { $0?.hasEnded ?? true } }

    func send(_ signal: Int32) { process.withLock { $0?.send(signal) } }

    /// Starts the process, and waits until it listens.
    func start() throws {
        let running = try program.start(
            ["serve", "--listen", "unix:\(socket)", "--set", "startTimeout=60s"] + arguments)
        process.withLock { $0 = running }
        let isListening = eventually(seconds: 120) {
            running.errorText.contains("event=listening") || running.hasEnded
        }
        guard isListening, !running.hasEnded else { throw Failure("the gateway did not start: \(running.errorText)") }
    }

    /// Waits for the end of the process.
    func wait() throws -> Program.Ended? {
        let running = process.withLock { $0 }
        return try running?.wait()
    }

    func stop() throws -> Program.Ended? {
        send(SIGTERM)
        return try wait()
    }

    // MARK: calls

    /// The bytes of a call that adds one unit.
    func request(_ item: String, key: String? = nil) -> String {
        let body = #"{"quantityDelta":1}"#
        let field = key.map { "Idempotency-Key: \($0)\r\n" } ?? ""
        return
            "PUT /api/v3/\(store)/products/\(item)/inventory HTTP/1.1\r\nHost: x\r\n"
            + "Authorization: Bearer \(token)\r\nContent-Type: application/json\r\n\(field)"
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    func client() throws -> RawClient { try RawClient(unix: socket) }

    /// One request on a connection of its own.
    ///
    /// - Returns: the status; nil without an answer.
    func status(of request: String) -> Int? {
        guard let client = try? client() else { return nil }
        client.send(request)
        return try? client.readAnswer().status
    }

    /// A call without a key.
    @discardableResult
    func callOnce() -> Int? {
        let client = try? client()
        // Not connected: the gateway has not seen the call.
        guard let client else { return nil }
        client.send(request(Self.plainItem))
        let status = try? client.readAnswer().status
        plain.withLock { answers in
            switch status {
            case 200: answers.applied += 1
            case .some: answers.refused += 1
            case nil: answers.lost += 1
            }
        }
        return status
    }

    /// A call with a key, repeated until it is applied.
    ///
    /// - Returns: whether it was applied in time.
    func callUntilApplied(seconds: Double = 60) -> Bool {
        let number = keys.withLock { keys in
            keys += 1
            return keys
        }
        let key = "key \(number)"
        let isApplied = eventually(seconds: seconds) { status(of: request(Self.keyedItem, key: key)) == 200 }
        keyed.withLock { answers in if isApplied { answers.applied += 1 } else { answers.lost += 1 } }
        return isApplied
    }

    var answers: (plain: Answers, keyed: Answers) { (plain.withLock { $0 }, keyed.withLock { $0 }) }

    // MARK: what became of them

    func onHand(_ item: String) throws -> Int {
        try waitingForServer {
            Int(
                try database.value(
                    "SELECT on_hand FROM stockq.items WHERE (store_id, item_id) = ('\(store)', '\(item)')")) ?? -1
        }
    }

    /// Waits until no job of the store is queued. Then what the answers say must be true.
    ///
    /// - Returns: the answers that were wrong.
    func wrongAnswers() throws -> [String] {
        let remaining = "SELECT count(*) FROM stockq.jobs WHERE store_id = '\(store)'"
        let isAtRest = try eventually(seconds: 60) { try waitingForServer { try database.value(remaining) } == "0" }
        var wrong = isAtRest ? [] : ["jobs of the gateway are not finished"]
        for (item, answers) in [(Self.plainItem, answers.plain), (Self.keyedItem, answers.keyed)] {
            let onHand = try onHand(item)
            if !(answers.applied...(answers.applied + answers.lost)).contains(onHand) {
                wrong.append("\(item): \(onHand) were applied, the answers are \(answers)")
            }
        }
        return wrong
    }
}
