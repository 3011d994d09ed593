import HTTPServer
import StockFormats
import StockModel

/// The operations that read notifications.
enum NotificationOperations {
    static let all = [list, stream]

    private static let store = "/v1/stores/{store_id}"

    private static let list = NativeOperation(
        id: "listNotifications", method: .get, path: "\(store)/notifications",
        summary: "Read notifications after a cursor, oldest first; cursor is the next one", scopes: [.readCatalog],
        parameters: [.cursor, .limit], answers: [.init(200, "The notifications.", "Notifications")]
    ) { input throws(Problem) in
        let limit = try input.limit()
        return input.query(.notifications(after: try input.cursor(), limit: limit)) { rows throws(Problem) in
            JobAnswers.members("notifications", rows.rows.map(\.json), ("cursor", rows.cursor))
        }
    }

    static let streamID = "streamNotifications"

    private static let stream = NativeOperation(
        id: streamID, method: .get, path: "\(store)/notifications/stream",
        summary: "Follow notifications as server-sent events; the id of an event is a cursor", scopes: [.readCatalog],
        parameters: [
            .cursor,
            .init(
                name: "Last-Event-ID", location: .header,
                schema: ["type": "string", "pattern": .string(NotificationCursorText.pattern)],
                help: "The cursor of the last event that the client has; it comes before the parameter."),
        ], answers: [streamAnswer]
    ) { input throws(Problem) in
        var cursor = try input.cursor()
        if let id = input.request.head.field("last-event-id"), !id.isEmpty {
            guard NotificationCursorText.isValid(id) else {
                throw Problem.header("Last-Event-ID", "must be the id of an event")
            }
            cursor = id
        }
        let head = NotificationEvents.head
        if input.request.head.method == .head {
            return input.query(.notifications(after: cursor ?? "0", limit: 1)) { _ throws(Problem) in head }
        }
        return .events(EventQuery(input.access, after: cursor), head) { [access = input.access] failure in
            Problem(failure, access).response
        }
    }

    private static var streamAnswer: NativeOperation.Answer {
        var answer = NativeOperation.Answer(200, "Events with a Notification as data. The stream does not end.", nil)
        answer.mediaType = "text/event-stream"
        return answer
    }
}

/// The events of a stream (HTML standard, section "Server-sent events").
package enum NotificationEvents {
    static let head = Response(
        .ok,
        fields: ResponseFields().adding("Content-Type", "text/event-stream").adding("Cache-Control", "no-store")
            // nginx would collect the events.
            .adding("X-Accel-Buffering", "no"))

    /// The event of a notification.
    ///
    /// - Parameter json: on one line.
    package static func event(_ json: String, cursor: String) -> [UInt8] {
        Array("id: \(cursor)\ndata: \(json)\n\n".utf8)
    }

    /// The first bytes: clients connect again after a second, with the cursor at which the stream begins.
    package static func opening(cursor: String) -> [UInt8] { Array("retry: 1000\nid: \(cursor)\n\n".utf8) }

    /// Moves the client's cursor without an event, and keeps the connection open.
    package static func position(_ cursor: String) -> [UInt8] { Array("id: \(cursor)\n\n".utf8) }

    /// A comment that keeps the connection open.
    package static let heartbeat = Array(": \n\n".utf8)
}
