import Dispatch
import Foundation
import HTTPServer
import StockFormats
import StockQueue
import StockQueueLocking
import StockQueuePostgres

/// Sends snapshots of the queue to the open pages as server-sent events: one reading serves all of them, and without an
/// open page nothing is read.
final class SnapshotStreams: Sendable {
    private struct Follower {
        let number: Int
        let writer: BodyWriter
        /// It has nothing yet, or missed an event because it reads slowly.
        var needsAll = true
    }

    private struct State {
        var followers: [Follower] = []
        var nextNumber = 0
        var points: [String] = []
        var last: QueueSnapshot?
        var isStopped = false
        /// Why the last reading failed; nil where it did not.
        var problem: String?
    }

    private let reader: @Sendable () -> SnapshotReader
    private let log: Log
    private let state = Mutex(State())
    private let wake = DispatchSemaphore(value: 0)
    private let hasEnded = DispatchSemaphore(value: 0)

    /// Open pages.
    private static let followersMax = 100
    /// The points of the charts that a new page gets: ten minutes.
    private static let pointsMax = 600
    /// Between two attempts while the database is away.
    private static let retry = Duration.seconds(2)

    /// - Parameter reader: makes the reader, on the thread that uses it.
    init(log: Log, reader: @escaping @Sendable () -> SnapshotReader) {
        (self.log, self.reader) = (log, reader)
    }

    func start() {
        let thread = Thread { [self] in
            run()
            hasEnded.signal()
        }
        thread.name = "snapshots"
        thread.start()
    }

    func stop() {
        state.withLock { $0.isStopped = true }
        wake.signal()
        hasEnded.wait()
    }

    /// Why the last reading failed; nil where it did not, or nothing was read yet.
    var problem: String? { state.withLock { $0.problem } }

    // MARK: followers

    /// Begins a stream.
    func add(_ call: Call) {
        let isTaken = state.withLock { $0.followers.count < Self.followersMax && !$0.isStopped }
        guard isTaken else {
            return call.fail(HTTPFailure(.serviceUnavailable, "too many dashboards are open; close one"))
        }
        guard let writer = call.stream(Response(.ok, fields: DashboardFields.events)) else { return }
        // A stream that is full gets the next event; this one is small.
        _ = writer.write(Array("retry: 2000\n\n".utf8))
        let number = state.withLock { state in
            state.nextNumber += 1
            state.followers.append(Follower(number: state.nextNumber, writer: writer))
            return state.nextNumber
        }
        call.responder.onDeparture { [weak self] departure in
            switch departure {
            // A client that sends nothing more still reads.
            case .finishedSending: break
            case .shuttingDown, .disconnected: self?.remove(number)
            }
        }
        wake.signal()
    }

    private func remove(_ number: Int) {
        let writer = state.withLock { state in
            let index = state.followers.firstIndex { $0.number == number }
            return index.map { state.followers.remove(at: $0).writer }
        }
        writer?.finish()
    }

    private func send(_ snapshot: QueueSnapshot) {
        let followers = state.withLock { state in
            state.problem = nil
            state.last = snapshot
            state.points.append(snapshot.point)
            if state.points.count > Self.pointsMax { state.points.removeFirst() }
            return state.followers
        }
        let event = Self.event("snapshot", snapshot.json())
        for follower in followers where !follower.needsAll { note(follower.number, follower.writer.write(event)) }
        sendAll()
    }

    /// Sends what is known to the followers that have nothing yet.
    private func sendAll() {
        let (followers, last, points) = state.withLock { state in
            (state.followers.filter(\.needsAll), state.last, state.points)
        }
        guard let last, !followers.isEmpty else { return }
        let events =
            Self.event("points", "[\(points.joined(separator: ","))]")
            + Self.event("snapshot", last.json(panels: Set(SnapshotPanel.allCases)))
        for follower in followers { note(follower.number, follower.writer.write(events)) }
    }

    private func sendProblem(_ problem: String) {
        let followers = state.withLock { state in
            state.problem = problem
            return state.followers
        }
        let event = Self.event("problem", JSONWriter.quoted(problem))
        for follower in followers where follower.writer.write(event) == .disconnected { remove(follower.number) }
    }

    private func note(_ number: Int, _ outcome: BodyWriter.Outcome) {
        if outcome == .disconnected { return remove(number) }
        state.withLock { state in
            guard let index = state.followers.firstIndex(where: { $0.number == number }) else { return }
            state.followers[index].needsAll = outcome == .full
        }
    }

    private static func event(_ name: String, _ json: String) -> [UInt8] {
        Array("event: \(name)\ndata: \(json)\n\n".utf8)
    }

    // MARK: the thread

    private func run() {
        let reader = reader()
        var next = Deadline.after(milliseconds: 0)
        while true {
            let (isStopped, hasFollowers) = state.withLock { ($0.isStopped, !$0.followers.isEmpty) }
            if isStopped { break }
            guard hasFollowers else {
                wake.wait()
                continue
            }
            if next.hasPassed {
                next = .after(milliseconds: round(reader).milliseconds)
            } else {
                sendAll()
            }
            _ = wake.wait(timeout: .now() + .milliseconds(max(1, next.remainingMs)))
        }
        for follower in state.withLock({ $0.followers }) { remove(follower.number) }
    }

    /// - Returns: how long to wait before the next one.
    private func round(_ reader: SnapshotReader) -> Duration {
        do throws(PostgresError) {
            let snapshot = try reader.read()
            send(snapshot)
            return snapshot.pause
        } catch {
            log.write(.warn, "snapshot_failed", [("error", error)])
            sendProblem(ErrorText.explain(error))
            return Self.retry
        }
    }
}

extension QueueSnapshot {
    /// How long to wait after it. The first snapshot has every panel, once; the pause is for one of them.
    var pause: Duration { SnapshotReader.pause(after: took / max(1, renewed.count)) }
}
