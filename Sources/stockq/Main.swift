import BuildInfo
import CommandLineKit
import Foundation
import StockQueue
import StockQueueMigrations
import StockQueuePostgres

@main
package enum Main {
    private static let commands: [any Command.Type] = [
        DemoCommand.self, MigrateCommand.self,
        ItemsImportCommand.self, ItemsListCommand.self, ItemsShowCommand.self, ItemsSetCommand.self,
        ItemsRetireCommand.self, ItemsSnoozeCommand.self, ItemsReconcileCommand.self,
        ItemsRenameCommand.self, ItemsMoveCommand.self,
        JobsListCommand.self, ResultsListCommand.self, ImportsListCommand.self, ImportsShowCommand.self,
        EnqueueCommand.self, TransferCommand.self, ImportCommand.self,
        RunCommand.self, ServeCommand.self, DashboardCommand.self, TopCommand.self, ResultCommand.self,
        StatsCommand.self, WorkersCommand.self,
        NotificationsCommand.self, ChangesCommand.self, VerifyCommand.self, DoctorCommand.self,
        CancelCommand.self, RetryCommand.self, ReprioritizeCommand.self, PauseCommand.self, ResumeCommand.self,
        LimitsSetCommand.self, GrantCommand.self, RevokeCommand.self, GrantsListCommand.self, LimitsListCommand.self,
        ReasonsListCommand.self, ReasonsSetCommand.self, OperationsListCommand.self, AlertsSetCommand.self,
        AlertsListCommand.self, AlertsRemoveCommand.self,
        TokensCreateCommand.self, TokensListCommand.self, TokensRevokeCommand.self,
        ClientsCreateCommand.self, ClientsListCommand.self, ClientsRevokeCommand.self, PruneCommand.self,
        SubscriptionsAddCommand.self, SubscriptionsListCommand.self, SubscriptionsTestCommand.self,
        SubscriptionsEnableCommand.self, SubscriptionsDisableCommand.self, SubscriptionsRotateCommand.self,
        SubscriptionsRemoveCommand.self, DeliveriesListCommand.self, DeliveriesRetryCommand.self,
        DeliveriesReplayCommand.self, DeliverCommand.self, ExportCommand.self, ConfigCommand.self,
        CompletionsCommand.self,
        ManCommand.self,
    ]

    package static let program = ProgramSpec(
        name: "stockq",
        summary: "stockq applies stock adjustments from a queue in PostgreSQL, exactly once and in order.",
        commands: commands.map { $0.spec }, globalOptions: Database.options,
        notes: [
            "Without --database-url the database comes from DATABASE_URL, or from libpq's own variables (PGHOST, PGPORT, PGUSER, "
                + "PGDATABASE, PGPASSWORD, PGPASSFILE, …).",
            "Options can also come from the environment, as STOCKQ_LOG_LEVEL for --log-level, and from the file that STOCKQ_CONFIG "
                + "names, else \(ConfigurationFile.standardPath), with lines such as log-level = warn. The command line comes "
                + "first, then the environment. stockq config shows what is in force.",
            "Exit codes: 0 success, 1 failure, 2 wrong usage, 3 doctor, verify or migrate --status could not check, 130 an import "
                + "stopped by a signal.",
        ])

    /// `stockq 0.3.0 (commit abcdef0, schema 0006_gateway)`
    package static var version: String {
        let schema = (Migration.all.last { $0.kind == .numbered }?.name ?? "none").split(separator: ".")[0]
        return "stockq \(Version.number) (commit \(Version.commit), schema \(schema))"
    }

    package static func main() {
        ProcessSetup.begin()
        let code = run()
        let isOutputLost = code == .success && Terminal.outputProblem != nil
        // A reader that closed its pipe, such as head, wants no word.
        if isOutputLost && Terminal.outputProblem != EPIPE {
            Terminal.note("stockq: what the command does is done; only its output is lost")
        }
        exit((isOutputLost ? .failure : code).rawValue)
    }

    private static func run() -> ExitCode {
        do {
            let words = try ProcessSetup.arguments(of: program.name)
            Database.hidePasswordInProcessList()
            return try perform(
                try program.interpret(words, configuration: { () throws(Failure) in try ConfigurationFile.load() }))
        } catch let error as UsageError {
            Terminal.note(Database.hidingPasswords(in: error.description))
            return .usage
        } catch is InputInterrupted {
            Terminal.note("stockq: stopped by a signal; uncommitted work is rolled back")
            return .interrupted
        } catch let error as CheckFailure {
            Terminal.note("stockq: \(ErrorText.explain(error.reason))")
            return .notChecked
        } catch {
            Terminal.note("stockq: \(ErrorText.explain(error))")
            return .failure
        }
    }

    private static func perform(_ request: ProgramSpec.Request) throws -> ExitCode {
        switch request {
        case .nothing:
            Terminal.note(program.overview)
            return .usage
        case .help(let text):
            Terminal.print(text)
            return .success
        case .version:
            Terminal.print(version)
            return .success
        case .command(let input):
            guard let command = commands.first(where: { $0.spec.path == input.spec.path }) else {
                preconditionFailure("the program's spec is made of these commands")
            }
            if !input.spec.globalOptions.isEmpty && input[TimeText.utc] { TimeText.useUTC() }
            do {
                return try command.run(input)
            } catch {
                guard let advice = MissingRole.advice(error, input) else { throw error }
                throw Failure("\(ErrorText.explain(error))\n\(advice)")
            }
        }
    }
}
