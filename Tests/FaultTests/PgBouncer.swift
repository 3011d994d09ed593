import Foundation
import Postgres
import PrivateCluster
import TestSupport

/// A PgBouncer in transaction mode in front of a private cluster.
final class PgBouncer: Sendable {
    static let isInstalled = FileManager.default.isExecutableFile(atPath: "/usr/sbin/pgbouncer")

    let port: Int
    private let folder: String
    private let process: Int32
    private let running: Program.Running

    /// - Parameter port: names the socket; the same one again for a restart.
    init(_ cluster: PrivateCluster, port: Int = Int.random(in: 20_000...60_000)) throws {
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
        // It does not run as root, and the folder is its server's.
        let owner = try FileManager.default.attributesOfItem(atPath: cluster.folder)[.ownerAccountID] as? NSNumber
        let account = geteuid() == 0 ? ["--reuid", "\(owner ?? 0)", "--clear-groups", "--"] : []
        running = try Program().start(
            account + ["/usr/sbin/pgbouncer", "-q", file],
            executable: geteuid() == 0 ? "/usr/bin/setpriv" : "/usr/bin/env")
        process = running.processID
        let conninfo = conninfo(database: "postgres")
        let answers = eventually {
            (try? Connection(ConnectionSettings(conninfo: conninfo, applicationName: "test"))) != nil
        }
        if !answers { throw ClusterError(description: "PgBouncer does not answer:\n\(running.errorText)") }
    }

    deinit { kill() }

    func conninfo(database: String) -> String { "host=\(folder) port=\(port) user=stockq dbname=\(database)" }

    /// Ends it at once, with all connections.
    func kill() {
        Foundation.kill(process, SIGKILL)
        _ = try? running.wait()  // killed already by an earlier call, or by the test
    }
}
