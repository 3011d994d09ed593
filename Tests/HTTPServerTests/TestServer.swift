import Foundation
import HTTPServer
import StockQueueLocking
import TestSupport

/// A server on the loopback interface, with what its application has received.
final class TestServer: Sendable {
    let server: HTTPServer
    let port: Int
    private let routes: [String]
    private let calls: Calls

    /// Calls that the application has not answered, in order.
    private final class Calls: Sendable {
        let answered = Mutex<[AnsweredRequest]>([])
        let waiting = Mutex<[Call]>([])
        let arrived = DispatchSemaphore(value: 0)
        let departures = Mutex<[Departure]>([])
        let departed = DispatchSemaphore(value: 0)
    }

    /// Routes: `/now` answers at once, `/wait` waits for `next`, `/drop` gives no answer.
    init(_ endpoints: [Endpoint] = [.tcp("127.0.0.1", 0)], _ change: (inout ServerSettings) -> Void = { _ in }) throws {
        var settings = ServerSettings()
        change(&settings)
        let calls = Calls()
        var routes = RouteTable()
        for method in [HTTPMethod.get, .put, .post] {
            routes.add(method, "/now") { $0.respond(.text(.ok, "\($0.request.body.count)")) }
            routes.add(method, "/drop") { _ in }
            routes.add(method, "/small", bodyBytesMax: 3) { $0.respond(.text(.ok, "small")) }
            routes.add(method, "/fail") { _ in throw HTTPFailure(.conflict, "not now") }
            routes.add(method, "/wait") { call in
                call.responder.onDeparture { departure in
                    calls.departures.withLock { $0.append(departure) }
                    calls.departed.signal()
                }
                calls.waiting.withLock { $0.append(call) }
                calls.arrived.signal()
            }
        }
        routes.onAnswered = { report in calls.answered.withLock { $0.append(report) } }
        self.routes = routes.routes.map { "\($0.method) \($0.pattern)" }
        routes.setErrorStyle(under: "/v2") { failure in
            .json(failure.status, Array(#"{"errors":[{"status":\#(failure.status)}]}"#.utf8))
        }
        server = try HTTPServer(endpoints, settings: settings, handler: RouteHandler(routes))
        port = server.addresses.first.flatMap { Int($0.split(separator: ":").last ?? "") } ?? 0
        self.calls = calls
    }

    /// Each answer so far: its route, and its status.
    var answered: [String] {
        calls.answered.withLock { $0 }.map { "\($0.route.map { routes[$0] } ?? "none") \($0.status)" }
    }

    /// How long each answer took.
    var durations: [Duration] { calls.answered.withLock { $0 }.map(\.duration) }

    func client() throws -> RawClient { try RawClient(port: port) }

    /// Waits for the next call of `/wait`.
    func next() throws -> Call {
        guard calls.arrived.wait(timeout: .now() + 20) == .success else { throw RawClient.Failure.timeout }
        return calls.waiting.withLock { $0.removeFirst() }
    }

    func nextDeparture() throws -> Departure {
        guard calls.departed.wait(timeout: .now() + 20) == .success else { throw RawClient.Failure.timeout }
        return calls.departures.withLock { $0.removeFirst() }
    }

    deinit {
        server.shutDown(graceMs: 0)
        server.wait()
    }
}
