import BuildInfo
import CommandLineKit

enum ManCommand: Command {
    static let spec = CommandSpec(
        "man", "Prints the manual page.", usesDatabase: false,
        examples: [.init("Read it.")],
        notes: ["stockq man | man -l - shows it; make install puts it where man looks for it."])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        Terminal.print(exactly: Main.program.manualPage(version: "stockq \(Version.number)"))
        return .success
    }
}
