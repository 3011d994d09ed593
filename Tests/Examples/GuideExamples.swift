import StockQueue

// The Swift examples of the documentation, compiled with the one import and the public interface that a user has. A
// test compares the texts, and runs the functions.

public func withQueue(conninfo: String) async throws {
    let queue = StockQueueClient(ConnectionSettings(conninfo: conninfo, applicationName: "shop"))
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await queue.run() }
        try await sell(with: queue)
        group.cancelAll()
    }
}

func sell(with queue: StockQueueClient) async throws {
    var job = JobRequest(store: "berlin", item: "mug", quantity: -1)
    job.idempotencyKey = "order 1005"
    let receipt = try await queue.enqueue(job)
    guard let result = try await queue.result(of: receipt.jobID, timeout: .seconds(10)) else {
        return  // no worker had time for it yet; the job stays queued
    }
    switch result.outcome {
    case .applied, .unchanged: print("available now: \(result.after?.available ?? 0)")
    case .rejected: print("not sold: \(result.code?.rawValue ?? "")")
    case .duplicate, .canceled, .failed: print(result.outcome)
    }
}

public func sellAnOrder(with queue: StockQueueClient) async throws -> [Receipt] {
    var lines = [
        JobRequest(store: "berlin", item: "mug", quantity: -1),
        JobRequest(store: "berlin", item: "shirt-m", quantity: -1),
    ]
    for index in lines.indices { lines[index].groupID = "order 1006" }
    let receipts = try await queue.enqueue(lines, idempotencyKey: "order 1006")
    return receipts
}

public func restock(with queue: StockQueueClient) async throws -> [JobResult] {
    let delivered = (1...1_000).map { _ in JobRequest(store: "berlin", item: "shirt-m", quantity: 1) }
    let enqueued = try await queue.enqueueBulk(delivered)
    let mug = try await queue.item(ItemKey("berlin", "mug"))
    let history = try await queue.history(of: ItemKey("berlin", "mug"), limit: 5)
    print(enqueued, mug?.balance.available ?? 0)
    return history
}

public func sellUnlessFull(_ job: JobRequest, with queue: StockQueueClient) async throws {
    do {
        _ = try await queue.enqueue(job)
    } catch {
        switch error {
        case .storeIsFull: print("try again later")
        case .invalid(let problem): print(problem.field ?? "", problem.message)
        default: throw error
        }
    }
}

struct BatchMetrics: WorkersObserver {
    func batchCommitted(_ event: WorkEvent.BatchCommitted) {
        print("\(event.finished) jobs in \(event.duration), \(event.outcomes[.rejected]) rejected")
    }
}

public func runWorkers(conninfo: String) async throws {
    let workers = StockWorkers(
        connection: ConnectionSettings(conninfo: conninfo, applicationName: "stock"), observer: BatchMetrics())
    try await workers.run()
}

public func follow(
    _ queue: StockQueueClient, from stored: NotificationCursor?, store: @Sendable (NotificationCursor) -> Void
) async throws {
    var cursor = stored
    if cursor == nil { cursor = try await queue.notificationCursor() }
    let notifications = queue.notifications(after: cursor ?? .beginning)
    for try await notification in notifications {
        print(notification.itemID, notification.kind, notification.availableAfter)
        store(notifications.cursor)
    }
}

public func followChanges(
    _ queue: StockQueueClient, from cursor: ChangeCursor?, store: @Sendable (ChangeCursor) -> Void
) async throws {
    let changes = queue.changes(after: cursor ?? .beginning)
    for try await change in changes {
        print(change.itemID, change.version, change.after.available)
        store(changes.cursor)
    }
}
