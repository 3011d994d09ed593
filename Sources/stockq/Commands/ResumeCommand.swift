import CommandLineKit
import StockQueue

enum ResumeCommand: Command {
    static let spec = CommandSpec(
        "resume", "Resumes the work on a paused store, lane, or everything.", options: PauseScope.options,
        usesDatabase: true,
        examples: [
            .init("Resume a store.", "--store", "berlin"), .init("Resume everything that is paused.", "--all"),
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let scope = try PauseScope.scope(input)
        let (connection, schema) = try Database.open(input)
        let ready = try QueueAdmin(connection: connection, schema: schema).resume(scope)
        Terminal.print("resumed; \(grouped(ready)) paused jobs are ready again")
        return .success
    }
}
