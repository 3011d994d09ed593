import FuzzTargets
import HTTPServer
import Testing

/// The order of requests and answers on one connection, without a socket.
@Suite struct ConnectionMachineTests {
    private typealias Driver = MachineDriver

    @Test("requests that only read are handed out together, and answered in order")
    func safePipeline() {
        var driver = Driver()
        driver.receive(Driver.get("/1") + Driver.get("/2") + Driver.get("/3"))
        #expect(driver.waiting.map(\.path) == ["/1", "/2", "/3"])
        driver.answer("/3")
        driver.answer("/2")
        #expect(driver.sent == "")
        driver.answer("/1")
        #expect(driver.sent == Driver.answer("/1") + Driver.answer("/2") + Driver.answer("/3"))
    }

    @Test("a request that changes something waits for the answers before it, and others for its answer")
    func unsafePipeline() {
        var driver = Driver()
        driver.receive(Driver.get("/1") + Driver.put("/2", "a") + Driver.put("/3", "b") + Driver.get("/4"))
        for (index, path) in ["/1", "/2", "/3", "/4"].enumerated() {
            #expect(driver.waiting.map(\.path) == [path])
            #expect(driver.sent.split(separator: "HTTP/1.1").count == index)
            driver.answer(path)
        }
        #expect(driver.sent.hasSuffix(Driver.answer("/3b") + Driver.answer("/4")))
    }

    @Test("a pipeline is as long as the settings say")
    func pipelineMax() {
        var settings = ServerSettings()
        settings.pipelineMax = 2
        var driver = Driver(settings)
        driver.receive(Driver.get("/1") + Driver.get("/2") + Driver.get("/3"))
        #expect(driver.waiting.map(\.path) == ["/1", "/2"] && !driver.machine.wantsBytes)
        driver.answer("/1")
        #expect(driver.waiting.map(\.path) == ["/2", "/3"])
    }

    @Test("answers do not depend on where the bytes are cut")
    func everyCut() {
        let text =
            Driver.put("/1", "abc") + "\r\n" + Driver.get("/2")
            + "POST /3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
            + Driver.get("/4")
            + "GET / HTTP/1.1\r\n\r\n"
        let bytes = Array(text.utf8)
        func run(_ pieces: [ArraySlice<UInt8>]) -> String {
            var driver = Driver()
            for piece in pieces {
                driver.receive(Array(piece))
                while let next = driver.waiting.first { driver.answer(next.path) }
            }
            #expect(driver.machine.closing == .lingering && driver.faults == [400])
            return driver.sent
        }
        let expected =
            Driver.answer("/1abc") + Driver.answer("/2") + Driver.answer("/3abc") + Driver.answer("/4")
            + "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        #expect(run([bytes[...]]) == expected)
        #expect(run(bytes.indices.map { bytes[$0...$0] }) == expected)
        for cut in 1..<bytes.count { #expect(run([bytes[..<cut], bytes[cut...]]) == expected, "cut at \(cut)") }
    }

    // MARK: forms of answers

    @Test("an answer to HEAD has the length of the body, and no body")
    func head() {
        var driver = Driver()
        driver.receive("HEAD /1 HTTP/1.1\r\nHost: x\r\n\r\n")
        driver.answer("/1")
        #expect(driver.sent == "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
    }

    @Test("204 has neither length nor body")
    func noContent() {
        var driver = Driver()
        driver.receive(Driver.get("/1"))
        driver.answer("/1", .noContent)
        #expect(driver.sent == "HTTP/1.1 204 No Content\r\n\r\n")
    }

    @Test(
        "the connection stays open as the client asks",
        arguments: [
            ("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n", false),
            ("GET /1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", true),
            ("GET /1 HTTP/1.0\r\n\r\n", true), ("GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false),
        ]) func persistence(_ text: String, closes: Bool)
    {
        var driver = Driver()
        // What follows a last request is dropped.
        driver.receive(text + Driver.get("/2"))
        driver.answer("/1")
        #expect(driver.sent == Driver.answer("/1", closes ? "Connection: close\r\n" : ""))
        #expect(driver.machine.closing == (closes ? .lingering : nil))
        #expect(driver.waiting.map(\.path) == (closes ? [] : ["/2"]))
    }

    @Test("a streamed answer is chunked, in its turn, and the next one follows")
    func stream() {
        var driver = Driver()
        driver.receive(Driver.get("/1") + Driver.get("/2") + Driver.get("/3"))
        driver.stream("/2")
        driver.answer("/3")
        #expect(driver.sent == "" && driver.machine.openStream == nil)
        driver.answer("/1")
        #expect(driver.machine.openStream != nil)
        driver.write("0123456789abcdef")
        driver.endStream()
        let stream = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"
        #expect(driver.sent == Driver.answer("/1") + stream + Driver.answer("/3"))
    }

    @Test("a streamed answer ends an HTTP/1.0 connection; without its end the connection is cut")
    func streamEnds() {
        var driver = Driver()
        driver.receive("GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        driver.stream("/1")
        driver.write("abc")
        driver.endStream()
        #expect(
            driver.sent == "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc" && driver.machine.closing == .lingering)
        var cut = Driver()
        cut.receive(Driver.get("/1"))
        cut.stream("/1")
        cut.endStream(isComplete: false)
        #expect(cut.machine.closing == .abort)
    }

    // MARK: 100 Continue, and answers by the head

    private static let continues = "HTTP/1.1 100 Continue\r\n\r\n"

    @Test("100 Continue is sent when the client waits for it, and only then")
    func continues() {
        let text = Driver.put("/1", "abc", "Expect: 100-continue\r\n")
        var waiting = Driver()
        waiting.receive(String(text.dropLast(3)))
        #expect(waiting.sent == Self.continues)
        waiting.receive("abc")
        waiting.answer("/1")
        #expect(waiting.sent == Self.continues + Driver.answer("/1abc"))
        var eager = Driver()
        eager.receive(text)
        eager.answer("/1")
        #expect(eager.sent == Driver.answer("/1abc"))
        // Not between the answers before it.
        var behind = Driver()
        behind.receive(Driver.get("/0") + text.dropLast(3))
        #expect(behind.sent == "")
        behind.answer("/0")
        #expect(behind.sent == Driver.answer("/0") + Self.continues)
    }

    @Test("a request that its head rules out is answered at once, and its body is dropped")
    func answerByHead() {
        var driver = Driver { head in
            head.method == .put ? .answer(Response(.notFound), closes: false) : .read(bodyBytesMax: nil)
        }
        let text = Driver.put("/1", "abc")
        driver.receive(String(text.dropLast(2)))
        #expect(driver.sent == "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        driver.receive("bc" + Driver.get("/2"))
        #expect(driver.waiting.map(\.path) == ["/2"])
    }

    @Test("a client that waits for 100 Continue gets the answer instead, and the connection closes")
    func answerInsteadOfContinue() {
        var driver = Driver { _ in .answer(Response(.notFound), closes: false) }
        driver.receive(String(Driver.put("/1", "abc", "Expect: 100-continue\r\n").dropLast(3)))
        #expect(driver.sent == "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        #expect(driver.machine.closing == .lingering)
    }

    @Test("the application sets the limit of a body")
    func bodyLimit() {
        var driver = Driver { _ in .read(bodyBytesMax: 2) }
        driver.receive(Driver.put("/1", "ab") + Driver.put("/2", "abc"))
        driver.answer("/1")
        #expect(driver.faults == [413] && driver.waiting.isEmpty && driver.machine.closing == .lingering)
    }

    // MARK: the end of the input

    @Test("a client that closes its sending side gets the answers to what it sent")
    func endOfInput() {
        var driver = Driver()
        driver.receive(Driver.put("/1", "a") + Driver.put("/2", "b"))
        driver.endInput()
        driver.answer("/1")
        driver.answer("/2")
        #expect(driver.sent.hasSuffix(Driver.answer("/2b")) && driver.machine.closing == .atOnce)
    }

    @Test(
        "an incomplete request is never handed out",
        arguments: ["G", "PUT /1 HTTP/1.1\r\nHost: x\r\n", "PUT /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na"])
    func incomplete(_ text: String) {
        var driver = Driver()
        driver.receive(text)
        driver.endInput()
        #expect(driver.waiting.isEmpty && driver.faults == [400] && driver.machine.closing == .atOnce)
    }

    @Test("a connection that ends between two requests closes without an answer")
    func endBetween() {
        var driver = Driver()
        driver.endInput()
        #expect(driver.sent == "" && driver.machine.closing == .atOnce)
    }

    // MARK: time

    @Test("a head that comes byte by byte has the time of one head")
    func slowHead() {
        var driver = Driver()
        let bytes = Array(Driver.get("/1").utf8)
        for byte in bytes {
            driver.receive([byte])
            driver.pass(milliseconds: 999)
        }
        #expect(driver.faults == [408] && driver.waiting.isEmpty && driver.machine.closing != nil)
    }

    @Test("a body has its time, the application has all the time, and the next head has its own")
    func times() {
        var driver = Driver()
        driver.receive(String(Driver.put("/1", "ab").dropLast()))
        driver.pass(milliseconds: 29_000)
        driver.receive("b" + "GET /2")
        driver.pass(milliseconds: 1_000_000)
        driver.answer("/1")
        driver.pass(milliseconds: 9_000)
        driver.receive(" HTTP/1.1\r\nHost: x\r\n\r\n")
        driver.answer("/2")
        #expect(driver.faults.isEmpty && driver.sent == Driver.answer("/1ab") + Driver.answer("/2"))
        driver.receive(String(Driver.put("/3", "ab").dropLast()))
        driver.pass(milliseconds: 30_000)
        #expect(driver.faults == [408])
    }

    @Test("an idle connection closes later than it announced, without an answer; what comes then is not processed")
    func idle() {
        var driver = Driver()
        driver.receive(Driver.get("/1"))
        driver.answer("/1")
        driver.pass(milliseconds: 60_000)
        #expect(driver.machine.closing == nil)
        driver.pass(milliseconds: 5_000)
        #expect(driver.machine.closing == .lingering)
        driver.receive(Driver.put("/2", "a"))
        #expect(driver.sent == Driver.answer("/1") && driver.waiting.isEmpty)
        driver.pass(milliseconds: 2_000)
        #expect(driver.machine.closing == .abort)
    }

    // MARK: shutdown

    @Test("during a shutdown the answer under way says that it is the last")
    func drain() {
        var driver = Driver()
        driver.receive(Driver.put("/1", "a") + Driver.put("/2", "b"))
        driver.drain()
        driver.answer("/1")
        #expect(driver.sent == Driver.answer("/1a", "Connection: close\r\n"))
        #expect(driver.waiting.isEmpty && driver.machine.closing == .lingering)
    }

    @Test("during a shutdown a request that is being read is completed and answered")
    func drainInRequest() {
        var driver = Driver()
        let text = Driver.put("/1", "abc")
        driver.receive(String(text.dropLast(2)))
        driver.drain()
        #expect(!driver.machine.isIdle)
        driver.receive("bc")
        driver.answer("/1")
        #expect(driver.sent == Driver.answer("/1abc", "Connection: close\r\n"))
    }
}
