import CommandLineKit

/// A command of the program: its spec drives parsing and help, and `run` does what it says.
protocol Command: SendableMetatype {
    static var spec: CommandSpec { get }

    static func run(_ input: ParsedCommand) throws -> ExitCode
}

extension CommandSpec {
    /// - Parameter usesDatabase: the command accepts the options that name the database.
    init(
        _ name: String, _ summary: String, arguments: [any Parameter] = [], options: [any Parameter] = [],
        usesDatabase: Bool, examples: [Example], notes: [String] = []
    ) {
        self.init(
            name, summary, arguments: arguments, options: options,
            globalOptions: usesDatabase ? Database.options : [], examples: examples, notes: notes)
    }
}
