import Foundation
import StockQueueLocking

/// A receiver of webhooks in Python, which checks signatures with the package `standardwebhooks`. The path of a URL says
/// how it answers.
public final class WebhookReceiver: Sendable {
    /// A request that came, in the order of arrival.
    public struct Received: Decodable, Sendable {
        public var path: String
        public var id: String
        public var verified: Bool
        public var signatures: Int
        public var event: String
        public var body: String
    }

    /// A secret that the receiver knows.
    public static let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
    /// Another one, with which `/rotated` checks.
    public static let newSecret = "whsec_QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="

    public let port: Int
    private let running: Program.Running

    private static let script = #"""
        import json, sys, threading, time
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
        from standardwebhooks.webhooks import Webhook

        secrets = {"/rotated": sys.argv[2]}
        lock, seen = threading.Lock(), set()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                path, id = self.path, self.headers["webhook-id"]
                try:
                    Webhook(secrets.get(path, sys.argv[1])).verify(body, dict(self.headers))
                    verified = True
                except Exception:
                    verified = False
                with lock:
                    is_first = id not in seen
                    seen.add(id)
                    print(json.dumps({
                        "path": path, "id": id, "verified": verified, "event": json.loads(body)["type"],
                        "signatures": len(self.headers["webhook-signature"].split(" ")), "body": body.decode(),
                    }), flush=True)
                if path == "/fail-once":
                    return self.answer(500 if is_first else 204)
                if path == "/redirect":
                    self.send_response(302)
                    self.send_header("Location", "/ok")
                    self.send_header("Content-Length", "0")
                    return self.end_headers()
                if path == "/slow":
                    time.sleep(60)
                if path in ("/huge", "/endless"):
                    self.send_response(200)
                    self.send_header("Content-Length", str(1 << 30))
                    self.end_headers()
                    try:
                        for step in range(300):
                            self.wfile.write(b"x" * ((1 << 20) if path == "/huge" else 1))
                            if path == "/endless":
                                time.sleep(0.2)
                    except OSError:
                        pass
                    self.close_connection = True
                    return
                codes = {"/fail": 500, "/gone": 410, "/busy": 503}
                self.answer(codes.get(path, 204))

            def answer(self, code):
                self.send_response(code)
                if code == 503:
                    self.send_header("Retry-After", "120")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 512

        server = Server(("127.0.0.1", 0), Handler)
        print(server.server_address[1], flush=True)
        server.serve_forever()
        """#

    public init() throws {
        var program = Program()
        program.environment["PYTHONPATH"] = Self.pythonPath
        running = try program.start(
            ["python3", "-c", Self.script, Self.secret, Self.newSecret], executable: "/usr/bin/env")
        let running = running
        guard eventually({ running.outputText.contains("\n") }),
            let port = Int(running.outputText.prefix { $0 != "\n" })
        else { throw NoReceiver(message: running.errorText) }
        self.port = port
    }

    public struct NoReceiver: Error {
        public let message: String
    }

    /// The packages that `scripts/setup tests` has installed.
    public static let pythonPath = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../../.build/python").path

    public func url(_ path: String) -> String { "http://127.0.0.1:\(port)\(path)" }

    /// What came so far.
    public var received: [Received] {
        running.outputText.split(separator: "\n").dropFirst().compactMap {
            try? JSONDecoder().decode(Received.self, from: Data($0.utf8))
        }
    }
}
