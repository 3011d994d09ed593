import Foundation
import HTTPServer
import TestSupport
import Testing

/// The server as curl sees it.
@Suite(.serialized) struct CurlTests {
    private static func curl(_ arguments: String...) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["curl", "--silent", "--show-error", "--max-time", "20", "--noproxy", ""] + arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: output, as: UTF8.self)
    }

    @Test("curl gets answers in the ways in which it asks")
    func ways() throws {
        let server = try TestServer()
        let url = "http://127.0.0.1:\(server.port)"
        #expect(try Self.curl("\(url)/now") == "0\n")
        #expect(try Self.curl("\(url)/now", "\(url)/now", "-w", "%{num_connects}") == "0\n10\n0")
        #expect(try Self.curl("--http1.0", "\(url)/now") == "0\n")
        #expect(try Self.curl("--head", "\(url)/now").hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(try Self.curl("-X", "PUT", "-d", "abc", "\(url)/now") == "3\n")
        #expect(try Self.curl("-X", "PUT", "-d", "abc", "-H", "Transfer-Encoding: chunked", "\(url)/now") == "3\n")
        #expect(try Self.curl("-X", "PUT", "-d", "abc", "-H", "Expect: 100-continue", "\(url)/now") == "3\n")
        #expect(try Self.curl("-x", url, "http://app.example.com/now") == "0\n")
        #expect(try Self.curl("-X", "OPTIONS", "-i", "\(url)/now").contains("Allow: GET, HEAD, OPTIONS, POST, PUT"))
        #expect(try Self.curl("--path-as-is", "\(url)//now/") == "0\n")
        #expect(try Self.curl("-g", "\(url)/now?page[limit]=2") == "0\n")
        #expect(try Self.curl("-w", "%{http_code}", "\(url)/none") == "There is nothing at this path.\n404")
    }

    @Test("curl sends no body that will be rejected")
    func noContinue() throws {
        let server = try TestServer()
        let output = try Self.curl(
            "-d", "abcd", "-X", "PUT", "-H", "Expect: 100-continue", "-w", "%{http_code} %{size_upload}",
            "http://127.0.0.1:\(server.port)/none")
        #expect(output.hasSuffix("404 0"))
    }
}
