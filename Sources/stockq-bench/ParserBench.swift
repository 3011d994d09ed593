import CommandLineKit
import Foundation
import HTTPServer

/// The parser of requests alone: pipelined requests as the vendors' clients send them, in one thread.
enum ParserBench {
    private static let requests = [
        request(
            "PUT /api/v3/1003/products/37208342/inventory?checkLowStockNotification=true HTTP/1.1",
            [
                "Host: app.ecwid.com", "Authorization: Bearer secret_4d9d68aa023f4d50cdba64b32fed2b6c",
                "Content-Type: application/json;charset=utf-8", "Cache-Control: no-cache", "Accept-Encoding: gzip",
                "User-Agent: Java-Ecwid-Client/1.0", "Connection: keep-alive",
            ], #"{"quantityDelta": -10}"#),
        request(
            "POST /v1/products/stock-quantity?store_id=1003 HTTP/1.1",
            [
                "Host: api.prosperna.com", "Accept: application/json, text/plain, */*",
                "Content-Type: application/x-www-form-urlencoded", "User-Agent: axios/1.7.2",
                "Accept-Encoding: gzip, compress, deflate, br",
            ], #"[{"product_id":"p1","purchased_quantity":1},{"product_id":"p2","purchased_quantity":12}]"#),
        request(
            "POST /v2/inventories/7f2a0e6c-1111-2222-3333-444455556666/transactions HTTP/1.1",
            [
                "Authorization: Bearer 0123456789abcdef0123456789abcdef01234567", "X-MOLTIN-SDK-LANGUAGE: JS",
                "X-MOLTIN-SDK-VERSION: 27.1.0", "Content-Type: application/json",
                "User-Agent: node-fetch/1.0 (+https://github.com/bitinn/node-fetch)", "Accept-Encoding: gzip,deflate",
                "Accept: */*", "Host: api.moltin.com",
            ], #"{"data":{"type":"stock-transaction","action":"increment","quantity":1}}"#),
        request(
            "GET /v2/inventories/abc/transactions?page[limit]=20&page[offset]=0 HTTP/1.1",
            ["Host: localhost:8080", "User-Agent: curl/7.88.1", "Accept: */*", "Authorization: Bearer abc"], ""),
    ]

    private static func request(_ line: String, _ fields: [String], _ body: String) -> [UInt8] {
        let length = body.isEmpty ? [] : ["Content-Length: \(body.utf8.count)"]
        return Array(([line] + fields + length + ["", body]).joined(separator: "\r\n").utf8)
    }

    /// Gigabytes a second of processor time: of the fastest of some short pieces, because other processes share the core
    /// and its caches.
    static func rate(pieces: Int) throws -> Double {
        var bytes: [UInt8] = []
        while bytes.count < 1 << 20 { for request in requests { bytes += request } }
        var parser = RequestParser(limits: ParserLimits())
        return try (0..<max(1, pieces)).map { _ in
            let start = ProcessUsage.cpuSeconds
            for _ in 0..<roundsOfPiece { try read(bytes.span.bytes, &parser) }
            return Double(bytes.count * roundsOfPiece) / (ProcessUsage.cpuSeconds - start) / 1e9
        }.max() ?? 0
    }

    private static let roundsOfPiece = 50

    private static func read(_ bytes: RawSpan, _ parser: inout RequestParser) throws {
        var position = 0
        while true {
            switch parser.next(bytes, &position) {
            case .head, .body: break
            case .end: if position == bytes.byteCount { return }
            case .needsBytes: throw Failure("the parser waits in the middle of a request")
            case .fault(let fault): throw Failure("the parser rejects a request: \(fault.reason)")
            }
        }
    }
}
