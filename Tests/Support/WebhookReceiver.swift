import Foundation
import StockQueueLocking

/// A receiver of webhooks in Python, which checks signatures with the package `standardwebhooks`. The path of a URL says
/// how it answers; below `/moody`, its mood does.
///
/// It can be killed and started again on the same port. What it received before counts on.
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

    /// How it answers below `/moody`.
    public enum Mood: String, CaseIterable, Sendable {
        case ok = ""
        /// With 500.
        case fails
        /// It closes the connection in the middle of the answer.
        case cuts
        /// It closes the connection before it has read the body, so that it has not received the message.
        case leaves
        /// Not at all.
        case silent
    }

    private struct State {
        var running: Program.Running
        /// The output of the processes that were killed, their last line complete.
        var before = ""
    }

    public let port: Int
    private let state: Mutex<State>
    private let moodFile: String

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
                mood = ""
                if self.path.startswith("/moody"):
                    with open(sys.argv[4]) as file:
                        mood = file.read()
                if mood == "leaves":
                    self.close_connection = True
                    return
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
                if mood == "cuts":
                    self.wfile.write(b"HTTP/1.1 20")
                    self.close_connection = True
                    return
                if mood == "silent":
                    time.sleep(60)
                if mood == "fails":
                    return self.answer(500)
                if path == "/fail-once":
                    return self.answer(500 if is_first else 204)
                if path == "/redirect":
                    self.send_response(302)
                    self.send_header("Location", "/ok")
                    self.send_header("Content-Length", "0")
                    return self.end_headers()
                if path == "/slow":
                    time.sleep(60)
                if path == "/headers":
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                    try:
                        for step in range(1 << 20):
                            self.wfile.write(b"X-%d: %s\r\n" % (step, b"x" * 1000))
                    except OSError:
                        pass
                    self.close_connection = True
                    return
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

        server = Server(("127.0.0.1", int(sys.argv[3])), Handler)
        print(server.server_address[1], flush=True)
        server.serve_forever()
        """#

    public init() throws {
        moodFile = NSTemporaryDirectory() + "stockq-receiver-\(UUID().uuidString)"
        try Self.write(.ok, to: moodFile)
        let (running, port) = try Self.start(port: 0, moodFile)
        self.port = port
        state = Mutex(State(running: running))
    }

    // The folder is that of temporary files.
    deinit { try? FileManager.default.removeItem(atPath: moodFile) }

    private static func start(port: Int, _ moodFile: String) throws -> (Program.Running, port: Int) {
        var program = Program()
        program.environment["PYTHONPATH"] = pythonPath
        let running = try program.start(
            ["python3", "-c", script, secret, newSecret, "\(port)", moodFile], executable: "/usr/bin/env")
        guard eventually({ running.outputText.contains("\n") }),
            let port = Int(running.outputText.prefix { $0 != "\n" })
        else { throw NoReceiver(message: running.errorText) }
        return (running, port)
    }

    // MARK: faults

    /// Kills it: connections end, and new ones are refused.
    public func kill() throws {
        try state.withLock { state in
            state.running.send(SIGKILL)
            let ended = try state.running.wait()
            // What was printed of the last line was not answered.
            let complete = ended.out.lastIndex(of: "\n").map { ended.out[...$0] } ?? ""
            state.before += complete.drop { $0 != "\n" }
        }
    }

    /// Starts it after `kill`, on the same port.
    public func startAgain() throws {
        try state.withLock { $0.running = try Self.start(port: port, moodFile).0 }
    }

    public func becomes(_ mood: Mood) throws { try Self.write(mood, to: moodFile) }

    /// Replaces the file in one step.
    private static func write(_ mood: Mood, to file: String) throws {
        try mood.rawValue.write(toFile: file, atomically: true, encoding: .utf8)
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
        let text = state.withLock { state in
            state.before + (state.running.hasEnded ? "" : String(state.running.outputText.drop { $0 != "\n" }))
        }
        return text.split(separator: "\n").compactMap {
            try? JSONDecoder().decode(Received.self, from: Data($0.utf8))
        }
    }
}
