import Dispatch
import Foundation
import HTTPServer
import StockGateway
import StockQueue
import StockQueuePostgres

/// Executes the vendors' calls in a queue.
///
/// ```swift
/// let executor = GatewayExecutor(connection: connection, schema: schema, settings: ExecutorSettings()) { … }
/// executor.start()
/// …
/// executor.stop()
/// ```
package final class GatewayExecutor: CallExecutor {
    private let schema: QueueSchema
    private let settings: ExecutorSettings
    let vendorSettings: VendorSettings
    private let calls: StockCalls
    private let lookups: Lookups
    private let repeats: RepeatGuard
    private let delay = WrongTokenDelay()
    private let hashes = TokenHashes()
    private let batches = BatchTickets()
    private let streams: NotificationStreams
    private let rates: RequestRates
    private let threads = DispatchGroup()

    package init(
        connection: ConnectionSettings, schema: QueueSchema, settings: ExecutorSettings,
        vendorSettings: VendorSettings, onEvent: @escaping GatewayEventHandler,
        onEnqueued: @escaping @Sendable (Set<Strand>) -> Void = { _ in },
        offerCalls: (@Sendable (ImmediateOffer) -> Bool)? = nil
    ) {
        self.schema = schema
        self.settings = settings
        self.vendorSettings = vendorSettings
        calls = StockCalls(connection, schema, settings, onEvent, onEnqueued: onEnqueued, offerCalls: offerCalls)
        lookups = Lookups(connection, settings, onEvent)
        streams = NotificationStreams(connection, schema, settings, onEvent)
        rates = RequestRates(perMinute: settings.requestsPerMinute)
        repeats = RepeatGuard(seconds: settings.repeatSeconds, entriesMax: settings.repeatsMax)
    }

    private var services: [(name: String, body: @Sendable () -> Void)] {
        calls.services + lookups.services + [streams.service]
    }

    /// The names of the services, each with a connection of its own.
    package var serviceNames: [String] { services.map(\.name) }

    /// Starts the threads.
    package func start() {
        for service in services {
            threads.enter()
            let thread = Thread { [threads] in
                service.body()
                threads.leave()
            }
            thread.name = service.name
            thread.start()
        }
    }

    /// Ends the threads, when the server has ended.
    package func stop() {
        calls.stop()
        lookups.stop()
        streams.stop()
        threads.wait()
    }

    /// A worker of this process has committed results.
    package func take(_ finished: FinishedJobs) { calls.take(finished) }

    /// All requests that arrived together have been executed: their transaction can begin.
    package func burstEnded() { calls.wake() }

    /// The database did not answer the last call.
    package var isAway: Bool { calls.isAway }

    package func execute(
        _ plan: CallPlan, onDeparture: (@escaping @Sendable (Departure) -> Void) -> Void,
        answer: @escaping @Sendable (Response) -> Void
    ) {
        switch plan {
        case .respond(let response): answer(response)
        case .access(let access, let write):
            look(
                access.caller.peer,
                { schema, connection throws(PostgresError) in try CheckAccess.run(access, schema, connection) },
                then: { answer(write($0)) })
        case .stock(let call, let write): submit(call, onDeparture, then: { answer(write($0)) })
        case .levels(let query, let write):
            look(
                query.access.caller.peer,
                { schema, connection throws(PostgresError) in try ReadLevels.run(query, schema, connection) },
                then: { answer(write($0)) })
        case .history(let query, let write):
            look(
                query.access.caller.peer,
                { [settings] schema, connection throws(PostgresError) in
                    try ReadHistory.run(query, movementsMax: settings.movementsMax, schema, connection)
                }, then: { answer(write($0)) })
        case .item(let call, let write):
            look(
                call.access.caller.peer,
                { schema, connection throws(PostgresError) in try ChangeItem.run(call, schema, connection) },
                then: { answer(write($0)) })
        case .token(let request, let write):
            look(
                request.peer,
                { [settings] schema, connection throws(PostgresError) in
                    try IssueToken.run(request, seconds: settings.tokenSeconds, schema, connection)
                }, then: { answer(write($0)) })
        case .batch(let batch, let write): begin(batch, then: { answer(write($0)) })
        case .ticket(let query, let write):
            execute(
                .access(query.access) { [batches] access in
                    write(access.map { batches.progress(of: query.ticket, store: $0.storeID) })
                }, onDeparture: { _ in }, answer: answer)
        case .submit(let call, let write):
            count(call.access, write, answer) { self.enqueue(call, onDeparture, then: $0) }
        case .native(let query, let write):
            count(query.access, write, answer) { self.run(query, then: $0) }
        case .dryRun(let call, let write):
            count(call.access, write, answer) { answer in
                self.look(
                    call.access.caller.peer, requestID: call.access.caller.requestID,
                    { schema, connection throws(PostgresError) in try RunDryRun.run(call, schema, connection) },
                    then: answer)
            }
        case .events: preconditionFailure("a stream is not one answer")
        }
    }

    // MARK: calls that change stock

    private func submit(
        _ call: StockCall, _ onDeparture: (@escaping @Sendable (Departure) -> Void) -> Void,
        then answer: @escaping @Sendable (StockAnswer) -> Void
    ) {
        let peer = call.access.caller.peer
        let tokenHash = hash(of: call.access)
        let respond: @Sendable (StockAnswer) -> Void = { [self] result in
            holdBack(result, peer) { answer(result) }
        }
        guard case .guarded(let fingerprint) = call.duplicateCheck else {
            return calls.submit(call, tokenHash: tokenHash, onDeparture: onDeparture) { result, _ in respond(result) }
        }
        let key = Self.key(fingerprint, tokenHash)
        let follower = RepeatGuard.Follower(
            answer: respond,
            executeAgain: { [self] in
                submit(call, { _ in }, then: respond)
                calls.wake()
            })
        switch repeats.admit(key, follower) {
        case .taken: break
        case .answered(let result): respond(result)
        case .first:
            calls.submit(call, tokenHash: tokenHash, onDeparture: onDeparture) { [repeats] result, isDeparted in
                repeats.finish(key, result, isDeparted: isDeparted)
                respond(result)
            }
        }
    }

    private func hash(of access: Access) -> String? {
        access.caller.credential.map { hashes.hash(of: $0.token) }
    }

    /// A digest, so that the guard keeps neither tokens nor bodies.
    private static func key(_ fingerprint: CallFingerprint, _ tokenHash: String?) -> String {
        let parts = [tokenHash ?? "", fingerprint.requestID, fingerprint.target].map { Array($0.utf8) }
        return GatewaySecret.digest(of: parts + [fingerprint.body])
    }

    // MARK: calls that read

    typealias Lookup<Success> =
        @Sendable (QueueSchema, Connection) throws(PostgresError) -> Result<Success, CallFailure>

    func look<Success: Sendable>(
        _ peer: PeerAddress, requestID: String? = nil, _ run: @escaping Lookup<Success>,
        then answer: @escaping @Sendable (Result<Success, CallFailure>) -> Void
    ) {
        lookups.submit(
            Lookups.Call(
                run: { [self] connection throws(PostgresError) in
                    let result = try run(schema, connection)
                    holdBack(result, peer, { answer(result) })
                },
                fail: { answer(.failure($0)) }, requestID: requestID))
    }

    /// Answers now, or later if the caller presented another wrong token.
    private func holdBack<Success>(
        _ result: Result<Success, CallFailure>, _ peer: PeerAddress, _ answer: @escaping @Sendable () -> Void
    ) {
        guard case .failure(.invalidCredential) = result else { return answer() }
        let delayMs = delay.failed(peer)
        if delayMs == 0 { return answer() }
        DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(delayMs)) { answer() }
    }

    // MARK: the native API

    /// Counts a request of a token, and executes it unless the token made too many.
    private func count<Success: Sendable>(
        _ access: Access, _ write: @escaping @Sendable (Result<Success, CallFailure>) -> Response,
        _ answer: @escaping @Sendable (Response) -> Void,
        _ run: (@escaping @Sendable (Result<Success, CallFailure>) -> Void) -> Void
    ) {
        let quota = rates.count(hash(of: access))
        let respond: @Sendable (Result<Success, CallFailure>) -> Void = { result in
            var response = write(result)
            response.fields.append(quota.fields)
            answer(response)
        }
        if let seconds = quota.exceededForSeconds {
            respond(.failure(.overLimit(retryAfterSeconds: seconds)))
        } else {
            run(respond)
        }
    }

    private func enqueue(
        _ call: StockCall, _ onDeparture: (@escaping @Sendable (Departure) -> Void) -> Void,
        then answer: @escaping @Sendable (SubmissionAnswer) -> Void
    ) {
        let peer = call.access.caller.peer
        calls.submit(
            call, tokenHash: hash(of: call.access), onDeparture: onDeparture,
            onAccept: { jobs in
                answer(.success(.accepted(jobs.map { AcceptedJob($0.jobID, isDuplicate: $0.isDuplicate) })))
            },
            answer: { [self] result, _ in holdBack(result, peer) { answer(result.map { .decided($0) }) } })
    }

    package func follow(
        _ query: EventQuery, onDeparture: (@escaping @Sendable (Departure) -> Void) -> Void,
        open: @escaping @Sendable (ResponseFields) -> BodyWriter?,
        fail: @escaping @Sendable (CallFailure, ResponseFields) -> Void
    ) {
        let quota = rates.count(hash(of: query.access))
        let peer = query.access.caller.peer
        let failed: @Sendable (CallFailure) -> Void = { [self] failure in
            holdBack(Result<Void, CallFailure>.failure(failure), peer) { fail(failure, quota.fields) }
        }
        if let seconds = quota.exceededForSeconds { return failed(.overLimit(retryAfterSeconds: seconds)) }
        streams.add(query, onDeparture: onDeparture, open: { open(quota.fields) }, fail: failed)
    }

    // MARK: batches

    private func begin(_ batch: BatchCall, then answer: @escaping @Sendable (BatchAnswer) -> Void) {
        look(
            batch.access.caller.peer,
            { schema, connection throws(PostgresError) in try CheckAccess.run(batch.access, schema, connection) },
            then: { [self] access in
                switch access {
                case .failure(let failure): answer(.failure(failure))
                case .success(let grant): take(batch, of: grant.storeID, then: answer)
                }
            })
    }

    private func take(_ batch: BatchCall, of store: String, then answer: @Sendable (BatchAnswer) -> Void) {
        switch batches.add(batch, store: store) {
        case .full: answer(.failure(.overLimit(retryAfterSeconds: 60)))
        case .known(let ticket): answer(.success(ticket))
        case .added(let ticket):
            answer(.success(ticket))
            executeNext(of: ticket)
        }
    }

    /// Executes the items of a batch one after the other.
    private func executeNext(of ticket: String) {
        guard let (batch, item) = batches.next(of: ticket) else { return }
        let plan = EcwidBatch.plan(item, of: batch, settings: vendorSettings)
        execute(
            plan, onDeparture: { _ in },
            answer: { [self] response in
                let pauseMs = batches.record(response, of: ticket)
                DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(pauseMs)) { [self] in
                    executeNext(of: ticket)
                }
            })
        calls.wake()
    }
}
