import Foundation
import StockQueuePostgres

/// Why a private cluster could not be started.
public struct ClusterError: Error, CustomStringConvertible {
    public let description: String

    public init(description: String) { self.description = description }
}

/// A throw-away PostgreSQL server in a temporary directory, on a Unix socket; removed when its owner exits.
///
/// The server runs under a small shell that waits for its standard input to end. The owner has the other end of that
/// pipe; when the owner exits, or is killed, the shell stops the server and removes the folder. The data are lost anyway,
/// so the server stops immediately, which ends its stopped processes too.
public final class PrivateCluster: @unchecked Sendable {
    // Sendable: everything is set in `init` and not changed, except that `stop` and `deinit` close the pipe, under the
    // lock.

    /// The folder with the data and the socket.
    public let folder: String
    public let port = 5432
    /// The folder of the server's programs: initdb, postgres, and pgbench if it is installed.
    public let programFolder: String
    /// The postmaster's process id; nil when the server does not run.
    public var serverProcessID: Int32? {
        let lines = try? String(contentsOfFile: folder + "/data/postmaster.pid", encoding: .utf8)
        return lines?.split(separator: "\n").first.flatMap { Int32($0) }
    }
    /// The server's log.
    public var logFile: String { folder + "/server.log" }

    /// The server does not notify its clients that it is ready or has ended, so the cluster polls.
    private static let pollMs = 10
    /// How long a server may take to shut down; after that it is ended as in a crash.
    private static let shutdownMs = 60_000

    private let supervisor: Process
    private let lifeline: Pipe
    private let lock = NSLock()
    private let isKept: Bool
    private var isStopped = false

    /// The server's configuration beyond its defaults.
    public struct Options: Sendable {
        /// Settings for postgresql.conf.
        public var settings: [(name: String, value: String)] = []
        /// Lines for the head of pg_hba.conf; without them every connection through the socket is trusted.
        public var accessRules: [String] = []
        /// Variables for the server's environment.
        public var environment: [String: String] = [:]
        /// The directory in which the folder is created.
        public var parentFolder = "/tmp"
        /// The server keeps running, and its folder stays, when the owner exits.
        public var isKept = false

        public init() {}
    }

    /// Creates a cluster and starts it.
    ///
    /// - Throws: `ClusterError` when the server's programs are missing or fail, with the end of their output.
    public convenience init(name: String, options: Options = Options()) throws {
        try self.init(name: name, options: options) { programs, account, data in
            try Self.run(
                account.command([
                    programs + "/initdb", "--pgdata", data, "--username", "stockq", "--auth", "trust", "--encoding",
                    "UTF8",
                    "--locale", "C.UTF-8", "--no-instructions", "--no-sync",
                ]))
        }
    }

    /// Creates a standby of a running cluster and starts it (PostgreSQL manual, 27.2 "Log-Shipping Standby Servers").
    ///
    /// - Throws: `ClusterError`, as above.
    public convenience init(standbyOf primary: PrivateCluster, name: String, options: Options = Options()) throws {
        try self.init(name: name, options: options) { programs, account, data in
            try Self.run(
                account.command([
                    programs + "/pg_basebackup", "--pgdata", data, "--host", primary.folder, "--port",
                    String(primary.port), "--username", "stockq", "--write-recovery-conf", "--checkpoint", "fast",
                    "--no-sync",
                ]))
        }
    }

    private init(
        name: String, options: Options,
        makeData: (_ programs: String, _ account: ServerAccount, _ data: String) throws -> Void
    ) throws {
        let programs = try Self.findPrograms()
        programFolder = programs
        let account = try ServerAccount.choose()
        folder = try Self.makeFolder(named: name, in: options.parentFolder, for: account)
        let data = folder + "/data"
        isKept = options.isKept
        supervisor = Process()
        lifeline = Pipe()
        do {
            // Before there is any data, so that the folder is removed even if the owner is killed while initdb runs.
            try startSupervisor(programs, account, data, options)
            try makeData(programs, account, data)
            let conf = options.settings.map { "\($0.name) = '\($0.value)'\n" }.joined()
            try Self.append(
                "listen_addresses = ''\nunix_socket_directories = '\(folder)'\nport = \(port)\n" + conf,
                to: data + "/postgresql.conf")
            if !options.accessRules.isEmpty {
                let rules = options.accessRules + ["local all all trust", ""]
                try Data(rules.joined(separator: "\n").utf8).write(
                    to: URL(fileURLWithPath: data + "/pg_hba.conf"), options: [])
            }
            try send("start")
            try waitUntilReady()
        } catch {
            stop()
            throw error
        }
    }

    deinit { stop() }

    /// A connection string for a database of the cluster.
    public func conninfo(database: String = "postgres") -> String {
        "host=\(folder) port=\(port) user=stockq dbname=\(database)"
    }

    /// The same as a URL, for DATABASE_URL.
    public func url(database: String = "postgres") -> String {
        let host = folder.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? folder
        return "postgresql://stockq@/\(database)?host=\(host)&port=\(port)"
    }

    /// Stops the server and removes the folder, unless it is kept.
    public func stop() {
        lock.lock()
        defer { lock.unlock() }
        if isStopped { return }
        isStopped = true
        try? lifeline.fileHandleForWriting.close()  // the end of its input ends the supervisor
        // Foundation considers a process ended only when its children have ended too, and a kept server has not.
        if !isKept && supervisor.isRunning { supervisor.waitUntilExit() }
    }

    // MARK: shutdown and restart, for tests of the server's clients

    /// How a server goes down (PostgreSQL manual, 19.5 "Shutting Down the Server").
    public enum Shutdown: String, Sendable, CaseIterable {
        /// Sessions are terminated, transactions rolled back.
        case fast = "INT"
        /// As in a crash: the next start recovers from the log.
        case immediate = "QUIT"
        /// Only the postmaster is killed; the other processes end when they notice.
        case kill = "KILL"
    }

    /// Shuts the server down until `startAgain`.
    public func shutDown(_ how: Shutdown) throws {
        guard let process = serverProcessID else { return }
        try send(how.rawValue)
        // The process disappears once the supervisor has waited for it. A fast shutdown of PostgreSQL 15 may never end
        // where it comes while the server recovers from a crash: the postmaster goes on waiting for its checkpointer.
        let deadline = Deadline.after(milliseconds: Self.shutdownMs)
        while Foundation.kill(process, 0) == 0 {
            if deadline.hasPassed { Foundation.kill(process, SIGQUIT) }
            pause(milliseconds: Self.pollMs)
        }
    }

    /// Starts the server after `shutDown`, and waits until it accepts connections.
    public func startAgain() throws {
        let deadline = Deadline.after(milliseconds: 30_000)
        while !deadline.hasPassed {
            try send("start")
            // The children of a killed postmaster keep the shared memory for a moment; until then a start fails.
            let attempt = Deadline.after(milliseconds: 2_000)
            repeat {
                pause(milliseconds: Self.pollMs)
                if isAccepting { return }
            } while !attempt.hasPassed || isRunning && !deadline.hasPassed
        }
        throw ClusterError(description: "the private PostgreSQL did not start again within 30 s; see \(logFile)")
    }

    /// Whether the server has a process; it may be starting, recovering or stopping.
    public var isRunning: Bool { serverProcessID.map { Foundation.kill($0, 0) == 0 } ?? false }

    private var isAccepting: Bool {
        do {
            _ = try Connection(ConnectionSettings(conninfo: conninfo(), applicationName: "stockq"))
            return true
        } catch {
            return error.sqlState == .tooManyConnections
        }
    }

    private func send(_ command: String) throws {
        try lifeline.fileHandleForWriting.write(contentsOf: Data((command + "\n").utf8))
    }

    // MARK: starting

    /// The supervisor reads commands as lines: `start`, or the name of a signal to send to the server before waiting
    /// for its end.
    private func startSupervisor(_ programs: String, _ account: ServerAccount, _ data: String, _ options: Options)
        throws
    {
        let server = account.command([programs + "/postgres", "-D", data])
        let start =
            options.isKept
            ? "setsid \"$@\" >\"$LOG\" 2>&1 </dev/null & exit"
            : "\"$@\" >>\"$LOG\" 2>&1 </dev/null & server=$!"
        // The processes of a killed server end by themselves, except those that are stopped. The server's processes are
        // those that work in its data directory. A process may still write into the folder, so that one rm may fail.
        let script = """
            trap '' INT TERM HUP
            server=
            while read -r line; do
                case "$line" in
                    start) \(start) ;;
                    *) kill -"$line" "$server" 2>/dev/null; wait "$server" ;;
                esac
            done
            if [ -n "$server" ]; then
                kill -QUIT "$server" 2>/dev/null
                wait "$server"
            fi
            data=$(cd "$FOLDER" && pwd -P)/data
            for attempt in 1 2 3 4 5 6 7 8 9; do
                for directory in $(find /proc/[0-9]*/cwd -maxdepth 0 -lname "$data" 2>/dev/null); do
                    process=${directory#/proc/}
                    kill -KILL "${process%/cwd}" 2>/dev/null
                done
                rm -rf "$FOLDER" 2>/dev/null && break
                sleep 0.1
            done
            """
        supervisor.executableURL = URL(fileURLWithPath: "/bin/sh")
        supervisor.arguments = ["-c", script, "sh"] + server
        supervisor.environment = ProcessGuard.unmarkedEnvironment
            .merging(options.environment, uniquingKeysWith: { $1 })
            .merging(["LOG": logFile, "FOLDER": folder], uniquingKeysWith: { $1 })
        supervisor.standardInput = lifeline
        supervisor.standardOutput = FileHandle.nullDevice
        supervisor.standardError = FileHandle.nullDevice
        try Self.withoutBlockedSignals { try supervisor.run() }
    }

    /// A child inherits the signals that its parent's thread blocks, and Dispatch's threads block nearly all of them. A
    /// shell that never receives SIGCHLD waits forever.
    public static func withoutBlockedSignals<Value>(_ body: () throws -> Value) rethrows -> Value {
        var none = sigset_t()
        var before = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        return try body()
    }

    private func waitUntilReady() throws {
        let deadline = Deadline.after(milliseconds: 30_000)
        while !deadline.hasPassed {
            do {
                _ = try Connection(ConnectionSettings(conninfo: conninfo(), applicationName: "stockq"))
                return
            } catch {
                let log = (try? String(contentsOfFile: logFile, encoding: .utf8)) ?? ""
                // A starting server rejects early connections; a standby does so with another message.
                let isEarly = ["is starting up", "is not yet accepting connections"].contains { log.contains($0) }
                if log.contains("FATAL") && !isEarly {
                    throw ClusterError(description: "the private PostgreSQL did not start:\n\(log.suffix(2_000))")
                }
                pause(milliseconds: Self.pollMs)
            }
        }
        throw ClusterError(description: "the private PostgreSQL did not accept connections within 30 s; see \(logFile)")
    }

    /// The folder of the newest server programs: Debian's, else a folder of the PATH.
    private static func findPrograms() throws -> String {
        let debian = "/usr/lib/postgresql"
        let versions = ((try? FileManager.default.contentsOfDirectory(atPath: debian)) ?? []).compactMap { Int($0) }
            .sorted()
        let onPath = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
        for folder in versions.reversed().map({ "\(debian)/\($0)/bin" }) + onPath
        where FileManager.default.isExecutableFile(atPath: folder + "/initdb")
            && FileManager.default.isExecutableFile(atPath: folder + "/postgres")
        {
            return folder
        }
        throw ClusterError(
            description: "no PostgreSQL server programs found (initdb, postgres); on Debian: apt-get install postgresql"
        )
    }

    private static func makeFolder(named name: String, in parent: String, for account: ServerAccount) throws -> String {
        var template = Array("\(parent)/\(name)-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw ClusterError(description: "cannot create a folder in \(parent): \(String(cString: strerror(errno)))")
        }
        let path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        if let user = account.switchTo, chown(path, user.id, user.group) != 0 {
            throw ClusterError(description: "cannot give \(path) to \(user.name): \(String(cString: strerror(errno)))")
        }
        return path
    }

    private static func append(_ text: String, to file: String) throws {
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: file))
        defer { try? handle.close() }
        try handle.seekToEnd()
        try handle.write(contentsOf: Data(text.utf8))
    }

    private static func run(_ command: [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: command[0])
        process.arguments = Array(command.dropFirst())
        process.currentDirectoryURL = URL(fileURLWithPath: "/")
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        if process.terminationStatus != 0 {
            throw ClusterError(
                description: "\(command.last { $0.hasPrefix("/") } ?? command[0]) failed:\n\(text.suffix(2_000))")
        }
    }
}
