import Foundation
import HTTPServer
import TestSupport
import Testing

/// Answers in pieces, and the end of a server.
@Suite(.serialized) struct StreamTests {
    private static let get = "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"

    @Test("a writer waits for a slow reader, and no byte is lost")
    func backPressure() throws {
        let server = try TestServer()
        let client = try RawClient(port: server.port, receiveBuffer: 4_096)
        client.send(Self.get)
        let writer = try #require(try server.next().stream(Response(.ok)))
        let piece = [UInt8](repeating: UInt8(ascii: "a"), count: 10_000)
        let writable = DispatchSemaphore(value: 0)
        // The client does not read: the buffers of the system fill up, then those of the server.
        var pieces = 0
        while writer.write(piece) == .accepted {
            pieces += 1
            try #require(pieces < 10_000)
        }
        writer.onWritable { writable.signal() }
        let head = try client.readAnswer(hasBody: false)
        #expect(head.head.contains("Transfer-Encoding: chunked"))
        var received = 0
        while writable.wait(timeout: .now()) == .timedOut { received += try client.read(atLeast: 1) }
        #expect(writer.write(piece) == .accepted)
        writer.finish()
        #expect(writer.write(piece) == .disconnected)
        let last = "0\r\n\r\n"
        var tail = ""
        while !tail.hasSuffix(last) {
            let more = try client.readSome()
            received += more.utf8.count
            tail = String((tail + more).suffix(5))
        }
        // The pieces and the sizes of the chunks between them.
        #expect(received >= (pieces + 1) * piece.count && received < (pieces + 1) * (piece.count + 10) + 10)
    }

    @Test("a writer learns that its client is gone")
    func disconnect() throws {
        let server = try TestServer()
        let client = try server.client()
        client.send(Self.get)
        let writer = try #require(try server.next().stream(Response(.ok)))
        #expect(writer.write([1]) == .accepted)
        _ = try client.readAnswer(hasBody: false)
        client.reset()
        #expect(try server.nextDeparture() == .disconnected)
        #expect(writer.write([1]) == .disconnected)
    }

    @Test("a stream whose writer is released without its end is cut")
    func cut() throws {
        let server = try TestServer()
        let client = try server.client()
        client.send(Self.get)
        var writer = try server.next().stream(Response(.ok))
        #expect(writer?.write([65]) == .accepted)
        _ = try client.readAnswer(hasBody: false)
        #expect(try client.read(atLeast: 6) == 6)
        writer = nil
        #expect(throws: RawClient.Failure.self) { try client.readAll() }
    }

    @Test("HEAD of a stream has its head only")
    func head() throws {
        let server = try TestServer()
        let client = try server.client()
        client.send("HEAD /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        let writer = try #require(try server.next().stream(Response(.ok)))
        #expect(try client.readAnswer(hasBody: false).status == 200)
        #expect(writer.write([1]) == .disconnected)
        client.send("GET /now HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(try client.readAnswer().status == 200)
    }

    // MARK: shutdown

    @Test("a shutdown answers what is under way, closes idle connections, and accepts no new ones")
    func shutdown() throws {
        let server = try TestServer { $0.shutdownIdleMs = 300 }
        let (busy, idle, late, partial) = (
            try server.client(), try server.client(), try server.client(), try server.client()
        )
        busy.send(Self.get)
        partial.send("PUT /now HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
        for client in [idle, late] {
            client.send("GET /now HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(try client.readAnswer().status == 200)
        }
        let call = try server.next()
        server.server.shutDown(graceMs: 20_000)
        #expect(try server.nextDeparture() == .shuttingDown)
        #expect(throws: RawClient.Failure.self) { try server.client() }
        // On its way when the shutdown began.
        late.send("PUT /now HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na")
        let answer = try late.readAnswer()
        #expect(answer.status == 200 && answer.head.contains("Connection: close"))
        partial.send("b")
        #expect(try partial.readAll().contains("Connection: close\r\n\r\n2\n"))
        #expect(try idle.readAll() == "")
        call.respond(.text(.ok, "last"))
        let last = try busy.readAll()
        #expect(last.contains("Connection: close") && last.hasSuffix("last\n"))
        for client in [busy, idle, late, partial] { client.finishSending() }
        server.server.wait()
        #expect(server.server.statistics.connections == 0)
    }

    @Test("what is not answered when the grace is over is cut")
    func shutdownGrace() throws {
        let server = try TestServer()
        let client = try server.client()
        client.send(Self.get)
        let call = try server.next()
        server.server.shutDown(graceMs: 50)
        server.server.wait()
        #expect(throws: RawClient.Failure.self) { try client.readAnswer() }
        #expect(try [server.nextDeparture(), server.nextDeparture()] == [.shuttingDown, .disconnected])
        let writer = try #require(call.stream(Response(.ok)))
        #expect(writer.write([1]) == .disconnected)
    }
}
