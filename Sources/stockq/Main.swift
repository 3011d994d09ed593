import CommandLineKit
import Foundation
import StockModel
import StockQueue
import StockQueuePostgres

/// A command of the program.
protocol Command: SendableMetatype {
    static var usage: Usage { get }
    static func run(_ arguments: Arguments) throws -> Int32
}

@main
enum Main {
    /// As shells have it for SIGINT: 128 and the signal's number.
    static let stoppedBySignal: Int32 = 130

    static let version = "0.1.0"

    static let commands: [any Command.Type] = [
        DemoCommand.self, MigrateCommand.self, ItemsImportCommand.self, ItemsListCommand.self, ItemsShowCommand.self,
        ItemsSetCommand.self, EnqueueCommand.self, TransferCommand.self, ImportCommand.self, RunCommand.self,
        ResultCommand.self,
        StatsCommand.self, CancelCommand.self, RetryCommand.self, PauseCommand.self, ResumeCommand.self,
        ReprioritizeCommand.self, GrantCommand.self, RevokeCommand.self, GrantsListCommand.self, LimitsSetCommand.self,
        PruneCommand.self,
        NotificationsCommand.self, VerifyCommand.self, BenchCommand.self,
    ]

    static func main() {
        signal(SIGPIPE, SIG_IGN)
        openStandardStreams()
        // Whoever started this process may have handed down blocked signals; SIGTERM must get through.
        var none = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, nil)
        exit(code())
    }

    /// The exit code of what was asked for. Nothing is held any more when the process exits.
    private static func code() -> Int32 {
        let words = Array(CommandLine.arguments.dropFirst())
        if let place = firstUnreadableArgument() {
            Terminal.note("stockq: argument \(place) is not valid UTF-8")
            return 2
        }
        Database.hidePasswordInProcessList()
        let code = run(words)
        return code == 0 && Terminal.outputProblem != nil ? 1 : code
    }

    /// A process started with a standard stream closed would give its number to the next file it opens, a connection to the
    /// database for instance, and write its log lines there.
    private static func openStandardStreams() {
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
            // The lowest free number is this one.
            _ = open("/dev/null", descriptor == STDIN_FILENO ? O_RDONLY : O_WRONLY)
        }
    }

    /// Arguments come with what is no UTF-8 replaced; a store or an item would get another name.
    private static func firstUnreadableArgument() -> Int? {
        (1..<max(1, Int(CommandLine.argc))).first { index in
            CommandLine.unsafeArgv[index].map { String(validatingCString: $0) == nil } ?? false
        }
    }

    /// 0: done; 2: wrong usage; 1: anything else.
    static func run(_ words: [String]) -> Int32 {
        do {
            return try dispatch(words)
        } catch let error as UsageError {
            Terminal.note(
                "stockq \(error.command): \(error.message)\nTry 'stockq \(error.command) --help'.".replacingOccurrences(
                    of: "stockq :", with: "stockq:"
                ).replacingOccurrences(of: "stockq  --", with: "stockq --"))
            return 2
        } catch let problem as ValidationError where problem == .stopped {
            Terminal.note("stockq: stopped by a signal; what was not committed is rolled back")
            return stoppedBySignal
        } catch let error as PostgresError {
            Terminal.note("stockq: \(explain(error))")
        } catch let error as Failure {
            Terminal.note("stockq: \(error.message)")
        } catch {
            Terminal.note("stockq: \(error)")
        }
        return 1
    }

    private static func dispatch(_ words: [String]) throws -> Int32 {
        guard let first = words.first else {
            Terminal.note(overview)
            return 2
        }
        if ["--help", "-h", "help"].contains(first) {
            Terminal.print(overview)
            return 0
        }
        if first == "--version" {
            Terminal.print("stockq \(version)")
            return 0
        }
        for command in commands {
            let name = command.usage.command.split(separator: " ").map(String.init)
            guard words.starts(with: name) else { continue }
            let arguments = try Arguments(Array(words.dropFirst(name.count)), command.usage)
            if arguments.asksForHelp {
                Terminal.print(command.usage.helpText)
                return 0
            }
            return try command.run(arguments)
        }
        let isFamily = commands.contains { $0.usage.command.hasPrefix(first + " ") }
        let family = Usage(command: "", summary: "")
        throw UsageError(
            isFamily ? "\(first) what? There are \(members(of: first))" : "unknown command '\(first)'", family)
    }

    private static func members(of family: String) -> String {
        commands.map { $0.usage.command }.filter { $0.hasPrefix(family + " ") }.joined(separator: ", ")
    }

    private static var overview: String {
        let width = commands.map { $0.usage.command.count }.max() ?? 0
        let lines = commands.map {
            "  \($0.usage.command.padding(toWidth: width))  \($0.usage.summary.split(separator: "\n")[0])"
        }
        return """
            stockq works off stock adjustments from a queue in PostgreSQL.

            usage: stockq COMMAND [arguments] [options]

            commands:
            \(lines.joined(separator: "\n"))

            'stockq COMMAND --help' tells more. The database comes from --database-url, DATABASE_URL, or libpq's own
            variables (PGHOST, PGPORT, PGUSER, PGDATABASE, PGPASSWORD, PGPASSFILE, …).
            """
    }

    /// What went wrong and what to do about it.
    static func explain(_ error: PostgresError) -> String {
        switch (error.kind, error.sqlState) {
        case (.cannotConnect, .invalidPassword?):
            "the server refused the password: \(error.message)\nSet PGPASSWORD or PGPASSFILE, or put the password into DATABASE_URL."
        case (.cannotConnect, .unknownDatabase?): "\(error.message)\nCreate it with: createdb NAME"
        case (.cannotConnect, .cannotEstablishConnection?): error.message
        case (.cannotConnect, nil):
            "cannot reach the database: \(error.message)\nIs it running, and are --database-url, DATABASE_URL or PGHOST and PGPORT right?"
        // What a statement is called is for the log of a worker; here somebody has just asked for something.
        case (.server, let sqlState):
            ([
                "\(error.message.printable)\(sqlState == .insufficientPrivilege ? ": this user lacks a privilege" : "")\(sqlState.map { " (SQLSTATE \($0))" } ?? "")"
            ] + [error.detail, error.hint].compactMap { $0?.printable }).joined(separator: "\n")
        default: error.description
        }
    }
}
