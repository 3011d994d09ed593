import CommandLineKit
import Foundation
import StockQueue
import StockQueuePostgres

/// A gateway that serves the demo's shop on the loopback interface, and keeps running when the demo ends.
struct DemoGateway {
    static let store = "amsterdam"

    let address: String
    let processID: Int32
    private let token: String

    /// Starts the gateway, and waits until it listens.
    ///
    /// - Parameters:
    ///   - url: of the demo's database.
    ///   - folder: where its log goes.
    init(url: String, connection: Connection, schema: QueueSchema, folder: String) throws {
        token = try QueueAdmin(connection: connection, schema: schema).createToken(
            "demo", stores: [Self.store],
            scopes: ["update_catalog", "read_catalog", "manage_items", "manage_notifications"], expiresAfter: nil
        ).text
        let log = folder + "/gateway.log"
        guard FileManager.default.createFile(atPath: log, contents: nil), let output = FileHandle(forWritingAtPath: log)
        else { throw Failure("cannot write \(log): \(String(cString: strerror(errno)))") }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        // The end of the terminal must not end it.
        process.arguments = [
            "-c", #"trap "" HUP; exec "$0" serve --listen 127.0.0.1:0"#,
            URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().path,
        ]
        process.environment = ProcessInfo.processInfo.environment.merging(["DATABASE_URL": url]) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = output
        try process.run()
        processID = process.processIdentifier
        address = try Self.address(in: log, process)
    }

    private static func address(in log: String, _ process: Process) throws -> String {
        let deadline = Deadline.after(milliseconds: 30_000)
        while true {
            let text = try String(contentsOfFile: log, encoding: .utf8)
            if let match = text.firstMatch(of: /event=listening address=(\S+)/) { return String(match.1) }
            guard process.isRunning, !deadline.hasPassed else {
                if process.isRunning { process.terminate() }
                throw Failure("the gateway did not start: \(text)")
            }
            pause(milliseconds: 10)
        }
    }

    /// A call of each vendor, as lines for a shell.
    var calls: [String] {
        let fields = "-H 'Authorization: Bearer \(token)' -H 'Content-Type: application/json'"
        let lines =
            #"[{"product_id": "mug-1", "purchased_quantity": 2}, {"product_id": "lamp-1", "purchased_quantity": 1}]"#
        let transaction = #"{"data": {"type": "stock-transaction", "action": "allocate", "quantity": 1}}"#
        return [
            "curl -X PUT http://\(address)/api/v3/\(Self.store)/products/shirt-1/inventory \(fields) "
                + #"-d '{"quantityDelta": -1}'"#,
            "curl 'http://\(address)/v1/products/stock-quantity?store_id=\(Self.store)&token=\(token)' -d '\(lines)'",
            "curl http://\(address)/v2/inventories/shirt-1/transactions \(fields) -d '\(transaction)'",
        ]
    }
}
