import Dispatch
import Glibc
import HTTPServer
import StockGateway
import StockModel
import Testing

/// The routes in a server, with an executor that answers from another thread.
@Suite struct ServingTests {
    /// Answers each plan from another thread, or waits for the departure of its client.
    private final class OtherThread: CallExecutor {
        let gateway: TestGateway
        let answers: Bool
        let executed = DispatchSemaphore(value: 0)
        let departed = DispatchSemaphore(value: 0)

        init(_ gateway: TestGateway, answers: Bool = true) {
            self.gateway = gateway
            self.answers = answers
        }

        func execute(
            _ plan: CallPlan, onDeparture: (@escaping @Sendable (Departure) -> Void) -> Void,
            answer: @escaping @Sendable (Response) -> Void
        ) {
            guard answers else {
                let gateway = gateway
                onDeparture { [departed] _ in
                    departed.signal()
                    answer(gateway.respond(plan))
                }
                executed.signal()
                return
            }
            let response = gateway.respond(plan)
            DispatchQueue.global().async { answer(response) }
        }

        /// One event, and the end.
        func follow(
            _ query: EventQuery, onDeparture: (@escaping @Sendable (Departure) -> Void) -> Void,
            open: @escaping @Sendable (ResponseFields) -> BodyWriter?,
            fail: @escaping @Sendable (CallFailure, ResponseFields) -> Void
        ) {
            guard answers else { return fail(.undecided, ResponseFields()) }
            DispatchQueue.global().async {
                let writer = open(ResponseFields().adding("RateLimit", "r"))
                #expect(writer?.write(NotificationEvents.event("{}", cursor: query.cursor ?? "none")) == .accepted)
                writer?.finish()
            }
        }
    }

    /// Serves the vendors' calls on a port of the loopback interface.
    private static func serve(_ executor: OtherThread, _ body: (UInt16) throws -> Void) throws {
        var table = RouteTable()
        for vendor in executor.gateway.vendors { table.add(vendor, executor) }
        table.cors = CORSPolicy(origins: .any)
        let server = try HTTPServer([.tcp("127.0.0.1", 0)], settings: ServerSettings(), handler: RouteHandler(table))
        defer {
            server.shutDown(graceMs: 1_000)
            server.wait()
        }
        let port = server.addresses[0].split(separator: ":").last.flatMap { UInt16($0) }
        try body(try #require(port))
    }

    private static func connect(_ port: UInt16) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(descriptor, $0, size) }
        }
        guard result == 0 else { throw TestError("connect: \(errno)") }
        return descriptor
    }

    private static func send(_ text: String, _ descriptor: Int32) throws {
        let bytes = Array(text.utf8)
        guard Glibc.send(descriptor, bytes, bytes.count, 0) == bytes.count else { throw TestError("send: \(errno)") }
    }

    /// Reads to the end.
    private static func answers(_ request: String, port: UInt16) throws -> [WireAnswer] {
        let descriptor = try connect(port)
        defer { close(descriptor) }
        try send(request, descriptor)
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while case let count = recv(descriptor, &buffer, buffer.count, 0), count > 0 { output += buffer[..<count] }
        return try WireAnswer.parse(output)
    }

    private static let closing = ["Connection: close", "Authorization: Bearer t", "Content-Type: application/json"]

    @Test("P16: a page of another origin may read a success, whichever thread answers")
    func origins() throws {
        let body = #"[{"product_id":"a","purchased_quantity":1}]"#
        let fields = ["Origin: https://shop", "Content-Type: application/x-www-form-urlencoded", "Connection: close"]
        let request = WireRequest("POST", "/v1/products/stock-quantity?store_id=1", fields, body).bytes
        try Self.serve(OtherThread(TestGateway(stock: .success([.result(.applied)])))) { port in
            let answer = try #require(try Self.answers(request, port: port).first)
            #expect(answer.status == 200 && answer["Access-Control-Allow-Origin"] == "*" && answer["Vary"] == "Origin")
            #expect(answer.body == #"{"data":null,"message":"Inventory successfully updated.","statusCode":200}"#)
        }
    }

    @Test("an answer that a plan has, and an error that planning throws, need no executor")
    func immediate() throws {
        try Self.serve(OtherThread(TestGateway(failing: .internalError))) { port in
            let form = WireRequest("POST", "/oauth/access_token", Self.closing, "grant_type=none").bytes
            let first = try Self.answers(form, port: port)
            #expect(first.map(\.status) == [400])
            let store = String(repeating: "x", count: 201)
            let request = WireRequest("GET", "/api/v3/\(store)/profile", Self.closing).bytes
            let second = try Self.answers(request, port: port)
            #expect(second.map(\.status) == [404])
        }
    }

    @Test("H22: the executor learns that a client went away before its answer")
    func departure() throws {
        let executor = OtherThread(TestGateway(failing: .undecided), answers: false)
        try Self.serve(executor) { port in
            let descriptor = try Self.connect(port)
            let body = #"{"quantityDelta":1}"#
            try Self.send(
                WireRequest("PUT", "/api/v3/1/products/2/inventory", Self.closing, body).bytes, descriptor)
            #expect(executor.executed.wait(timeout: .now() + 30) == .success)
            close(descriptor)
            #expect(executor.departed.wait(timeout: .now() + 30) == .success)
        }
    }
}
