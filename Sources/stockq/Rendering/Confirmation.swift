import CommandLineKit

/// The question before a command changes many jobs, and the rehearsal without the change.
enum Confirmation {
    static let yes = Flag("yes", help: "do not ask, also on a terminal")
    static let dryRun = Flag("dry-run", help: "show what would be done; change nothing")

    /// Whether the command must ask: it runs on a terminal, and its options do not answer already.
    static func isNeeded(_ input: ParsedCommand) -> Bool { Terminal.canAsk && !input[yes] && !input[dryRun] }

    /// Asks.
    ///
    /// - Returns: whether the command goes on; it says so if not.
    static func isGiven(_ question: String) -> Bool {
        if Terminal.ask(question) { return true }
        Terminal.note("nothing was changed")
        return false
    }
}
