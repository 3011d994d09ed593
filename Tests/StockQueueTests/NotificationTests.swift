import Foundation
import StockModel
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Notifications as a sequence, and the cursor that goes on where it was stored.
@Suite("Notifications", .timeLimit(.minutes(15))) struct NotificationTests {
    private static func insert(_ version: Int) -> String {
        """
        INSERT INTO stockq.notifications
            (job_id, version, available_before, available_after, kind, store_id, item_id, location_id)
        VALUES (1, \(version), 1, 1, 'restocked', 's', 'a', 'main')
        """
    }

    @Test("a notification waits for those before it whose transaction is open, and none is lost")
    func outOfOrder() async throws {
        try await withDatabase { database in
            let slow = try database.connect()
            try slow.executeScript("BEGIN; \(Self.insert(1))")
            try database.run(Self.insert(2))
            var follower = NotificationFollower(
                inspector: Inspector(connection: try database.connect(), schema: database.schema), after: .beginning)
            #expect(try follower.next(limit: 10).isEmpty)
            try slow.executeScript("COMMIT")
            #expect(try follower.next(limit: 10).map(\.value.version) == [1, 2])
            #expect(try follower.next(limit: 10).isEmpty)
        }
    }

    @Test("a stored cursor goes on where it was, whatever was committed meanwhile")
    func storedCursor() async throws {
        try await withDatabase { database in
            try database.run(Self.insert(1))
            let slow = try database.connect()
            try slow.executeScript("BEGIN; \(Self.insert(2))")
            let inspector = Inspector(connection: try database.connect(), schema: database.schema)
            var follower = NotificationFollower(inspector: inspector, after: .beginning)
            #expect(try follower.next(limit: 10).map(\.value.version) == [1])
            let stored = try JSONEncoder().encode(follower.cursor)
            try database.run(Self.insert(3))
            try slow.executeScript("COMMIT")
            let cursor = try JSONDecoder().decode(NotificationCursor.self, from: stored)
            var restarted = NotificationFollower(inspector: inspector, after: cursor)
            #expect(try restarted.next(limit: 10).map(\.value.version) == [2, 3])
            #expect(try restarted.next(limit: 10).isEmpty)
        }
    }

    @Test("a cursor that version 0.2.0 stored goes on where it was, from the first id that was missing")
    func oldCursor() async throws {
        try await withDatabase { database in
            for version in 1...5 { try database.run(Self.insert(version)) }
            // As the migration leaves the rows of 0.2.0.
            try database.run("UPDATE stockq.notifications SET position = 0")
            let inspector = Inspector(connection: try database.connect(), schema: database.schema)
            for (stored, expected) in [
                (#"{"last_id":3,"missing":[]}"#, [4, 5]), (#"{"last_id":4,"missing":[3]}"#, [3, 4, 5]),
            ] {
                let cursor = try JSONDecoder().decode(NotificationCursor.self, from: Data(stored.utf8))
                #expect(
                    try inspector.notifications(after: cursor, limit: 10).map(\.value.version)
                        == expected.map { Int64($0) })
            }
            let asText = try #require(NotificationCursor("4:2-3"))
            #expect(try inspector.notifications(after: asText, limit: 10).map(\.value.version) == [2, 3, 4, 5])
        }
    }

    @Test("the sequence returns typed notifications in order, and its cursor is that of the last one")
    func sequence() async throws {
        try await withShop { database, client in
            let job = try await client.enqueue(JobRequest(store: "s", item: "b", quantity: -5))
            _ = try await client.enqueue(JobRequest(store: "s", item: "b", quantity: 3))
            try await drain(database)
            let notifications = client.notifications(after: .beginning)
            var iterator = notifications.makeAsyncIterator()
            let first = try #require(try await iterator.next())
            #expect(first.kind == .outOfStock && first.key == ItemKey("s", "b") && first.jobID == job.jobID)
            #expect(first.availableBefore == 5 && first.availableAfter == 0 && first.version == 1)
            #expect(abs(first.createdAt.timeIntervalSinceNow) < 60)
            // Both were read at once, and the cursor is that of the returned notification.
            let stored = notifications.cursor
            #expect(try await iterator.next()?.kind == .backInStock)
            var restarted = client.notifications(after: stored).makeAsyncIterator()
            #expect(try await restarted.next()?.kind == .backInStock)
        }
    }

    @Test("the sequence waits for notifications to come, and ends when its task is canceled")
    func waitingSequence() async throws {
        try await withShop { database, client in
            let cursor = try await client.notificationCursor()
            let received = Shared<[NotificationKind]>([])
            let following = Task {
                for try await notification in client.notifications(after: cursor, pollInterval: .milliseconds(5)) {
                    received.update { $0.append(notification.kind) }
                }
            }
            _ = try await client.enqueue(JobRequest(store: "s", item: "b", quantity: -5))
            try await drain(database)
            try await onThread { #expect(eventually { received.value == [.outOfStock] }) }
            following.cancel()
            await #expect { try await following.value } throws: {
                if case QueueError.canceled = $0 { true } else { false }
            }
        }
    }

    @Test("the sequence goes on after the server was away for longer than a call is repeated")
    func lostServer() async throws {
        try await withShop { database, direct in
            let proxy = try Proxy(to: database)
            let client = StockQueueClient(
                ConnectionSettings(conninfo: proxy.conninfo(database: database.name), applicationName: "tests"))
            let running = Task { try await client.run() }
            let received = Shared<[NotificationKind]>([])
            let following = Task {
                for try await notification in client.notifications(after: .beginning, pollInterval: .milliseconds(5)) {
                    received.update { $0.append(notification.kind) }
                }
            }
            _ = try await direct.enqueue(JobRequest(store: "s", item: "b", quantity: -5))
            try await drain(database)
            try await onThread {
                #expect(eventually { received.value == [.outOfStock] })
                proxy.rejectConnections(true)
                proxy.cutAll()
                #expect(eventually { proxy.rejectedConnections > 6 }, "two calls, each made three times")
                proxy.rejectConnections(false)
            }
            _ = try await direct.enqueue(JobRequest(store: "s", item: "b", quantity: 5))
            try await drain(database)
            try await onThread { #expect(eventually { received.value == [.outOfStock, .backInStock] }) }
            following.cancel()
            running.cancel()
            try await running.value
        }
    }

    @Test("a cursor is a text that can be read again", arguments: ["0", "57", "1204-57", "0-999999999999999999"])
    func cursorText(text: String) {
        #expect(NotificationCursor(text)?.description == text)
    }

    @Test(
        "a text that is no cursor is refused",
        arguments: [
            "", "x", "-1", "5:", "5:x", "5:9", "5:3-", "5:1-2-3", "5:1,", "57:1-", "1-2-3", "1:1:1", " 1", "+1", "1--2",
            "1234567890123456789",
        ])
    func noCursor(text: String) { #expect(NotificationCursor(text) == nil) }

    @Test("a cursor for a span of time begins with its notifications")
    func cursorOfTime() async throws {
        try await withShop { database, client in
            _ = try await client.enqueue(JobRequest(store: "s", item: "b", quantity: -5))
            try await drain(database)
            let recent = try await client.notificationCursor(since: .seconds(60))
            var iterator = client.notifications(after: recent).makeAsyncIterator()
            #expect(try await iterator.next()?.kind == .outOfStock)
            let now = try await client.notificationCursor()
            #expect(try await client.notificationPage(after: now).map(\.value).isEmpty)
        }
    }
}
