import Dispatch
import Foundation
import FoundationNetworking
import StockQueueLocking

/// Sends webhooks: POST with the headers of the Standard Webhooks specification.
///
/// It follows no redirect, reads at most `answerBytesMax` of an answer, and keeps no cookie.
final class WebhookSender: Sendable {
    /// What happens at the end of a request, on a thread of URLSession.
    typealias End = @Sendable (DeliveryEnd) -> Void

    /// A session with its own queue: one session uses one core, and no more than 1,800 messages a second.
    private struct Client {
        let session: URLSession
        let delegate: Delegate
    }

    private static let answerBytesMax = 64 << 10
    private static let clientCount = 2

    private let clients: [Client]
    private let nextClient = Mutex(0)
    private let allowsPrivateTargets: Bool

    init(atOnce: Int, timeout: Duration, allowsPrivateTargets: Bool) {
        self.allowsPrivateTargets = allowsPrivateTargets
        clients = (0..<Self.clientCount).map { _ in
            let delegate = Delegate(answerBytesMax: Self.answerBytesMax, timeout: timeout)
            let configuration = Self.configuration(atOnce: atOnce, timeout: timeout)
            return Client(
                session: URLSession(configuration: configuration, delegate: delegate, delegateQueue: nil),
                delegate: delegate)
        }
    }

    private static func configuration(atOnce: Int, timeout: Duration) -> URLSessionConfiguration {
        let configuration = URLSessionConfiguration.ephemeral
        configuration.httpMaximumConnectionsPerHost = atOnce
        configuration.httpCookieStorage = nil
        configuration.httpShouldSetCookies = false
        configuration.urlCache = nil
        configuration.urlCredentialStorage = nil
        // It starts again with each byte. The delegate's own watch comes first, and says what it waited for.
        configuration.timeoutIntervalForRequest = Double(timeout.milliseconds) / 1_000 + 10
        return configuration
    }

    deinit { for client in clients { client.session.invalidateAndCancel() } }

    /// Sends one message.
    ///
    /// - Parameter end: is called once, at the latest soon after the timeout.
    func send(_ delivery: ClaimedDelivery, end: @escaping End) {
        if allowsPrivateTargets { return prepare(delivery, end) }
        // A look-up blocks its thread, and the threads of a dispatch queue are few.
        Thread { [self] in prepare(delivery, end) }.start()
    }

    private func prepare(_ delivery: ClaimedDelivery, _ end: @escaping End) {
        switch request(delivery) {
        case .failure(let problem): end(.failed(problem.message))
        case .success(let request): start(request, end)
        }
    }

    private func start(_ request: URLRequest, _ end: @escaping End) {
        let client = nextClient.withLock { next in
            next = (next + 1) % clients.count
            return clients[next]
        }
        let task = client.session.dataTask(with: request)
        client.delegate.begin(task, end)
        task.resume()
    }

    private struct Problem: Error {
        let message: String
    }

    private func request(_ delivery: ClaimedDelivery) -> Result<URLRequest, Problem> {
        guard var parts = URLComponents(string: delivery.target), let host = parts.host, !host.isEmpty,
            let scheme = parts.scheme?.lowercased(), scheme == "https" || scheme == "http"
        else { return .failure(Problem(message: "the URL is not one of http or https")) }
        var hostHeader: String?
        if !allowsPrivateTargets {
            switch publicAddress(of: host) {
            case .failure(let problem): return .failure(problem)
            case .success(let address):
                // The connection goes to the address that was checked. With https the name stays in the URL,
                // because the certificate is checked against it, and the library looks it up again.
                if scheme == "http" {
                    hostHeader = parts.port.map { "\(host):\($0)" } ?? host
                    parts.host = address.urlHost
                }
            }
        }
        guard let url = parts.url else { return .failure(Problem(message: "the URL is malformed")) }
        let body = delivery.body
        let timestamp = Int64(Date().timeIntervalSince1970)
        var request = URLRequest(url: url)
        request.httpMethod = "POST"
        request.httpBody = Data(body.utf8)
        if let hostHeader { request.setValue(hostHeader, forHTTPHeaderField: "Host") }
        request.setValue("application/json", forHTTPHeaderField: "Content-Type")
        request.setValue("stockq", forHTTPHeaderField: "User-Agent")
        request.setValue(delivery.messageID, forHTTPHeaderField: "webhook-id")
        request.setValue("\(timestamp)", forHTTPHeaderField: "webhook-timestamp")
        request.setValue(
            WebhookSignature.header(
                messageID: delivery.messageID, timestamp: timestamp, body: body, secrets: delivery.secrets),
            forHTTPHeaderField: "webhook-signature")
        return .success(request)
    }

    /// An address of the host, if all of its addresses are public.
    private func publicAddress(of host: String) -> Result<TargetAddress, Problem> {
        let name = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        do throws(TargetAddress.ResolutionError) {
            let addresses = try TargetAddress.resolve(name)
            guard let first = addresses.first else { return .failure(Problem(message: "\(host) has no address")) }
            guard addresses.allSatisfy(\.isPublic) else {
                return .failure(
                    Problem(
                        message: "\(host) has an address that is not public; the setting allowPrivateTargets allows it"
                    ))
            }
            return .success(first)
        } catch {
            return .failure(Problem(message: "\(host) cannot be resolved: \(error.message)"))
        }
    }

    /// Follows the requests that are under way.
    private final class Delegate: NSObject, URLSessionDataDelegate, Sendable {
        private struct Request {
            let task: URLSessionTask
            let end: End
            let deadline: DispatchTime
            var status = 0
            var retryAfter: Int?
            var bytes = 0
        }

        private let requests = Mutex<[Int: Request]>([:])
        private let isWatching = Mutex(false)
        private let answerBytesMax: Int
        private let timeout: Duration

        init(answerBytesMax: Int, timeout: Duration) {
            self.answerBytesMax = answerBytesMax
            self.timeout = timeout
        }

        func begin(_ task: URLSessionTask, _ end: @escaping End) {
            let deadline = DispatchTime.now() + .milliseconds(timeout.milliseconds)
            requests.withLock {
                $0[task.taskIdentifier] = Request(task: task, end: end, deadline: deadline)
            }
            let begins = isWatching.withLock { isWatching in
                defer { isWatching = true }
                return !isWatching
            }
            if begins { watch(at: deadline) }
        }

        /// Gives up the requests that are late, and looks again at the deadline of the next one.
        ///
        /// One timer is for all requests: one each would keep every message in memory until its time is over.
        private func watch(at deadline: DispatchTime) {
            DispatchQueue.global().asyncAfter(deadline: deadline) { [weak self] in
                guard let self else { return }
                let now = DispatchTime.now()
                let late = requests.withLock { $0.values.filter { $0.deadline <= now }.map(\.task) }
                for task in late { giveUp(task, "no complete answer within \(timeout.text)") }
                let next = isWatching.withLock { isWatching in
                    let next = requests.withLock { $0.values.map(\.deadline).min() }
                    isWatching = next != nil
                    return next
                }
                if let next { watch(at: next) }
            }
        }

        func giveUp(_ task: URLSessionTask, _ error: String) {
            guard let request = requests.withLock({ $0.removeValue(forKey: task.taskIdentifier) }) else { return }
            task.cancel()
            request.end(.failed(error))
        }

        // The library traps when a completion handler is called after the task was canceled. `giveUp` removes the request
        // under the lock before it cancels, so here a request that is present is not canceled yet, and the library
        // processes the handler and the cancellation in the order of the calls.

        func urlSession(
            _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse,
            newRequest request: URLRequest, completionHandler: @escaping (URLRequest?) -> Void
        ) {
            requests.withLock { requests in
                guard requests[task.taskIdentifier] != nil else { return }
                requests[task.taskIdentifier]?.status = response.statusCode
                completionHandler(nil)
            }
        }

        func urlSession(
            _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
            completionHandler: @escaping (URLSession.ResponseDisposition) -> Void
        ) {
            let http = response as? HTTPURLResponse
            let retryAfter = http?.value(forHTTPHeaderField: "Retry-After").flatMap { Int($0) }
            requests.withLock { requests in
                guard requests[dataTask.taskIdentifier] != nil else { return }
                requests[dataTask.taskIdentifier]?.status = http?.statusCode ?? 0
                requests[dataTask.taskIdentifier]?.retryAfter = retryAfter
                completionHandler(.allow)
            }
        }

        func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
            let bytes = requests.withLock { requests -> Int in
                requests[dataTask.taskIdentifier]?.bytes += data.count
                return requests[dataTask.taskIdentifier]?.bytes ?? 0
            }
            if bytes > answerBytesMax { giveUp(dataTask, "the answer has more than \(answerBytesMax >> 10) KiB") }
        }

        func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
            guard let request = requests.withLock({ $0.removeValue(forKey: task.taskIdentifier) }) else { return }
            if let error {
                request.end(.failed(error.localizedDescription))
                return
            }
            let status = request.status != 0 ? request.status : (task.response as? HTTPURLResponse)?.statusCode ?? 0
            if (200..<300).contains(status) {
                request.end(.delivered)
            } else {
                let isRedirect = (300..<400).contains(status)
                let answer = isRedirect ? "the redirect \(status), and redirects are not followed" : "\(status)"
                request.end(
                    DeliveryEnd(
                        error: "the answer was \(answer)", pauseSeconds: request.retryAfter, isGone: status == 410))
            }
        }
    }
}
