import HTTPServer
import Metrics
import StockGatewayExecution
import StockQueueLocking

/// Counts the requests of the gateway by route.
final class GatewayMetrics: Sendable {
    private struct RouteMetrics: Sendable {
        /// By the first digit of the status, from 2 on.
        var statuses: [Counter]
        var duration: Histogram
    }

    private let routes: [RouteMetrics]
    /// Requests without a route, such as those that the server itself answered.
    private let others: RouteMetrics
    private let codes: MetricFamily<Counter>
    private let failedCalls: Counter
    private let requests = Mutex((all: 0, failed: 0))

    private static let classes = ["2xx", "3xx", "4xx", "5xx"]
    private static let seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
    private static let known: [HTTPStatus] = [
        .ok, .created, .accepted, .noContent, .badRequest, .unauthorized, .forbidden, .notFound, .methodNotAllowed,
        .requestTimeout, .conflict, .contentTooLarge, .unprocessable, .tooManyRequests, .internalServerError,
        .serviceUnavailable,
    ]

    /// - Parameter table: with all routes of the gateway.
    init(_ registry: MetricsRegistry, _ table: RouteTable) {
        let requests = registry.counters(
            "stockq_http_requests", "Requests of the gateway by route and class of status.",
            labels: ["route", "method", "status"])
        let durations = registry.histograms(
            "stockq_http_request_duration_seconds", "From the complete request to its answer.", bounds: Self.seconds,
            labels: ["route", "method"])
        func metrics(_ route: String, _ method: String) -> RouteMetrics {
            RouteMetrics(
                statuses: Self.classes.map { requests[route, method, $0] }, duration: durations[route, method])
        }
        routes = table.routes.map { metrics($0.pattern.description, $0.method.description) }
        others = metrics("none", "none")
        codes = registry.counters("stockq_http_responses", "Answers of the gateway by status.", labels: ["code"])
        for status in Self.known { _ = codes["\(status.code)"] }
        failedCalls = registry.counter(
            "stockq_http_calls_failed", "Calls for which the database raised an unexpected error.")
    }

    /// Called by the threads that answer.
    func record(_ answered: AnsweredRequest) {
        let metrics = answered.route.map { routes[$0] } ?? others
        let code = answered.status.code
        metrics.statuses[min(max(code / 100 - 2, 0), Self.classes.count - 1)].add()
        metrics.duration.observe(answered.duration / .seconds(1))
        codes["\(code)"].add()
        requests.withLock { requests in
            requests.all += 1
            if code >= 500 { requests.failed += 1 }
        }
    }

    func record(_ event: GatewayEvent, _ connections: ConnectionMetrics) {
        switch event {
        case .connected(let service): connections.connected(service)
        case .disconnected(let service, let error, _): connections.disconnected(service, error)
        case .failed(_, let error, _):
            failedCalls.add()
            connections.count(error)
        }
    }

    /// Requests so far, and those of them with a status from 500 on.
    var totals: (all: Int, failed: Int) { requests.withLock { $0 } }
}

extension MetricsRegistry {
    /// Adds what a server counts.
    func add(_ statistics: @escaping @Sendable () -> ServerStatistics) {
        onScrape { exposition in
            let now = statistics()
            exposition.family(.gauge, "stockq_http_connections", "Open connections.", [([], Double(now.connections))])
            exposition.family(
                .counter, "stockq_http_connections_accepted", "Connections that came in.", [([], Double(now.accepted))])
            exposition.family(
                .counter, "stockq_http_connection_timeouts", "Connections whose time was up.",
                [([], Double(now.timeouts))])
            exposition.family(
                .counter, "stockq_http_accept_failures", "Connections that were not taken for want of descriptors.",
                [([], Double(now.acceptFailures))])
        }
    }
}
