import HTTPServer
import StockGateway
import StockQueue
import StockQueueLocking
import StockQueuePostgres

/// The batches of calls that were taken and are executed later, and their answers. They are in the memory of this
/// process: a batch that is not finished ends with it, and its ticket is unknown afterwards.
final class BatchTickets: Sendable {
    enum Addition {
        case added(String)
        /// The batch with the same deduplication key.
        case known(String)
        case full
    }

    private struct Ticket {
        let batch: BatchCall
        let store: String
        let expires: Deadline
        var answers: [(id: String, response: Response?)] = []
        var attempts = 0
        var isStarted = false

        var isComplete: Bool { answers.count == batch.items.count }
    }

    private static let ticketsMax = 1_000
    private static let keepMs = 3_600_000
    /// The vendor tries an item again when the server could not execute it.
    private static let attemptsMax = 5
    private static let attemptPauseMs = 3_000

    private let tickets = Mutex<[String: Ticket]>([:])

    func add(_ batch: BatchCall, store: String) -> Addition {
        tickets.withLock { tickets in
            for (id, ticket) in tickets where ticket.expires.hasPassed && ticket.isComplete { tickets[id] = nil }
            if let key = batch.deduplicationKey,
                let known = tickets.first(where: { $1.store == store && $1.batch.deduplicationKey == key })
            {
                return .known(known.key)
            }
            if tickets.count >= Self.ticketsMax { return .full }
            let id = GatewaySecret.randomHex(bytes: 16)
            tickets[id] = Ticket(batch: batch, store: store, expires: .after(milliseconds: Self.keepMs))
            return .added(id)
        }
    }

    /// The item that comes next; nil at the end.
    func next(of id: String) -> (BatchCall, BatchCall.Item)? {
        tickets.withLock { tickets in
            guard var ticket = tickets[id], !ticket.isComplete else { return nil }
            ticket.isStarted = true
            tickets[id] = ticket
            return (ticket.batch, ticket.batch.items[ticket.answers.count])
        }
    }

    /// Keeps the answer of the item that came next.
    ///
    /// - Returns: the pause before the next item, or before the next attempt at this one, ms.
    func record(_ response: Response, of id: String) -> Int {
        tickets.withLock { tickets in
            guard var ticket = tickets[id] else { return 0 }
            defer { tickets[id] = ticket }
            ticket.attempts += 1
            // Nothing was applied.
            let isToBeRepeated = response.status.code == 429 || response.status.code >= 500
            if isToBeRepeated, ticket.attempts < Self.attemptsMax { return Self.attemptPauseMs }
            ticket.attempts = 0
            ticket.answers.append((ticket.batch.items[ticket.answers.count].id, response))
            if response.status.code >= 400, ticket.batch.stopsOnFailure {
                ticket.answers += ticket.batch.items[ticket.answers.count...].map { ($0.id, nil) }
            }
            return 0
        }
    }

    /// nil for a ticket that is unknown, or of another store.
    func progress(of id: String, store: String) -> BatchProgress? {
        tickets.withLock { tickets in
            guard let ticket = tickets[id], ticket.store == store else { return nil }
            let state: BatchProgress.State = ticket.isComplete ? .completed : ticket.isStarted ? .inProgress : .queued
            return BatchProgress(state, total: ticket.batch.items.count, answers: ticket.answers)
        }
    }
}
