import Foundation
import PrivateCluster
import StockQueuePostgres

/// A PgBouncer in transaction mode for a private cluster. It ends with its owner.
public final class PgBouncer: @unchecked Sendable {
    // Sendable: nothing changes after `init`, and a second `kill` has no effect.

    private static let path = "/usr/sbin/pgbouncer"
    public static let isInstalled = FileManager.default.isExecutableFile(atPath: path)

    /// Part of the socket's name.
    public let port: Int
    private let folder: String
    private let supervisor = Process()
    private let lifeline = Pipe()

    /// - Parameter port: a restart uses the same port again.
    public init(_ cluster: PrivateCluster, port: Int = Int.random(in: 20_000...60_000)) throws {
        self.port = port
        folder = cluster.folder
        let file = "\(cluster.folder)/pgbouncer-\(port).ini"
        try Data(
            """
            [databases]
            * = host=\(cluster.folder) port=\(cluster.port) user=stockq
            [pgbouncer]
            pool_mode = transaction
            auth_type = any
            unix_socket_dir = \(cluster.folder)
            listen_addr =
            listen_port = \(port)
            default_pool_size = 40
            max_client_conn = 1000
            """.utf8
        ).write(to: URL(fileURLWithPath: file))
        // PgBouncer does not run as root, and the folder belongs to the server's account.
        let owner = try FileManager.default.attributesOfItem(atPath: cluster.folder)[.ownerAccountID] as? NSNumber
        let account = geteuid() == 0 ? ["/usr/bin/setpriv", "--reuid", "\(owner ?? 0)", "--clear-groups", "--"] : []
        supervisor.executableURL = URL(fileURLWithPath: "/bin/sh")
        supervisor.arguments =
            ["-c", #""$@" & while read -r line; do :; done; kill -KILL $!; wait"#, "sh"] + account + [
                Self.path, "-q", file,
            ]
        supervisor.standardInput = lifeline
        supervisor.standardOutput = FileHandle.nullDevice
        supervisor.standardError = FileHandle.nullDevice
        try PrivateCluster.withoutBlockedSignals { try supervisor.run() }
        let conninfo = conninfo(database: "postgres")
        let answers = eventually {
            (try? Connection(ConnectionSettings(conninfo: conninfo, applicationName: "test"))) != nil
        }
        if !answers { throw ClusterError(description: "PgBouncer does not answer on its socket in \(folder)") }
    }

    deinit { kill() }

    public func conninfo(database: String) -> String { "host=\(folder) port=\(port) user=stockq dbname=\(database)" }

    /// Ends the process at once, with all its connections.
    public func kill() {
        try? lifeline.fileHandleForWriting.close()  // an earlier call closed it
        supervisor.waitUntilExit()
    }
}
