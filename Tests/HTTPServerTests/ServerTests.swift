import Foundation
import HTTPServer
import TestSupport
import Testing

/// The server on real sockets, with raw bytes.
@Suite(.serialized) struct ServerTests {
    private static func get(_ path: String, _ fields: String = "") -> String {
        "GET \(path) HTTP/1.1\r\nHost: x\r\n\(fields)\r\n"
    }

    private static func put(_ path: String, _ body: String, _ fields: String = "") -> String {
        "PUT \(path) HTTP/1.1\r\nHost: x\r\n\(fields)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    // MARK: answers

    @Test("requests of one connection are answered in order, with date and length")
    func keepAlive() throws {
        let server = try TestServer()
        let client = try server.client()
        client.send(Self.put("/now", "abc"))
        let answer = try client.readAnswer()
        #expect(answer.status == 200 && answer.body == "3\n" && answer.head.contains("Keep-Alive: timeout=60"))
        #expect(answer.head.contains(/Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n/))
        client.send(Self.get("/wait") + Self.get("/now") + Self.put("/now", "a"))
        try server.next().respond(.text(.ok, "late"))
        #expect(try (1...3).map { _ in try client.readAnswer().body } == ["late\n", "0\n", "1\n"])
        #expect(server.server.statistics.requests == 4)
    }

    @Test("answers that come from another thread, in another order, are sent in order")
    func otherOrder() throws {
        let server = try TestServer()
        let client = try server.client()
        client.send(Self.get("/wait") + Self.get("/wait"))
        let calls = [try server.next(), try server.next()]
        calls[1].respond(.text(.ok, "2"))
        calls[0].respond(.text(.ok, "1"))
        #expect(try [client.readAnswer().body, client.readAnswer().body] == ["1\n", "2\n"])
    }

    @Test("each answer is reported once, with its route, its status and its time")
    func answered() throws {
        let server = try TestServer()
        let client = try server.client()
        client.send(Self.get("/now") + Self.get("/fail") + Self.get("/none") + Self.put("/small", "abcd"))
        for status in [200, 409, 404, 413] { #expect(try client.readAnswer().status == status) }
        let other = try server.client()
        other.send(Self.get("/wait"))
        let call = try server.next()
        call.respond(.text(.ok, "1"))
        call.respond(.text(.ok, "2"))
        #expect(try other.readAnswer().status == 200)
        other.send("nonsense\r\n\r\n")
        #expect(try other.readAnswer().status == 400)
        #expect(
            server.answered == [
                "GET /now 200", "GET /fail 409", "none 404", "PUT /small 413", "GET /wait 200", "none 400",
            ])
        #expect(server.durations[4] > .zero && server.durations[2] == .zero)
    }

    @Test("the first answer counts; a request without one gets 500")
    func exactlyOnce() throws {
        let server = try TestServer()
        let client = try server.client()
        client.send(Self.get("/drop"))
        #expect(try client.readAnswer().status == 500)
        client.send(Self.get("/wait"))
        let call = try server.next()
        #expect(call.responder.answer(.text(.ok, "1")) && !call.responder.answer(.text(.ok, "2")))
        #expect(call.responder.stream(Response(.ok)) == nil)
        client.send(Self.get("/fail"))
        #expect(try [client.readAnswer().body, client.readAnswer().body] == ["1\n", "not now\n"])
    }

    @Test(
        "what is no route has a status and the form of its path",
        arguments: [
            (get("/none"), 404, "There is nothing"), (get("/v2/none"), 404, #"{"errors":[{"status":404}]}"#),
            (get("//v2/none"), 404, #"{"errors""#), (get("/v22"), 404, "There is nothing"),
            ("DELETE /now HTTP/1.1\r\nHost: x\r\n\r\n", 405, "GET, HEAD, OPTIONS, POST, PUT"),
            ("put /now HTTP/1.1\r\nHost: x\r\n\r\n", 501, ""), ("TRACE /now HTTP/1.1\r\nHost: x\r\n\r\n", 405, ""),
            ("GET /v2/a HTTP/1.1\r\n\r\n", 400, #"{"errors""#), ("GET /v2/a b HTTP/1.1\r\n\r\n", 400, #"{"errors""#),
            ("GET http://x/v2/" + String(repeating: "a", count: 9_000), 414, #"{"errors""#),
            (get("/v2/a", "A: " + String(repeating: "a", count: 20_000) + "\r\n"), 431, #"{"errors""#),
            (get("/v2/a", String(repeating: "A: b\r\n", count: 200)), 431, #"{"errors""#),
            ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 204, ""), ("OPTIONS /now HTTP/1.1\r\nHost: x\r\n\r\n", 204, ""),
        ]) func statuses(_ text: String, _ status: Int, _ body: String) throws
    {
        let server = try TestServer()
        let client = try server.client()
        client.send(text)
        let answer = try client.readAnswer()
        #expect(answer.status == status && (body.isEmpty || answer.body.contains(body)))
        #expect([204, 405].contains(status) == answer.head.contains("\r\nAllow: "))
    }

    @Test(
        "a body beyond the limit is answered with 413 and never handed over",
        arguments: [
            put("/small", "abcd"),
            "PUT /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n",
            "PUT /now HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n",
        ]) func bodyTooLarge(_ text: String) throws
    {
        let server = try TestServer()
        let client = try server.client()
        client.send(text)
        let all = try client.readAll()
        #expect(
            all.hasPrefix("HTTP/1.1 413 ") && all.contains("Connection: close")
                && server.server.statistics.requests == 0)
    }

    @Test("a client that sends a large body gets its answer although the body is never read to its end")
    func answerBeforeBody() throws {
        let server = try TestServer { $0.limits.bodyBytesMax = 10 }
        let client = try server.client()
        client.send(Self.put("/now", String(repeating: "a", count: 1 << 20)))
        #expect(try client.readAnswer().status == 413)
    }

    // MARK: time

    @Test(
        "a head or a body that does not arrive is answered with 408",
        arguments: [
            "GET /n", "GET /now HTTP/1.1\r\nHost: x\r\n", "PUT /now HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na",
        ]) func timeouts(_ text: String) throws
    {
        let server = try TestServer { ($0.headMs, $0.bodyMs) = (100, 100) }
        let client = try server.client()
        client.send(text)
        let all = try client.readAll()
        #expect(all.hasPrefix("HTTP/1.1 408 ") && all.contains("Connection: close"))
    }

    @Test("an idle connection is closed without an answer")
    func idle() throws {
        let server = try TestServer { ($0.idleMs, $0.idleExtraMs) = (0, 100) }
        #expect(try server.client().readAll() == "")
    }

    /// Not thousands: with more than 1,300 open files Foundation's `Process`, which other tests of this process start, can
    /// read beyond its buffer. `make bench-http` has 10,000 idle connections.
    @Test("slow heads and idle connections, 200 each, do not delay others")
    func manyConnections() throws {
        let server = try TestServer { $0.headMs = 1_500 }
        let idle = try (0..<200).map { _ in try server.client() }
        let slow = try (0..<200).map { _ in try server.client() }
        for client in slow { client.send("GET /now HTTP/1.1\r\nHost: x\r\nA: ") }
        let busy = try server.client()
        for _ in 0..<100 {
            busy.send(Self.get("/now"))
            #expect(try busy.readAnswer().status == 200)
        }
        for client in slow { #expect(try client.readAnswer().status == 408) }
        for client in idle { client.send(Self.get("/now")) }
        for client in idle { #expect(try client.readAnswer().status == 200) }
    }

    // MARK: clients that go away

    @Test("the application learns that a client went away")
    func departure() throws {
        let server = try TestServer()
        let reset = try server.client()
        reset.send(Self.put("/wait", "a"))
        let first = try server.next()
        reset.reset()
        #expect(try server.nextDeparture() == .disconnected)
        // Nothing happens.
        first.respond(.text(.ok, "late"))
        let half = try server.client()
        half.send(Self.put("/wait", "a"))
        let second = try server.next()
        half.finishSending()
        #expect(try server.nextDeparture() == .finishedSending)
        second.respond(.text(.ok, "late"))
        #expect(try half.readAll().hasSuffix("late\n"))
    }

    @Test("an incomplete request of a client that went away is not handed over")
    func departureInRequest() throws {
        let server = try TestServer()
        let client = try server.client()
        client.send(String(Self.put("/now", "abc").dropLast()))
        client.finishSending()
        #expect(try client.readAll().hasPrefix("HTTP/1.1 400 ") && server.server.statistics.requests == 0)
    }

    // MARK: load

    @Test("a request beyond the limit is answered with 503, and the connection goes on")
    func requestsMax() throws {
        let server = try TestServer { $0.requestsMax = 1 }
        let (first, second) = (try server.client(), try server.client())
        first.send(Self.put("/wait", "a"))
        let call = try server.next()
        second.send(Self.put("/now", "a"))
        #expect(try second.readAnswer().status == 503)
        call.respond(.text(.ok, "1"))
        #expect(try first.readAnswer().status == 200)
        second.send(Self.put("/now", "a"))
        #expect(try second.readAnswer().status == 200)
    }

    @Test("a connection beyond the limit is answered with 503; further ones wait until one is closed")
    func connectionsMax() throws {
        let server = try TestServer { ($0.connectionsMax, $0.connectionsBeyondMax) = (1, 1) }
        let first = try server.client()
        first.send(Self.get("/now"))
        #expect(try first.readAnswer().status == 200)
        let second = try server.client()
        second.send(Self.get("/now"))
        let third = try server.client()
        third.send(Self.get("/now"))
        let all = try second.readAll()
        #expect(all.hasPrefix("HTTP/1.1 503 ") && all.contains("Connection: close"))
        second.finishSending()
        #expect(try third.readAnswer().status == 503)
    }

    @Test("bodies that are too large together are answered with 503")
    func bodyBytesMax() throws {
        let server = try TestServer { $0.bodyBytesMax = 1_000 }
        let (first, second) = (try server.client(), try server.client())
        first.send(String(Self.put("/now", String(repeating: "a", count: 900)).dropLast()))
        second.send(String(Self.put("/now", String(repeating: "a", count: 900)).dropLast()))
        // Which of the two comes second is not known.
        var waiting = [first, second].map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
        #expect(poll(&waiting, 2, 20_000) == 1)
        let (failed, other) = waiting[0].revents == 0 ? (second, first) : (first, second)
        #expect(try failed.readAnswer().status == 503)
        other.send("a")
        #expect(try other.readAnswer().body == "900\n")
    }

    // MARK: sockets

    @Test("the server listens on IPv6, on a Unix socket, and on a socket that a killed process left")
    func endpoints() throws {
        let path = NSTemporaryDirectory() + "stockq-http-\(UUID().uuidString.prefix(8))"
        // A socket file without a listener.
        let left = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                #expect(bind(left, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0)
            }
        }
        close(left)
        do {
            let server = try TestServer([.unix(path, mode: 0o600), .tcp("*", 0)])
            let client = try RawClient(unix: path)
            client.send(Self.put("/now", "a"))
            #expect(try client.readAnswer().status == 200)
            let port = Int(server.server.addresses[1].split(separator: ":").last!)!
            let other = try RawClient(port: port)
            other.send(Self.get("/wait"))
            let call = try server.next()
            #expect(call.request.head.peer.description == "127.0.0.1")
            call.respond(.text(.ok, "1"))
            #expect(throws: ListenError.self) { try TestServer([.unix(path, mode: 0o600)]) }
            #expect(throws: ListenError.self) { try TestServer([.tcp("*", port)]) }
        }
        #expect(!FileManager.default.fileExists(atPath: path))
        #expect(throws: ListenError.self) { try TestServer([.systemd]) }
    }
}
