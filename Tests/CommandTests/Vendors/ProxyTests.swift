import Foundation
import TestSupport
import Testing

/// The gateway behind nginx and Caddy, with the configurations that docs/operating/proxy.md shows.
@Suite struct ProxyTests {
    enum Kind: String, CaseIterable, Sendable {
        case nginx, caddyfile
    }

    /// A proxy with TLS on a port of the loopback interface.
    private struct Proxy {
        let port: Int
        let running: Program.Running
        let folder: String
        var log: String { (try? String(contentsOfFile: folder + "/access.log", encoding: .utf8)) ?? "" }

        init(_ kind: Kind, socket: String, folder: String) throws {
            self.folder = folder
            port = try Self.freePort()
            let certificate = try Program().start(
                [
                    "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=shop.example.com",
                    "-keyout", "\(folder)/shop.key", "-out", "\(folder)/shop.pem",
                ], executable: "/usr/bin/openssl"
            ).wait()
            guard certificate.code == 0 else { throw ServeCommandTests.ShopError(certificate.err) }
            let block = try GatewayGuideTests.blocks("operating/proxy.md", kind.rawValue).joined()
                .replacingOccurrences(of: "/run/stockq/gateway.sock", with: socket)
                .replacingOccurrences(of: "/etc/ssl", with: folder)
                .replacingOccurrences(of: "/var/log/nginx/stockq.log", with: "\(folder)/access.log")
            let file = "\(folder)/configuration"
            switch kind {
            case .nginx:
                let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                    .map { "\($0)_temp_path \(folder)/\($0);" }.joined(separator: "\n")
                try """
                daemon off;
                user root;
                pid \(folder)/pid;
                error_log \(folder)/error.log;
                events {}
                http {
                \(temporary)
                \(block.replacingOccurrences(of: "listen 443", with: "listen 127.0.0.1:\(port)"))
                }
                """.write(toFile: file, atomically: true, encoding: .utf8)
                running = try Program().start(
                    ["-c", file, "-e", "\(folder)/error.log"], executable: "/usr/sbin/nginx")
            case .caddyfile:
                let site = block.replacingOccurrences(
                    of: "shop.example.com {", with: "https://shop.example.com:\(port) {\n    bind 127.0.0.1")
                try "{\n    admin off\n    auto_https disable_redirects\n}\n\(site)"
                    .write(toFile: file, atomically: true, encoding: .utf8)
                running = try Program().start(
                    ["run", "--config", file, "--adapter", "caddyfile"],
                    environment: ["HOME": folder, "XDG_DATA_HOME": folder, "XDG_CONFIG_HOME": folder],
                    executable: "/usr/bin/caddy")
            }
        }

        /// A port that was free a moment ago.
        private static func freePort() throws -> Int {
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(descriptor) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let isBound = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    bind(descriptor, address, length) == 0 && getsockname(descriptor, address, &length) == 0
                }
            }
            guard isBound else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
            return Int(UInt16(bigEndian: address.sin_port))
        }

        /// - Returns: the status and the body; status 0 without an answer.
        func call(_ path: String, _ arguments: [String]) throws -> (status: Int, body: String) {
            let host = "shop.example.com:\(port)"
            let ended = try Program().start(
                [
                    "-sS", "-k", "-g", "--path-as-is", "--max-time", "30", "-w", "\n%{http_code}", "--resolve",
                    "\(host):127.0.0.1",
                ] + arguments + ["https://\(host)\(path)"], executable: "/usr/bin/curl"
            ).wait()
            let lines = ended.out.components(separatedBy: "\n")
            return (Int(lines.last ?? "") ?? 0, lines.dropLast().joined(separator: "\n"))
        }
    }

    @Test("calls pass nginx and Caddy as they are, and errors of the proxy are JSON", arguments: Kind.allCases)
    func proxies(kind: Kind) async throws {
        try await withDatabase { (database: TestDatabase) throws in
            let folder = NSTemporaryDirectory() + "stockq-proxy-\(UUID().uuidString.prefix(8))"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: folder) }  // a failed test says so itself
            let socket = folder + "/gateway.sock"
            let shop = try ServeCommandTests.Shop(database, ["--listen", "unix:\(socket)", "--set", "proxies=1"])
            let proxy = try Proxy(kind, socket: socket, folder: folder)
            let isUp = try eventually(seconds: 30) { try proxy.call("/healthz", []).status == 200 }
            #expect(isUp, "\(proxy.running.errorText)")
            let ecwid = ServeCommandTests.Shop.ecwid
            for _ in 0..<5 {
                let adjusted = try proxy.call(ecwid, shop.delta(-1))
                #expect(adjusted.status == 200 && adjusted.body == #"{"updateCount":1}"#, "\(adjusted)")
            }
            let inQuery = try proxy.call(
                "\(ecwid)?token=\(shop.token)",
                ["-X", "PUT", "-H", "Content-Type: application/json", "-d", #"{"quantityDelta": -1}"#])
            #expect(inQuery.status == 200, "\(inQuery)")
            // A slash too many, as one client of Elastic Path sends it, and brackets in a query.
            let bearer = ["-H", "Authorization: Bearer \(shop.token)"]
            let product = ServeCommandTests.Shop.product
            let transaction = #"{"data":{"type":"stock-transaction","action":"decrement","quantity":99}}"#
            let refused = try proxy.call(
                "/v2//inventories/\(product)/transactions",
                bearer + ["-H", "Content-Type: application/json", "-d", transaction])
            #expect(refused.status == 422 && refused.body.hasPrefix(#"{"errors":[{"status":422"#), "\(refused)")
            #expect(try proxy.call("/v2/inventories?page[limit]=1", bearer).status == 200)
            let large = String(repeating: " ", count: 100_000) + "{}"
            #expect(try proxy.call(ecwid, shop.delta(1) + ["-d", large]).status == 413)
            #expect(try shop.onHand() == "9")
            try shop.stop()
            let failed = try proxy.call(ecwid, shop.delta(-1))
            #expect(failed.status == 502 && failed.body.hasPrefix(#"{"errors":[{"status":502,"title":"#), "\(failed)")
            #expect(!proxy.log.contains(shop.token) && !proxy.running.errorText.contains(shop.token))
            proxy.running.send(SIGTERM)
            _ = try proxy.running.wait()
        }
    }
}
