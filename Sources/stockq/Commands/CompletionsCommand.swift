import CommandLineKit

enum CompletionsCommand: Command {
    private static let shell = Argument<CompletionShell>(.choice("SHELL"), help: "bash, zsh or fish")

    static let spec = CommandSpec(
        "completions", "Prints completions of the commands and options for a shell.", arguments: [shell],
        usesDatabase: false,
        examples: [.init("Print those of bash.", "bash")],
        notes: [
            "make install puts them where the shells look for them.",
            "eval \"$(stockq completions bash)\" completes in this bash.",
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        Terminal.print(exactly: Main.program.completions(for: input[shell]))
        return .success
    }
}
